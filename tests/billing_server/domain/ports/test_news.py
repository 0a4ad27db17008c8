"""What waiting syncs are woken by."""

from billing_server.domain.ports.news import EVERY_CUSTOMER, news_of_disk


def test_each_disk_has_a_name_of_its_own_that_is_not_everyones() -> None:
    names = {news_of_disk(bytes([number]) * 16) for number in range(3)}
    assert len(names | {EVERY_CUSTOMER}) == 4

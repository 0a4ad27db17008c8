"""A database of the revision before gains the bucket of what of a rate no agent holds."""

from billing_server.domain.limit.shares import FreeBucket, RateShare
from billing_server.store.migrations.versions import revision_0011
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.limit_rows import DAY, NOW, account


def test_it_follows_the_tenth() -> None:
    assert (revision_0011.revision, revision_0011.down_revision) == ("0011", "0010")


def test_the_free_bucket_is_kept(store: SqlStore) -> None:
    first = account(free_bucket=FreeBucket(5, RateShare(60, 9), NOW))
    with store.write() as unit:
        unit.limits.add_account(first)
    with store.read() as unit:
        assert unit.limits.find_accounts([DAY]) == {DAY: first}

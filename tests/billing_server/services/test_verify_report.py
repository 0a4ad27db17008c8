"""A report counts every difference and tells the first of them."""

from billing_server.services.verify_report import DIFFERENCES_KEPT_MAX, VerifyReport


def test_differences_are_counted_beyond_those_that_are_told() -> None:
    report = VerifyReport()
    for number in range(DIFFERENCES_KEPT_MAX + 5):
        report.tell(f"difference {number}")
    assert report.difference_count == 105
    assert report.differences[-1] == "difference 99"

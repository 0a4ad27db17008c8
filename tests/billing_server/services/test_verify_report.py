"""A report counts every difference and tells the first of them."""

from billing_server.services.verify_report import DIFFERENCES_KEPT_MAX, VerifyReport


def test_differences_are_counted_beyond_those_that_are_told() -> None:
    report = VerifyReport()
    for number in range(DIFFERENCES_KEPT_MAX + 5):
        report.tell(f"difference {number}")
    assert report.difference_count == 105
    assert report.differences[-1] == "difference 99"


def test_what_a_second_check_finds_is_left_and_the_rest_is_repaired() -> None:
    first, second = VerifyReport(), VerifyReport()
    for each in ("a", "b", "c"):
        first.tell(each)
    second.tell("b")
    first.unrated["sub-1"] = second.unrated["sub-1"] = "sub-1 could not be rated before either"
    second.unrated["sub-2"] = "sub-2 cannot be rated"
    first.settle(second)
    assert (first.repaired_count, first.left) == (1, ["b", "sub-2 cannot be rated"])

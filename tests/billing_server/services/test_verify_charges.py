"""Running charges are compared with the windows' sums, and with the buckets where in doubt."""

import pytest
from sqlalchemy import text

from billing_server.services import verify_usage as module
from billing_server.services.context import ServiceContext
from billing_server.services.verified_sums import VerifiedSums
from billing_server.services.verify_charges import check_charges
from billing_server.services.verify_report import VerifyMode, VerifyReport
from billing_server.services.verify_usage import verify_usage
from billing_server.store.series_sums import open_series_sums
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Usage, apply, make_context


@pytest.fixture
def usage(memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Usage:
    monkeypatch.setattr(module, "WINDOW_EVENTS", 2)
    context = make_context(memory_store)
    apply(context, CATALOG)
    usage = Usage(context)
    for day in range(10, 20):
        usage.send("500", at=f"2026-02-{day}T00:00:00Z")
    return usage


def damage(context: ServiceContext, statement: str) -> None:
    with context.store.write() as unit:
        unit.connection.execute(text(statement))  # type: ignore[attr-defined]


def test_a_wrong_charge_is_told_with_what_the_usage_comes_to(usage: Usage) -> None:
    damage(usage.context, "UPDATE running_charge SET quantity = '4999'")
    (told,) = verify_usage(usage.context.store).differences
    # 5,000 tokens, 1,000 of them included: 40.00.
    assert "customer acme, subscription sub-1, period 2026-01-31T10:00:00Z, price tokens" in told
    assert "stored quantity 4999, amount 40" in told
    assert "the usage comes to quantity 5000, amount 40" in told


def test_usage_that_was_counted_since_its_window_was_summed_is_no_difference(usage: Usage) -> None:
    def count_more(_event_count: int) -> None:
        if not sent:
            sent.append(usage.send("7", at="2026-02-10T00:00:00Z", event_id="meanwhile"))

    sent: list[object] = []
    report = verify_usage(usage.context.store, on_progress=count_more)
    assert sent
    assert (report.differences, report.charge_count) == ([], 1)


def test_without_a_sum_the_buckets_are_read(usage: Usage) -> None:
    report = VerifyReport()
    with open_series_sums() as kept:
        check_charges(
            usage.context.store,
            mode=VerifyMode.REPORT,
            report=report,
            sums=VerifiedSums(kept),
        )
    assert (report.differences, report.charge_count) == ([], 1)

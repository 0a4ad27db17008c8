"""Late facts are kept by period, and take the number of their invoice. On both databases."""

from datetime import datetime

from billing_server.domain.ports.late_facts import LateFact, LateFactKind
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.store.unit_of_work import SqlStore

HOUR_US = 3_600_000_000
EVENT, VOID = LateFactKind.EVENT, LateFactKind.CORRECTION


def at(hour: int) -> datetime:
    return instant_from_microseconds(hour * HOUR_US)


def fact(fact_id: str, hour: int, *, kind: LateFactKind = EVENT, period: int = 0) -> LateFact:
    return LateFact("sub-1", period * HOUR_US, hour * HOUR_US, fact_id, kind)


def test_facts_of_a_period_are_paged_by_time_and_take_a_number_once(store: SqlStore) -> None:
    with store.write() as unit:
        facts = unit.late_facts
        facts.add([fact("b", 2), fact("a", 2), fact("a", 2), fact("c", 1), fact("x", 9, period=8)])
        facts.add([])

        def page(number: str | None, *, after: tuple[int, str] | None = None) -> list[str]:
            found = facts.page("sub-1", period_start=at(0), number=number, after=after, limit=2)
            return [fact_id for _, fact_id, _ in found]

        assert page(None) == ["c", "a"]
        assert page(None, after=(2 * HOUR_US, "a")) == ["b"]
        facts.assign("sub-1", period_start=at(0), number="INV-000002")
        facts.add([fact("d", 3)])
        facts.assign("sub-1", period_start=at(8), number="INV-000003")
        assert (page(None), page("INV-000002"), page("INV-000003")) == (["d"], ["c", "a"], [])


def test_corrections_are_not_new(store: SqlStore) -> None:
    with store.write() as unit:
        adjusted = LateFactKind.ADJUSTMENT
        unit.late_facts.add([fact("a", 1), fact("b", 1, kind=VOID), fact("c", 2, kind=adjusted)])
        found = [
            unit.late_facts.new_in("sub-1", period_start=at(0), start=at(start), end=at(end))
            for start, end in ((0, 2), (2, 3), (3, 9))
        ]
        assert found == [{"a"}, {"c"}, set()]
        (known,) = unit.late_facts.page(
            "sub-1", period_start=at(0), number=None, after=(HOUR_US, "a"), limit=1
        )
        assert known == (HOUR_US, "b", VOID)

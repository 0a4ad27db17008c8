"""Readings, events by time, corrections and adjustments. On both databases."""

from datetime import timedelta

from billing_server.domain.ports.usage import ChargeKey, EventRow, LatestChange, ReadingRow
from billing_server.domain.ports.usage_facts import Adjustment, Correction, CorrectionKind
from billing_server.domain.usage.instants import microseconds_from_instant, minute_from_instant
from billing_server.store import usage_fact_repository
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import START

MINUTE = timedelta(minutes=1)
START_US = microseconds_from_instant(START)
KEY = ("acme", "gb", '{"disk":"a"}')


def reading(series_id: int, *, minute: int, value: int, event_id: str = "e") -> ReadingRow:
    time_us = START_US + minute * 60_000_000
    return ReadingRow("acme", series_id, time_us, event_id, value, 0, None)


def test_readings_of_a_meter_are_walked_in_order_and_back(store: SqlStore, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(usage_fact_repository, "READINGS_BACK_MAX", 2)
    other = ("acme", "calls", "{}")
    with store.write() as unit:
        numbers = unit.usage.series_ids([KEY, other])
        number = numbers[KEY]
        unit.usage.add_readings(
            [
                reading(number, minute=2, value=3, event_id="b"),
                reading(number, minute=2, value=2, event_id="a"),
                reading(number, minute=0, value=1),
                reading(number, minute=5, value=4)._replace(money='{"cost":"0.5"}'),
                reading(numbers[other], minute=1, value=99),
            ]
        )
        facts = unit.usage_facts
        assert facts.series_of("acme", meter_key="gb") == {number: {"disk": "a"}}
        found = list(facts.readings("acme", meter_key="gb", start=START, end=START + 5 * MINUTE))
        assert [each.value for each in found] == [1, 2, 3]
        back = facts.readings_back("acme", series_id=number, before=START + 9 * MINUTE)
        assert [each.value for each in back] == [4, 3, 2, 1]
        (last,) = facts.readings(
            "acme", meter_key="gb", start=START + 5 * MINUTE, end=START + 6 * MINUTE
        )
        assert (last.is_change, last.money) == (False, {"cost": "0.5"})


def test_counted_events_are_found_by_customer_and_time(store: SqlStore) -> None:
    def row(event_id: str, offset: int, *, customer: str = "acme") -> EventRow:
        time_us = START_US + offset
        return EventRow(event_id, customer, time_us, time_us, 1, 1, b"p", None, None)

    waiting = row("w", 1)._replace(quarantine_reason="WHY")
    with store.write() as unit:
        unit.usage.insert_events(
            [
                row("b", 5),
                row("a", 5),
                row("z", 0),
                row("x", 60_000_000),
                waiting,
                row("a", 7, customer="other"),
            ]
        )
        found = unit.usage_facts.events_between("acme", start=START, end=START + MINUTE)
        assert [each.event_id for each in found] == ["z", "a", "b"]
        both = unit.usage_facts.events_of_id("a")
        assert [each.customer_id for each in both] == ["acme", "other"]


def test_the_newest_correction_of_an_event_counts(store: SqlStore) -> None:
    void = Correction("e", "acme", 1, CorrectionKind.VOID, None, "test traffic", START)
    amend = Correction("e", "acme", 2, CorrectionKind.AMEND, {"tokens": "5"}, "recount", START)
    with store.write() as unit:
        unit.usage_facts.add_correction(void)
        unit.usage_facts.add_correction(amend)
        found = unit.usage_facts.corrections([("e", "acme"), ("e", "other")])
        assert found == {("e", "acme"): amend}
        assert unit.usage_facts.corrections([]) == {}


def test_adjustments_are_found_by_customer_and_time(store: SqlStore) -> None:
    wanted = Adjustment("adj_1", "acme", "gb", {"disk": "a"}, START, -5, "credit", START)
    later = Adjustment("adj_2", "acme", "gb", {}, START + MINUTE, 7, "found", START)
    with store.write() as unit:
        for each in (later, wanted):
            unit.usage_facts.add_adjustment(each)
        found = unit.usage_facts.adjustments("acme", start=START, end=START + MINUTE)
        assert found == (wanted,)
        assert unit.usage_facts.adjustments("other", start=START, end=START + MINUTE) == ()


def test_a_minute_is_cleared_of_buckets_and_readings(store: SqlStore) -> None:
    minute = minute_from_instant(START)
    with store.write() as unit:
        number = unit.usage.series_ids([KEY])[KEY]
        for offset in (0, 1):
            time_us = START_US + offset * 60_000_000
            unit.usage.put_latest_buckets(
                [LatestChange(minute + offset, "acme", number, 1, 1, time_us, "e")]
            )
            unit.usage.add_readings([reading(number, minute=offset, value=1)])
        assert unit.usage_facts.clear_minutes("acme", minutes=[minute]) == {number}
        assert unit.usage_facts.clear_minutes("acme", minutes=[minute]) == frozenset()
        left = unit.usage_facts.readings(
            "acme", meter_key="gb", start=START, end=START + 9 * MINUTE
        )
        assert [each.time_us for each in left] == [START_US + 60_000_000]


def test_the_state_of_a_charge_is_kept_over_and_goes_with_it(store: SqlStore) -> None:
    first = ChargeKey("acme", "sub-1", 0, "paid", 0, "")
    second = first._replace(group_key="g")
    with store.write() as unit:
        facts = unit.usage_facts
        facts.put_event_states({first: "one", second: "two"})
        facts.put_event_states({first: "three"})
        facts.put_event_states({})
        assert [facts.event_state(key) for key in (first, second)] == ["three", "two"]
        facts.delete_charge_rows([first])
        assert [facts.event_state(key) for key in (first, second)] == [None, "two"]
        unit.usage.delete_charges("sub-1", customer_id="acme")
        assert facts.event_state(second) is None

"""Running charges are brought up to date from their own row, for every aggregation."""

from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context


def charges(store: SqlStore) -> dict[str, tuple[int, int, str]]:
    """Returns price key to quantity, number of values and exact amount."""
    with store.read() as unit:
        found = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=parse_instant(START)
        )
    return {
        each.price_key: (each.quantity, each.value_count, f"{each.amount_exact.normalize():f}")
        for each in found
    }


def test_each_event_moves_the_charges_and_a_rebuild_says_the_same(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    sender = Sender(context)
    events = [
        ("2026-04-10T00:00:00Z", "6", "u1"),
        ("2026-04-20T00:00:00Z", "2", "u2"),
        ("2026-04-05T00:00:00Z", "4", "u1"),
    ]
    names = ("tokens", "calls", "peak", "seats", "rating", "gb")
    for at, value, user in events:
        sender.send(dict.fromkeys(names, value), at=at, user=user)
    booked = charges(store)
    assert booked == {
        "tokens": (1200, 0, "0.12"),
        "calls": (3, 0, "3"),
        "peak": (6, 0, "6"),
        "seats": (2, 0, "2"),
        "rating": (120, 3, "4"),  # 12.0 by 3.
        "users": (2, 0, "2"),
    }
    with store.write() as unit:
        unit.customers.lock(["acme"])
        rebuild_running_charges(unit, customer_id="acme")
    assert charges(store) == booked
    # What the rebuild wrote is what the next event adds to.
    sender.send({"seats": "9"}, at="2026-04-20T00:00:00Z", event_id="event-000", user="u2")
    assert charges(store)["users"] == (2, 0, "2")
    assert charges(store)["seats"] == (2, 0, "2")  # The same time, an earlier id.

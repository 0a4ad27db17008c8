"""What changed in a subscription, as plain values."""

from datetime import UTC, datetime

from billing_server.domain.subscription.history import history_from_dict, history_to_dict
from billing_server.domain.subscription.model import (
    AttachedAddon,
    Override,
    Subscription,
    VersionMove,
)


def at(month: int) -> datetime:
    return datetime(2026, month, 1, tzinfo=UTC)


SUBSCRIPTION = Subscription(
    id="sub-1",
    customer_id="acme",
    plan_key="pro",
    plan_version=1,
    start=at(1),
    moves=(VersionMove(start=at(3), version=2),),
    overrides=(
        Override(start=at(2), price="base", fields={"amount": "9"}),
        Override(start=at(4), price="base", fields={}),
    ),
    addons=(
        AttachedAddon(key="help", version=2, start=at(1), end=at(5)),
        AttachedAddon(key="more", version=1, start=at(2)),
    ),
    price_starts={"new": at(2)},
)


def test_a_history_is_read_as_it_was_written_and_an_empty_one_is_empty() -> None:
    written = history_to_dict(SUBSCRIPTION)
    assert list(written) == ["moves", "overrides", "addons", "price_starts"]
    read = history_from_dict(written)
    assert read["moves"] == SUBSCRIPTION.moves
    assert read["overrides"] == SUBSCRIPTION.overrides
    assert read["addons"] == SUBSCRIPTION.addons
    assert read["price_starts"] == SUBSCRIPTION.price_starts
    plain = Subscription(
        id="sub-1", customer_id="acme", plan_key="pro", plan_version=1, start=at(1)
    )
    assert history_to_dict(plain) == {}
    assert history_from_dict({})["moves"] == ()

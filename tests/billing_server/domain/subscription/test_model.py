"""What a subscription is on at an instant."""

from datetime import UTC, datetime

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
    moves=(VersionMove(start=at(3), version=3), VersionMove(start=at(6), version=2)),
    overrides=(
        Override(start=at(1), price="base", fields={"amount": "9"}),
        Override(start=at(2), price="base", fields={"name": "Base"}),
        Override(start=at(4), price="base", fields={}),
    ),
    addons=(AttachedAddon(key="help", version=2, start=at(2), end=at(5)),),
)


def test_versions_follow_the_moves() -> None:
    versions = [SUBSCRIPTION.version_at(at(month)) for month in (1, 2, 3, 5, 6)]
    assert versions == [1, 1, 3, 3, 2]
    assert SUBSCRIPTION.versions == {1, 2, 3}


def test_an_override_stands_in_place_of_the_one_before_and_an_empty_one_ends_it() -> None:
    assert SUBSCRIPTION.overrides_at(at(1)) == {"base": {"amount": "9"}}
    assert SUBSCRIPTION.overrides_at(at(3)) == {"base": {"name": "Base"}}
    assert SUBSCRIPTION.overrides_at(at(4)) == {}


def test_an_add_on_applies_from_its_start_to_its_end() -> None:
    assert [len(SUBSCRIPTION.addons_at(at(month))) for month in (1, 2, 4, 5)] == [0, 1, 1, 0]
    assert SUBSCRIPTION.changes == (at(2), at(3), at(4), at(5), at(6))

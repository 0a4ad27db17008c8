"""Setting limits of customers: checked, told at once, audited."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.services.set_limits import remove_limit, set_limit
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError, ValidationError
from tests.billing_server.lease_world import LeaseWorld
from tests.billing_server.limit_world import money, units
from tests.billing_server.world import context_of

SLOTS = Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8))


def keys_of(store: SqlStore) -> list[str]:
    with store.read() as unit:
        customer = unit.customers.get("acme")
    assert customer is not None
    return [limit.key for limit in customer.limits or ()]


def test_a_limit_is_set_changed_and_removed_and_each_is_audited_once(store: SqlStore) -> None:
    context = context_of(LeaseWorld(store))
    heard: list[str] = []
    store.news.listen(heard.append)
    for limit in (units("daily", 5), units("daily", 5), units("daily", 9), SLOTS):
        set_limit(context, customer_id="acme", limit=limit, actor="anna")
    assert keys_of(store) == ["daily", "slots"]
    remove_limit(context, customer_id="acme", key="daily", actor="anna")
    assert keys_of(store) == ["slots"]
    with store.read() as unit:
        entries = unit.audit.page(before=None, limit=9)
    assert [(each.actor, each.action, each.detail["key"]) for each in entries] == [
        ("anna", "limit.remove", "daily"),
        ("anna", "limit.set", "slots"),
        ("anna", "limit.set", "daily"),
        ("anna", "limit.set", "daily"),
    ]


def test_what_cannot_be_kept_is_refused_by_its_field(store: SqlStore) -> None:
    context = context_of(LeaseWorld(store))
    for limit, reason, named in (
        (replace(units("a", 5), meter="gone"), "METER_UNKNOWN", "no meter 'gone'"),
        (replace(units("a", 5), meter="peak"), "LIMIT_METER_NOT_ADDITIVE", "'peak'"),
        (replace(units("a", 5), maximum=Decimal("0.5")), "QUANTITY_TOO_PRECISE", "max"),
        (money("a", "5"), "PRICE_NOT_ESTIMABLE", "'peak'"),
    ):
        with pytest.raises(ValidationError, match=named) as caught:
            set_limit(context, customer_id="acme", limit=limit, actor="anna")
        assert [each.reason for each in caught.value.violations] == [reason]
    assert keys_of(store) == []


def test_whose_limit_it_is_and_which_has_to_be_known(store: SqlStore) -> None:
    context = context_of(LeaseWorld(store))
    with pytest.raises(NotFoundError, match="nobody"):
        set_limit(context, customer_id="nobody", limit=SLOTS, actor="anna")
    with pytest.raises(NotFoundError, match="'gone'"):
        remove_limit(context, customer_id="acme", key="gone", actor="anna")

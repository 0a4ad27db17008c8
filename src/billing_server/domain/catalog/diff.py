"""What has to change so that the applied catalog equals a file: computed, not done.

The same content gives no change, so that applying a file twice is harmless. What is applied and not
in the file stays as it is.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from billing_server.domain.catalog.model import (
    Addon,
    CatalogFile,
    Meter,
    Plan,
    SubscriptionEntry,
)
from billing_server.domain.catalog.places import Refusal
from billing_server.domain.catalog.serialize import (
    addon_to_dict,
    customer_to_dict,
    meter_to_dict,
    plan_to_dict,
    subscription_entry_to_dict,
    tax_rate_to_dict,
)
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxRate

_COUNTING_FIELDS: Final = ("aggregation", "decimals", "of", "quantity", "where")
"""Fields of a meter that decide what its usage means."""

T = TypeVar("T", Meter, Plan, Addon, TaxRate, Customer, SubscriptionEntry)
CatalogValue = Meter | Plan | Addon | TaxRate | Customer | SubscriptionEntry
"""What a catalog file holds."""


class ChangeKind(StrEnum):
    """What is done to a thing."""

    CREATE = "create"
    UPDATE = "update"
    NEW_VERSION = "new_version"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, with the value that is to be stored."""

    kind: ChangeKind
    """What is done."""
    value: CatalogValue
    """The new content; a plan or add-on carries the version that it gets."""
    details: tuple[str, ...] = ()
    """Each changed field: `prices.input.unit_price: "0.01" -> "0.02"`."""

    @property
    def resource(self) -> str:
        """The kind of thing: meter, plan, addon, tax_rate, customer or subscription."""
        return _RESOURCES[type(self.value)]

    @property
    def key(self) -> str:
        """Key or id of the thing."""
        return _key(self.value)

    @property
    def summary(self) -> str:
        """One line for people."""
        if isinstance(self.value, Plan | Addon):
            word = "new" if self.kind is ChangeKind.NEW_VERSION else self.kind
            return f"{word} version {self.value.version} of {self.resource} {self.key}"
        return f"{self.kind} {self.resource.replace('_', ' ')} {self.key}"


@dataclass(frozen=True, slots=True)
class CatalogChanges:
    """The way from what is applied to what a file wants."""

    changes: tuple[Change, ...]
    """In an order in which they can be done: meters, plans, customers, subscriptions."""
    refusals: tuple[Refusal, ...]
    """What cannot be done. Where there is one, nothing of the file may be applied."""
    unchanged: tuple[tuple[str, str], ...] = ()
    """Kind and key of what is applied already, in the order of the file."""


def plan_changes(
    current: CatalogFile, *, wanted: CatalogFile, meters_with_usage: Collection[str] = ()
) -> CatalogChanges:
    """Returns the changes that make the applied catalog equal to a file.

    Args:
        current: what is applied; of each plan the newest version.
        wanted: what the file holds.
        meters_with_usage: keys of the meters that have counted an event.
    """
    used = frozenset(meters_with_usage)
    subscribed = {entry.customer_id: entry.id for entry in current.subscriptions}
    found = [
        *_compare(current.meters, wanted.meters, lambda old, new: _meter_change(old, new, used)),
        *_compare(current.plans, wanted.plans, _plan_change),
        *_compare(current.addons, wanted.addons, _addon_change),
        *_compare(current.tax_rates, wanted.tax_rates, _tax_rate_change),
        *_compare(
            current.customers,
            wanted.customers,
            lambda old, new: _customer_change(old, new, subscribed),
        ),
        *_compare(current.subscriptions, wanted.subscriptions, _subscription_change),
    ]
    return CatalogChanges(
        changes=tuple(item for item in found if isinstance(item, Change)),
        refusals=tuple(item for item in found if isinstance(item, Refusal)),
        unchanged=tuple(item for item in found if isinstance(item, tuple)),
    )


Outcome = Change | Refusal | None
Unchanged = tuple[str, str]
"""Kind and key."""


def _compare(
    current: Iterable[T], wanted: Iterable[T], change: Callable[[T, T], Outcome]
) -> list[Change | Refusal | Unchanged]:
    by_key = {_key(value): value for value in current}
    outcomes: list[Change | Refusal | Unchanged] = []
    for value in wanted:
        old = by_key.get(_key(value))
        outcome = _creation(value) if old is None else change(old, value)
        outcomes.append(outcome or (_RESOURCES[type(value)], _key(value)))
    return outcomes


def _creation(value: CatalogValue) -> Change:
    if isinstance(value, Plan | Addon):
        value = replace(value, version=1)
    return Change(ChangeKind.CREATE, value)


def _meter_change(old: Meter, new: Meter, used: frozenset[str]) -> Outcome:
    details = _differences(meter_to_dict(old), meter_to_dict(new))
    if not details:
        return None
    counting = [
        field
        for field in _COUNTING_FIELDS
        if meter_to_dict(old).get(field) != meter_to_dict(new).get(field)
    ]
    if counting and new.key in used:
        problem = (
            f"meter {new.key!r} has usage, so its {', '.join(counting)} cannot change: what was "
            "counted would mean something else; make a meter with a new key"
        )
        return Refusal("meters", new.key, counting[0], problem, "METER_HAS_USAGE")
    return Change(ChangeKind.UPDATE, new, details)


def _plan_change(old: Plan, new: Plan) -> Outcome:
    # Without a time of its own, a version is on offer from when it is applied: that is no content.
    wanted_from = old.effective_from if new.effective_from is None else new.effective_from
    comparable = replace(new, version=old.version, effective_from=wanted_from)
    details = _differences(plan_to_dict(old), plan_to_dict(comparable))
    if not details:
        return None
    if new.currency != old.currency:
        problem = (
            f"plan {new.key!r} is in {old.currency}; a plan keeps its currency (R73), make a plan "
            f"with a new key for {new.currency}"
        )
        return Refusal("plans", new.key, "currency", problem, "CURRENCY_MISMATCH")
    return Change(ChangeKind.NEW_VERSION, replace(new, version=old.version + 1), details)


def _addon_change(old: Addon, new: Addon) -> Outcome:
    details = _differences(addon_to_dict(old), addon_to_dict(replace(new, version=old.version)))
    if not details:
        return None
    stays = f"subscriptions with version {old.version} keep it until it is removed"
    new = replace(new, version=old.version + 1)
    return Change(ChangeKind.NEW_VERSION, new, (*details, stays))


def _tax_rate_change(old: TaxRate, new: TaxRate) -> Outcome:
    details = _differences(tax_rate_to_dict(old), tax_rate_to_dict(new))
    stays = "issued invoices keep what they have"
    return Change(ChangeKind.UPDATE, new, (*details, stays)) if details else None


def _customer_change(old: Customer, new: Customer, subscribed: Mapping[str, str]) -> Outcome:
    if new.currency is None:
        new = replace(new, currency=old.currency)
    if new.limits is None:
        new = replace(new, limits=old.limits)
    details = _differences(customer_to_dict(old), customer_to_dict(new))
    if not details:
        return None
    subscription = subscribed.get(new.id)
    fixed = [name for name in ("timezone", "currency") if getattr(old, name) != getattr(new, name)]
    if subscription is not None and fixed and getattr(old, fixed[0]) is not None:
        problem = (
            f"customer {new.id!r} has subscription {subscription!r}; changing its {fixed[0]} "
            "under a running subscription is not supported by this version yet"
        )
        return Refusal("customers", new.id, fixed[0], problem, "NOT_SUPPORTED_YET")
    return Change(ChangeKind.UPDATE, new, details)


def _subscription_change(old: SubscriptionEntry, new: SubscriptionEntry) -> Outcome:
    # What a file leaves out stays as it was when the subscription was made.
    comparable = replace(
        new,
        start=new.start or old.start,
        anchor=new.anchor or old.anchor,
        quantities={**old.quantities, **new.quantities},
        overrides=new.overrides or ({} if "overrides" in new.emptied else old.overrides),
        addons=tuple(sorted(new.addons or (() if "addons" in new.emptied else old.addons))),
    )
    old = replace(old, addons=tuple(sorted(old.addons)))
    fixed = replace(
        comparable,
        overrides=old.overrides,
        addons=old.addons,
        quantities={key: comparable.quantities[key] for key in old.quantities},
    )
    is_there, is_wanted = subscription_entry_to_dict(old), subscription_entry_to_dict(fixed)
    refused = _differences(is_there, is_wanted)
    if refused:
        problem = (
            f"subscription {new.id!r} is there with other terms ({'; '.join(refused)}); changing "
            "these of a running subscription is not supported by this version yet"
        )
        names = [name for name in is_wanted if is_there.get(name) != is_wanted[name]]
        return Refusal("subscriptions", new.id, names[0], problem, "NOT_SUPPORTED_YET")
    details = _differences(subscription_entry_to_dict(old), subscription_entry_to_dict(comparable))
    return Change(ChangeKind.UPDATE, comparable, (*details, "from now on")) if details else None


def _differences(old: object, new: object, path: str = "") -> tuple[str, ...]:
    """Returns a line for each field that differs; items of lists are named by their key."""
    if old == new:
        return ()
    old_parts, new_parts = _parts(old), _parts(new)
    if old_parts is None or new_parts is None:
        return (f"{path}: {_shown(old)} -> {_shown(new)}",)
    lines: list[str] = []
    for name in dict.fromkeys([*old_parts, *new_parts]):
        inner = f"{path}.{name}" if path else name
        lines.extend(_differences(old_parts.get(name), new_parts.get(name), inner))
    return tuple(lines) or (f"{path}: another order",)


def _parts(value: object) -> dict[str, object] | None:
    """Returns the named parts of a mapping or list; None for a single value."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {
            str(item["key"]) if isinstance(item, dict) and "key" in item else str(position): item
            for position, item in enumerate(value)
        }
    return None


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return f'"{value}"'
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(_shown(item) for item in value) or "none"
        case dict():
            return ", ".join(f"{name} {_shown(item)}" for name, item in value.items() if item)
        case _:
            return str(value)


_RESOURCES: Final[Mapping[type, str]] = {
    Meter: "meter",
    Plan: "plan",
    Addon: "addon",
    TaxRate: "tax_rate",
    Customer: "customer",
    SubscriptionEntry: "subscription",
}


def _key(value: CatalogValue) -> str:
    return value.id if isinstance(value, Customer | SubscriptionEntry) else value.key

"""The prices that a subscription has: those of its plan with its overrides, and of its add-ons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.catalog.limit_rules import limit_problems
from billing_server.domain.catalog.model import (
    Addon,
    Meter,
    Plan,
    Price,
    RecurringPrice,
    SubscriptionEntry,
    UsagePrice,
)
from billing_server.domain.catalog.override import overridden, read_overridden
from billing_server.domain.catalog.price_rules import METER_NOT_SUMMED, by_event_problem
from billing_server.domain.document import MapNode, node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.matching import tied_prices

TERMS_INVALID = "SUBSCRIPTION_TERMS_INVALID"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What prices have to fit beside their plan."""

    meters: Mapping[str, Meter]
    """Every meter by key; one that is wrong itself may be absent."""
    limits: Sequence[Limit] = ()
    """The customer's own."""


def effective_plan(
    plan: Plan, *, overrides: Mapping[str, Mapping[str, object]], addons: Iterable[Addon]
) -> Plan:
    """Returns a plan version as it applies to one subscription.

    An override of a price that the version does not have changes nothing: a later version may.

    Args:
        plan: the version.
        overrides: by price, the fields that differ.
        addons: whose prices come behind the plan's.

    Raises:
        ValidationError: OVERRIDE_INVALID; `check_terms` says so before it comes to that.
    """
    prices = [*plan.prices, *(price for addon in addons for price in addon.prices)]
    return replace(plan, prices=tuple(_overridden(price, overrides=overrides) for price in prices))


def _overridden(price: Price, *, overrides: Mapping[str, Mapping[str, object]]) -> Price:
    fields = overrides.get(price.key)
    return price if fields is None else overridden(price, fields=fields, path=price.key)


def check_terms(
    plan: Plan,
    *,
    overrides: Mapping[str, Mapping[str, object]],
    addons: Sequence[Addon],
    quantities: Mapping[str, Decimal],
    surroundings: Surroundings,
    name: str,
) -> None:
    """Checks that a plan version, overrides, add-ons and quantities fit together.

    Args:
        plan: the version.
        overrides: by price, the fields that differ.
        addons: all that apply together.
        quantities: those of the subscription.
        surroundings: meters, and the customer's own limits.
        name: of the subscription, for messages.

    Raises:
        ValidationError: SUBSCRIPTION_TERMS_INVALID, one violation a mistake.
    """
    mistakes = Mistakes(name)
    entry = SubscriptionEntry(
        id=name,
        customer_id="",
        plan_key=plan.key,
        quantities=quantities,
        overrides=overrides,
        addons=tuple(addon.key for addon in addons),
    )
    plain: dict[str, object] = {
        "overrides": {key: dict(fields) for key, fields in overrides.items()}
    }
    reader = FieldReader(node_from_plain(plain), path="", mistakes=mistakes)
    known = {addon.key: addon for addon in addons}
    note_wrong_terms(entry, reader=reader, plan=plan, addons=known, surroundings=surroundings)
    note_limits(surroundings, reader=reader, plan=plan)
    mistakes.raise_if_any(reason=TERMS_INVALID)


def note_wrong_terms(
    entry: SubscriptionEntry,
    *,
    reader: FieldReader,
    plan: Plan,
    addons: Mapping[str, Addon],
    surroundings: Surroundings,
) -> None:
    """Notes what does not fit together in the terms of a subscription.

    Args:
        entry: the subscription.
        reader: of its fields, which knows their lines.
        plan: the version that it is on.
        addons: by key, those there are.
        surroundings: meters, and the customer's own limits.
    """
    added = []
    for key in entry.addons:
        addon = addons.get(key)
        if addon is None:
            problem = f"there is no add-on {key!r}; add it under addons, or correct the name"
            reader.note("addons", reason="ADDON_UNKNOWN", problem=problem)
        elif addon.currency is not None and addon.currency != plan.currency:
            problem = (
                f"add-on {key!r} is in {addon.currency} and plan {plan.key!r} in {plan.currency}; "
                f"choose an add-on in {plan.currency} (R73)"
            )
            reader.note("addons", reason="CURRENCY_MISMATCH", problem=problem)
        else:
            added.append(addon)
    prices = _joined(plan, added=added, reader=reader)
    own = _read_overrides(entry, reader=reader, prices=prices)
    _note_own_prices(own, added=added, reader=reader, plan=plan, surroundings=surroundings)
    quantities = reader.node_of("quantities")
    # What stands there and is wrong is told by itself, and is not missing as well.
    named = quantities.entries if isinstance(quantities, MapNode) else {}
    for price in prices.values():
        unit = price.per_unit if isinstance(price, RecurringPrice) else None
        if unit is not None and unit not in entry.quantities and unit not in named:
            problem = f"price {price.key!r} is for each of {unit}; write {{{unit}: 1}} or how many"
            reader.note("quantities", reason="QUANTITY_MISSING", problem=problem)


def note_limits(surroundings: Surroundings, *, reader: FieldReader, plan: Plan) -> None:
    """Notes prices of a plan under which a limit of the customer's own cannot be kept."""
    for limit in surroundings.limits:
        if not limit.is_money:
            continue
        for each in limit_problems(limit, meters=surroundings.meters, prices=plan.usage_prices):
            problem = f"the customer's limit {limit.key!r}: {each.problem}"
            reader.note("plan", reason=each.reason, problem=problem)


def _joined(plan: Plan, *, added: Iterable[Addon], reader: FieldReader) -> dict[str, Price]:
    """Returns the prices of a plan and its add-ons by key; notes those that stand twice or tie."""
    prices = {price.key: price for price in plan.prices}
    owners = dict.fromkeys(prices, f"plan {plan.key!r}")
    for addon in added:
        for price in addon.prices:
            if price.key in prices:
                problem = (
                    f"add-on {addon.key!r} and {owners[price.key]} both have a price "
                    f"{price.key!r}; rename one of them"
                )
                reader.note("addons", reason="PRICE_KEY_DUPLICATE", problem=problem)
                continue
            prices[price.key] = price
            owners[price.key] = f"add-on {addon.key!r}"
    usage = [price for price in prices.values() if isinstance(price, UsagePrice)]
    for first, second in tied_prices(usage):
        problem = (
            f"prices {first.key!r} of {owners[first.key]} and {second.key!r} of "
            f"{owners[second.key]} could both charge one event of meter {first.meter!r}; add a "
            "dimension to the where of one of them"
        )
        reader.note("addons", reason="PRICES_TIED", problem=problem)
    return prices


def _read_overrides(
    entry: SubscriptionEntry, *, reader: FieldReader, prices: Mapping[str, Price]
) -> dict[str, Price]:
    """Returns the prices that differ for the subscription by key; notes what is wrong with them."""
    found: dict[str, Price] = {}
    inner = reader.child("overrides")
    if inner is None:
        return found
    for key in entry.overrides:
        path = inner.path_of(key)
        node = inner.node_of(key)
        price = prices.get(key)
        if price is None or node is None:
            problem = (
                f"there is no price {key!r} in plan {entry.plan_key!r} or its add-ons; correct "
                f"the name; known are: {', '.join(sorted(prices))}"
            )
            inner.note(key, reason="PRICE_UNKNOWN", problem=problem)
            continue
        differing = read_overridden(price, node=node, path=path, mistakes=reader.mistakes)
        if differing is not None:
            found[key] = differing
    return found


def _note_own_prices(
    overrides: Mapping[str, Price],
    *,
    added: Sequence[Addon],
    reader: FieldReader,
    plan: Plan,
    surroundings: Surroundings,
) -> None:
    """Notes prices that meters or limits of money cannot take, but for the plan's own ones.

    Those were looked at with the plan.
    """
    inner = reader.child("overrides") if overrides else None
    own = [(inner, key, price) for key, price in overrides.items() if inner is not None]
    own += [(reader, "addons", price) for addon in added for price in addon.prices]
    for place, field, price in own:
        if not isinstance(price, UsagePrice):
            continue
        problem = by_event_problem(price, meters=surroundings.meters)
        if problem is not None and place is not reader:
            place.note(field, reason=METER_NOT_SUMMED, problem=problem)
        for limit in (*plan.limits, *surroundings.limits):
            if not limit.is_money:
                continue
            for each in limit_problems(limit, meters=surroundings.meters, prices=[price]):
                place.note(
                    field, reason=each.reason, problem=f"limit {limit.key!r}: {each.problem}"
                )

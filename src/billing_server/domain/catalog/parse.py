"""Catalog files: from text to frozen values, with every mistake found at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.catalog.limit_rules import limit_problems
from billing_server.domain.catalog.model import (
    Addon,
    CatalogFile,
    Meter,
    Plan,
    Price,
    SubscriptionEntry,
    UsagePrice,
)
from billing_server.domain.catalog.override import canonical_fields
from billing_server.domain.catalog.read import (
    read_addon,
    read_customer,
    read_meter,
    read_plan,
    read_subscription_entry,
)
from billing_server.domain.catalog.terms import note_wrong_terms
from billing_server.domain.document import Node, load_yaml
from billing_server.domain.fields import FieldReader, Mistakes, identifier, peek, raise_violations
from billing_server.domain.rating.price_model import is_rated_by_event
from billing_server.domain.subscription.model import Customer

T = TypeVar("T")

CATALOG_INVALID: Final = "CATALOG_INVALID"
NOTHING_KNOWN: Final = CatalogFile()
_LATER_SECTIONS: Final = {
    "coupons": "coupons",
    "tax_rates": "tax",
    "credits": "credits",
}


def parse_catalog(text: str, *, name: str, known: CatalogFile = NOTHING_KNOWN) -> CatalogFile:
    """Reads a catalog file (YAML; JSON is a part of it).

    Args:
        text: at most 1 MiB.
        name: of the file, for messages.
        known: what is applied already and may be referred to.

    Raises:
        ValidationError: CATALOG_INVALID, with one violation for each mistake in the file: field
            path, `file:line: path: what is wrong and what to do`, and its own reason.
    """
    return parse_catalog_files([(name, text)], known=known)


def parse_catalog_files(
    files: Sequence[tuple[str, str]], *, known: CatalogFile = NOTHING_KNOWN
) -> CatalogFile:
    """Reads several files as one catalog: each may refer to what another holds.

    Args:
        files: name and text of each.
        known: what is applied already and may be referred to.
    """
    nodes = [(name, load_yaml(text, name=name)) for name, text in files]
    return parse_catalog_nodes(nodes, known=known)


def parse_catalog_nodes(
    nodes: Sequence[tuple[str, Node]], *, known: CatalogFile = NOTHING_KNOWN, path: str = ""
) -> CatalogFile:
    """Reads located values as one catalog, such as the `catalog` part of a scenario.

    Args:
        nodes: file name and values of each.
        known: what is applied already and may be referred to.
        path: of the field that holds the catalog; empty: the whole file is one.
    """
    sections = [FieldReader(node, path=path, mistakes=Mistakes(name)) for name, node in nodes]
    parser = _CatalogParser(known)
    catalog = parser.parse(sections)
    violations = [violation for section in sections for violation in section.mistakes.violations]
    raise_violations(violations, reason=CATALOG_INVALID)
    return catalog


class _CatalogParser:
    """Reads the sections in the order of their references: meters, plans, customers, …."""

    def __init__(self, known: CatalogFile) -> None:
        self._known = known
        self._read_keys: dict[str, frozenset[str]] = {}

    def parse(self, files: list[FieldReader]) -> CatalogFile:
        meters = self._section(files, "meters", key="key", read=read_meter)
        meter_keys = self._read_keys["meters"] | {meter.key for meter in self._known.meters}
        plans = self._section(
            files, "plans", key="key", read=lambda item: read_plan(item, meter_keys=meter_keys)
        )
        addons = self._section(
            files, "addons", key="key", read=lambda item: read_addon(item, meter_keys=meter_keys)
        )
        customers = self._section(
            files,
            "customers",
            key="id",
            read=lambda item: read_customer(item, meter_keys=meter_keys),
        )
        subscriptions = self._section(
            files, "subscriptions", key="id", read=read_subscription_entry
        )
        self._check_meters(plans, meters=meters)
        self._check_references(subscriptions, plans=plans, customers=customers)
        self._check_terms(subscriptions, plans=plans, addons=addons)
        self._check_limits(meters, plans=plans, customers=customers, subscriptions=subscriptions)
        for file in files:
            file.finish(later=_LATER_SECTIONS)
        return CatalogFile(
            meters=_values(meters),
            plans=_values(plans),
            addons=_values(addons),
            customers=_values(customers),
            subscriptions=_values(subscriptions),
        )

    def _section(
        self,
        files: list[FieldReader],
        section: str,
        *,
        key: str,
        read: Callable[[FieldReader], T | None],
    ) -> dict[str, tuple[T, FieldReader]]:
        """Reads one list of every file; a key stands once in all of them."""
        found: dict[str, tuple[T, FieldReader]] = {}
        first_place: dict[str, str] = {}
        for file in files:
            for path, node in file.items(section):
                reader = FieldReader(node, path=path, mistakes=file.mistakes)
                value = read(reader)
                # A key counts as there even where the rest of the item is wrong: what refers to it
                # is not a second mistake.
                name = peek(node, key, identifier)
                if name is None:
                    continue
                if name in first_place:
                    problem = f"{name!r} stands in {first_place[name]} already; keep one of them"
                    reader.note(key, reason="KEY_DUPLICATE", problem=problem)
                    continue
                first_place[name] = f"{file.mistakes.name} {path}"
                if value is not None:
                    found[name] = (value, reader)
        self._read_keys[section] = frozenset(first_place)
        return found

    def _check_terms(
        self,
        subscriptions: dict[str, tuple[SubscriptionEntry, FieldReader]],
        *,
        plans: dict[str, tuple[Plan, FieldReader]],
        addons: dict[str, tuple[Addon, FieldReader]],
    ) -> None:
        plan_by_key = {plan.key: plan for plan in self._known.plans} | {
            key: plan for key, (plan, _) in plans.items()
        }
        addon_by_key = {addon.key: addon for addon in self._known.addons} | {
            key: addon for key, (addon, _) in addons.items()
        }
        unread = self._read_keys["addons"] - addon_by_key.keys()
        for key, (entry, reader) in subscriptions.items():
            plan = plan_by_key.get(entry.plan_key)
            if plan is None or unread.intersection(entry.addons):
                continue
            count_before = reader.mistakes.count
            note_wrong_terms(entry, reader=reader, plan=plan, addons=addon_by_key)
            if reader.mistakes.count == count_before:
                added = [price for name in entry.addons for price in addon_by_key[name].prices]
                subscriptions[key] = _canonical(entry, prices=[*plan.prices, *added]), reader

    def _check_meters(
        self,
        plans: dict[str, tuple[Plan, FieldReader]],
        *,
        meters: dict[str, tuple[Meter, FieldReader]],
    ) -> None:
        """Notes prices that look at single events of a meter whose values do not add up."""
        by_key = {meter.key: meter for meter in self._known.meters} | {
            key: meter for key, (meter, _) in meters.items()
        }
        for plan, reader in plans.values():
            for price in plan.usage_prices:
                meter = by_key.get(price.meter)
                if meter is None or not is_rated_by_event(price.model):
                    continue
                if not meter.aggregation.is_additive or not meter.aggregation.is_summed:
                    problem = (
                        f"price {price.key!r} is rated event by event, and meter {meter.key!r} "
                        f"is a {meter.aggregation}; price a sum or a count instead"
                    )
                    reader.note("prices", reason="METER_NOT_SUMMED", problem=problem)

    def _check_references(
        self,
        subscriptions: dict[str, tuple[SubscriptionEntry, FieldReader]],
        *,
        plans: dict[str, tuple[Plan, FieldReader]],
        customers: dict[str, tuple[Customer, FieldReader]],
    ) -> None:
        plan_by_key = {plan.key: plan for plan in self._known.plans} | {
            key: plan for key, (plan, _) in plans.items()
        }
        customer_by_id = {customer.id: customer for customer in self._known.customers} | {
            key: customer for key, (customer, _) in customers.items()
        }
        for entry, reader in subscriptions.values():
            plan = plan_by_key.get(entry.plan_key)
            customer = customer_by_id.get(entry.customer_id)
            if plan is None and entry.plan_key not in self._read_keys["plans"]:
                problem = f"there is no plan {entry.plan_key!r}; add it, or correct the name"
                reader.note("plan", reason="PLAN_UNKNOWN", problem=problem)
            if customer is None and entry.customer_id not in self._read_keys["customers"]:
                problem = f"there is no customer {entry.customer_id!r}; add it, or correct the id"
                reader.note("customer", reason="CUSTOMER_UNKNOWN", problem=problem)
            if plan is None or customer is None or customer.currency is None:
                continue
            if customer.currency != plan.currency:
                problem = (
                    f"plan {plan.key!r} is in {plan.currency} and customer {customer.id!r} pays in "
                    f"{customer.currency}; choose a plan in {customer.currency} (R73)"
                )
                reader.note("plan", reason="CURRENCY_MISMATCH", problem=problem)

    def _check_limits(
        self,
        meters: dict[str, tuple[Meter, FieldReader]],
        *,
        plans: dict[str, tuple[Plan, FieldReader]],
        customers: dict[str, tuple[Customer, FieldReader]],
        subscriptions: dict[str, tuple[SubscriptionEntry, FieldReader]],
    ) -> None:
        """Notes limits that could not be kept: see `limit_problems`."""
        meter_by_key = {meter.key: meter for meter in self._known.meters} | {
            key: meter for key, (meter, _) in meters.items()
        }
        plan_by_key = {plan.key: plan for plan in self._known.plans} | {
            key: plan for key, (plan, _) in plans.items()
        }
        for plan, reader in plans.values():
            _note_limits(plan.limits, reader=reader, meters=meter_by_key, prices=plan.usage_prices)
        entries = [*self._known.subscriptions, *(entry for entry, _ in subscriptions.values())]
        for customer, reader in customers.values():
            bought = [
                plan_by_key[entry.plan_key]
                for entry in entries
                if entry.customer_id == customer.id and entry.plan_key in plan_by_key
            ]
            prices = [price for plan in bought for price in plan.usage_prices]
            _note_limits(customer.limits or (), reader=reader, meters=meter_by_key, prices=prices)


def _note_limits(
    limits: Sequence[Limit],
    *,
    reader: FieldReader,
    meters: Mapping[str, Meter],
    prices: Sequence[UsagePrice],
) -> None:
    for limit, (path, node) in zip(limits, reader.items("limits"), strict=False):
        item = FieldReader(node, path=path, mistakes=reader.mistakes)
        for each in limit_problems(limit, meters=meters, prices=prices):
            item.note(each.field, reason=each.reason, problem=each.problem)


def _canonical(entry: SubscriptionEntry, *, prices: Sequence[Price]) -> SubscriptionEntry:
    """Returns an entry whose overrides are in canonical writing."""
    by_key = {price.key: price for price in prices}
    overrides = {
        key: canonical_fields(by_key[key], fields=fields) for key, fields in entry.overrides.items()
    }
    return replace(entry, overrides=overrides)


def _values(found: dict[str, tuple[T, FieldReader]]) -> tuple[T, ...]:
    return tuple(value for value, _ in found.values())

"""What the parts of a catalog ask of each other: every reference, and every rule across parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from billing_server.domain.catalog.price_rules import (
    METER_NOT_SUMMED,
    PRICE_IDLE,
    by_event_problem,
    contradiction,
)
from billing_server.domain.catalog.tax_rules import note_categories, note_countries, note_overlaps
from billing_server.domain.catalog.terms import Surroundings, note_limits, note_wrong_terms
from billing_server.domain.fields import FieldReader, key_text, peek
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxRate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCatalog:
    """The sections of a catalog with the readers that know their lines."""

    meters: dict[str, tuple[Meter, FieldReader]]
    plans: dict[str, tuple[Plan, FieldReader]]
    addons: dict[str, tuple[Addon, FieldReader]]
    tax_rates: dict[str, tuple[TaxRate, FieldReader]]
    customers: dict[str, tuple[Customer, FieldReader]]
    subscriptions: dict[str, tuple[SubscriptionEntry, FieldReader]]
    keys: Mapping[str, frozenset[str]]
    """By section, every key of its items. Those of wrong items are among them: what refers to one
    is not a second mistake."""

    def values(self) -> CatalogFile:
        """Returns what was read, without the readers."""
        return CatalogFile(
            meters=tuple(value for value, _ in self.meters.values()),
            plans=tuple(value for value, _ in self.plans.values()),
            addons=tuple(value for value, _ in self.addons.values()),
            tax_rates=tuple(value for value, _ in self.tax_rates.values()),
            customers=tuple(value for value, _ in self.customers.values()),
            subscriptions=tuple(value for value, _ in self.subscriptions.values()),
        )


class CrossChecks:
    """Checks a catalog beside what is applied already."""

    def __init__(self, known: CatalogFile, *, read: ReadCatalog) -> None:
        self._known = known
        self._read = read
        new = read.values()
        self._meters = {each.key: each for each in (*known.meters, *new.meters)}
        self._plans = {each.key: each for each in (*known.plans, *new.plans)}
        self._addons = {each.key: each for each in (*known.addons, *new.addons)}
        self._customers = {each.id: each for each in (*known.customers, *new.customers)}

    def note_all(self) -> None:
        """Notes every mistake across parts, and writes overrides in their canonical form."""
        self._note_meters()
        self._note_references()
        self._note_terms()
        self._note_limits()
        self._note_tax()

    def _note_meters(self) -> None:
        """Notes prices that their meter cannot serve."""
        offered: list[tuple[Plan | Addon, FieldReader]] = [
            *self._read.plans.values(),
            *self._read.addons.values(),
        ]
        for offer, reader in offered:
            for price in offer.usage_prices:
                problem = by_event_problem(price, meters=self._meters)
                if problem is not None:
                    _note_price(reader, price, "model", reason=METER_NOT_SUMMED, problem=problem)
                problem = contradiction(price, meters=self._meters)
                if problem is not None:
                    _note_price(reader, price, "where", reason=PRICE_IDLE, problem=problem)
        # A meter without usage may still become another one, unless a price that stays needs it.
        staying: list[Plan | Addon] = [
            *(each for each in self._known.plans if each.key not in self._read.plans),
            *(each for each in self._known.addons if each.key not in self._read.addons),
        ]
        for offer in staying:
            for price in offer.usage_prices:
                problem = by_event_problem(price, meters=self._meters)
                if problem is not None and price.meter in self._read.meters:
                    _, reader = self._read.meters[price.meter]
                    named = f"{problem} (the price is one of {offer.key!r})"
                    reader.note("aggregation", reason=METER_NOT_SUMMED, problem=named)

    def _note_tax(self) -> None:
        """Notes tax that would be charged twice, or silently not."""
        read = self._read
        note_overlaps(read.tax_rates, known=self._known.tax_rates)
        if read.keys["tax_rates"] - read.tax_rates.keys():
            return  # A rate that could not be read may be what the others ask for.
        new = {rate.key: rate for rate, _ in read.tax_rates.values()}
        rates = [*(each for each in self._known.tax_rates if each.key not in new), *new.values()]
        note_categories([*read.plans.values(), *read.addons.values()], rates=rates)
        note_countries(read.customers.values(), rates=rates)

    def _note_references(self) -> None:
        paid_in: dict[str, str] = {}
        for entry, reader in self._read.subscriptions.values():
            plan = self._plans.get(entry.plan_key)
            customer = self._customers.get(entry.customer_id)
            if plan is None and entry.plan_key not in self._read.keys["plans"]:
                problem = f"there is no plan {entry.plan_key!r}; add it, or correct the name"
                reader.note("plan", reason="PLAN_UNKNOWN", problem=problem)
            if customer is None and entry.customer_id not in self._read.keys["customers"]:
                problem = f"there is no customer {entry.customer_id!r}; add it, or correct the id"
                reader.note("customer", reason="CUSTOMER_UNKNOWN", problem=problem)
            if plan is None or customer is None:
                continue
            # A customer without a currency gets that of its first plan.
            currency = customer.currency or paid_in.setdefault(customer.id, plan.currency)
            if currency != plan.currency:
                problem = (
                    f"plan {plan.key!r} is in {plan.currency} and customer {customer.id!r} pays in "
                    f"{currency}; choose a plan in {currency} (R73)"
                )
                reader.note("plan", reason="CURRENCY_MISMATCH", problem=problem)

    def _note_terms(self) -> None:
        unread = self._read.keys["addons"] - self._addons.keys()
        for key, (entry, reader) in self._read.subscriptions.items():
            plan = self._plans.get(entry.plan_key)
            if plan is None or unread.intersection(entry.addons):
                continue
            count_before = reader.mistakes.count
            customer = self._customers.get(entry.customer_id)
            own_limits = () if customer is None else customer.limits or ()
            beside = Surroundings(self._meters, own_limits)
            note_wrong_terms(
                entry, reader=reader, plan=plan, addons=self._addons, surroundings=beside
            )
            if entry.customer_id not in self._read.customers:
                note_limits(beside, reader=reader, plan=plan)
            if reader.mistakes.count == count_before:
                added = [price for name in entry.addons for price in self._addons[name].prices]
                canonical = _canonical(entry, prices=[*plan.prices, *added])
                self._read.subscriptions[key] = canonical, reader

    def _note_limits(self) -> None:
        """Notes limits that could not be kept: see `limit_problems`."""
        for plan, reader in self._read.plans.values():
            self._note_limits_of(plan.limits, reader=reader, prices=plan.usage_prices)
        new = [entry for entry, _ in self._read.subscriptions.values()]
        for customer, reader in self._read.customers.values():
            bought = [
                self._plans[entry.plan_key]
                for entry in (*self._known.subscriptions, *new)
                if entry.customer_id == customer.id and entry.plan_key in self._plans
            ]
            prices = [price for plan in bought for price in plan.usage_prices]
            self._note_limits_of(customer.limits or (), reader=reader, prices=prices)

    def _note_limits_of(
        self, limits: Sequence[Limit], *, reader: FieldReader, prices: Sequence[UsagePrice]
    ) -> None:
        for limit, (path, node) in zip(limits, reader.items("limits"), strict=False):
            item = FieldReader(node, path=path, mistakes=reader.mistakes)
            for each in limit_problems(limit, meters=self._meters, prices=prices):
                item.note(each.field, reason=each.reason, problem=each.problem)


def _canonical(entry: SubscriptionEntry, *, prices: Sequence[Price]) -> SubscriptionEntry:
    """Returns an entry whose overrides are in canonical writing."""
    by_key = {price.key: price for price in prices}
    overrides = {
        key: canonical_fields(by_key[key], fields=fields) for key, fields in entry.overrides.items()
    }
    return replace(entry, overrides=overrides)


def _note_price(
    reader: FieldReader, price: Price, field: str, *, reason: str, problem: str
) -> None:
    """Notes a mistake of one of an offer's prices at the field where it stands."""
    for path, node in reader.items("prices"):
        if peek(node, "key", key_text) == price.key:
            FieldReader(node, path=path, mistakes=reader.mistakes).note(
                field, reason=reason, problem=problem
            )

"""Why an invoice is not what the one before was: line beside line, usage and price told apart."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from billing_server.domain.catalog.model import RecurringPrice, UsagePrice
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.invoice.comparison import ChargeChange, ComparedCharge, split_change
from billing_server.domain.invoice.model import USAGE_KINDS
from billing_server.domain.ports.invoices import InvoiceContent, InvoiceFilter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.usage import usage_terms
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.line_terms import find_line_terms, share_of
from billing_server.services.list_invoices import show_invoice
from billing_server.services.pages import PAGE_LIMIT_MAX
from billing_server.services.upcoming_invoice import upcoming_invoice
from metering.clock import parse_instant
from metering.errors import ValidationError
from metering.money import Exact, Money
from metering.quantity import plain_decimal

Json = Mapping[str, Any]
LineKey = tuple[str, str, str, str]
"""Subscription, price, kind, group: what is the same charge in another period."""

PERIODIC: Final = "periodic"


class Basis(StrEnum):
    """Which upcoming invoice is compared."""

    SO_FAR = "so_far"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class _Document:
    """An invoice, or several that stand for one period."""

    numbers: tuple[str, ...]
    """Numbers of the issued ones; empty: an upcoming one."""
    period: Json | None
    """Of the first of them."""
    lines: tuple[Json, ...]
    """All their lines."""
    total: Money
    """Σ their totals."""
    tax: Money
    """Σ their tax on top of the lines."""


def compare_invoices(
    context: ServiceContext, *, number_or_id: str, with_number: str | None = None
) -> dict[str, Any]:
    """Compare an issued invoice with another one.

    Args:
        context: the world.
        number_or_id: the later one.
        with_number: the earlier one; None: the subscription's periodic invoice before it.

    Raises:
        NotFoundError: INVOICE_NOT_FOUND.
        ValidationError: INVOICES_NOT_COMPARABLE, of two customers or currencies.
    """
    content = show_invoice(context, number_or_id=number_or_id)
    with context.store.read() as unit:
        if with_number is None:
            earlier = _one_before(unit, content=content)
        else:
            earlier = [show_invoice(context, number_or_id=with_number)]
        _check_comparable(content, earlier=earlier)
        return _compared(unit, after=_document([content]), before=earlier, content=content)


def compare_upcoming(
    context: ServiceContext, *, customer_id: str, basis: Basis = Basis.SO_FAR
) -> dict[str, Any]:
    """Compare a customer's upcoming invoice with the last ones of the same subscriptions.

    Args:
        context: the world.
        customer_id: whose.
        basis: the amounts as of now, or those estimated for the period's end.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    content = upcoming_invoice(context, customer_id=customer_id)
    lines: list[Json] = content["lines"]
    totals = content
    estimate = content["estimate"]
    if basis is Basis.ESTIMATE and estimate is not None:
        lines = [line for period in estimate["periods"] for line in period["lines"]]
        totals = estimate
    currency = content["currency"] or "USD"
    after = _Document((), content["period"], tuple(lines), *_totals([totals], currency=currency))
    with context.store.read() as unit:
        earlier: list[InvoiceContent] = []
        for subscription in unit.subscriptions.of_customer(customer_id):
            issued = _periodic(unit, customer_id=customer_id, subscription_id=subscription.id)
            earlier += issued[-1:]
        return {"basis": str(basis)} | _compared(unit, after=after, before=earlier, content=content)


def _one_before(unit: UnitOfWork, *, content: InvoiceContent) -> list[InvoiceContent]:
    """Return the periodic invoices before an invoice, one of each subscription on it."""
    subscriptions = {line["subscription"] for line in content["lines"]}
    start = parse_instant(content["period"]["start"])
    found = []
    for subscription_id in sorted(subscriptions):
        issued = _periodic(unit, customer_id=content["customer"], subscription_id=subscription_id)
        before = [each for each in issued if parse_instant(each["period"]["end"]) <= start]
        found += before[-1:]
    return found


def _periodic(unit: UnitOfWork, *, customer_id: str, subscription_id: str) -> list[InvoiceContent]:
    """Return a subscription's periodic invoices in the order of issue."""
    wanted = InvoiceFilter(
        customer_id=customer_id, subscription_id=subscription_id, reason=PERIODIC
    )
    found: list[InvoiceContent] = []
    after: str | None = None
    while page := unit.invoices.page(wanted, after=after, limit=PAGE_LIMIT_MAX):
        found += page
        after = page[-1]["number"]
    return found


def _check_comparable(content: InvoiceContent, *, earlier: Sequence[InvoiceContent]) -> None:
    for other in earlier:
        for field in ("customer", "currency"):
            if other[field] != content[field]:
                raise ValidationError(
                    reason="INVOICES_NOT_COMPARABLE",
                    message=f"{other['number']} has {field} {other[field]} and "
                    f"{content['number']} has {content[field]}; name one of the same {field}",
                )


def _document(contents: Sequence[InvoiceContent]) -> _Document:
    currency = contents[0]["currency"]
    return _Document(
        tuple(each["number"] for each in contents),
        contents[0]["period"],
        tuple(line for each in contents for line in each["lines"]),
        *_totals(contents, currency=currency),
    )


def _totals(contents: Sequence[Json], *, currency: str) -> tuple[Money, Money]:
    """Return Σ totals and Σ tax on top of the lines."""
    total, tax = (
        sum(
            (Money.from_decimal_string(each[field], currency) for each in contents),
            start=Money.zero(currency),
        )
        for field in ("total", "tax_total")
    )
    return total, tax


def _compared(
    unit: UnitOfWork,
    *,
    after: _Document,
    before: Sequence[InvoiceContent],
    content: InvoiceContent,
) -> dict[str, Any]:
    currency = after.total.currency
    earlier = _document(before) if before else None
    terms = load_customer_terms(unit, customer_id=content["customer"])
    old = _by_key(earlier.lines if earlier else ())
    new = _by_key(after.lines)
    lines = [
        _line_to_dict(
            unit, terms=terms, before=old.get(key, ()), after=new.get(key, ()), currency=currency
        )
        for key in {**new, **old}
    ]
    nothing = Money.zero(currency)
    difference = after.total - (earlier.total if earlier else nothing)
    tax_effect = after.tax - (earlier.tax if earlier else nothing)
    return {
        "customer": content["customer"],
        "currency": currency,
        "before": None if earlier is None else _document_to_dict(earlier),
        "after": _document_to_dict(after),
        "difference": difference.decimal_string(),
        "usage_effect": _sum(lines, field="usage_effect", currency=currency),
        "price_effect": _sum(lines, field="price_effect", currency=currency),
        "tax_effect": tax_effect.decimal_string(),
        "lines": lines,
    }


def _by_key(lines: Iterable[Json]) -> dict[LineKey, list[Json]]:
    found: dict[LineKey, list[Json]] = defaultdict(list)
    for line in lines:
        key = line["subscription"], line["price"], line["kind"], canonical_json(line["group"])
        found[key].append(line)
    return found


def _line_to_dict(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    before: Sequence[Json],
    after: Sequence[Json],
    currency: str,
) -> dict[str, Any]:
    old = _charge(unit, terms=terms, lines=before, currency=currency)
    new = _charge(unit, terms=terms, lines=after, currency=currency)
    change = split_change(old, new, currency=currency)
    named = (after or before)[-1]
    return {
        **{name: named[name] for name in ("subscription", "price", "kind", "description", "group")},
        "unit": named["unit"],
        "before": _side_to_dict(old, lines=before),
        "after": _side_to_dict(new, lines=after),
        **_change_to_dict(change),
    }


def _charge(
    unit: UnitOfWork, *, terms: CustomerTerms, lines: Sequence[Json], currency: str
) -> ComparedCharge | None:
    """Return what lines of one price charge together; several of them cannot be rated as one."""
    if not lines:
        return None
    amounts = [Money.from_decimal_string(line["amount"], currency) for line in lines]
    return ComparedCharge(
        sum((Decimal(line["quantity"]) for line in lines), start=Decimal(0)),
        sum(amounts, start=Money.zero(currency)),
        _rate_of(unit, terms=terms, line=lines[0]) if len(lines) == 1 else None,
    )


def _rate_of(unit: UnitOfWork, *, terms: CustomerTerms, line: Json) -> Any:
    """Return what the line's terms make of a quantity; None where they need more than that."""
    known = find_line_terms(unit, terms=terms, line=line)
    share = share_of(line)
    match None if known is None else known.price:
        case RecurringPrice(amount=amount):

            def rate_fee(quantity: Exact) -> Exact:
                return Fraction(amount) * share * Fraction(quantity)

            return rate_fee
        case UsagePrice() as price if known is not None and known.meter is not None:
            compiled = usage_terms(
                price, meter=known.meter, share=known.share, maximum_share=known.maximum_share
            )
            is_alone = line["kind"] in USAGE_KINDS and not line["group"]
            return compiled.rate if is_alone and not compiled.is_rated_by_event else None
    return None


def _document_to_dict(document: _Document) -> dict[str, Any]:
    return {
        "numbers": list(document.numbers),
        "period": document.period,
        "total": document.total.decimal_string(),
    }


def _side_to_dict(charge: ComparedCharge | None, *, lines: Sequence[Json]) -> dict[str, Any] | None:
    if charge is None:
        return None
    return {
        "quantity": plain_decimal(charge.quantity),
        "amount": charge.amount.decimal_string(),
        "price_version": lines[-1]["price_version"],
    }


def _change_to_dict(change: ChargeChange) -> dict[str, str]:
    return {
        "difference": change.difference.decimal_string(),
        "usage_effect": change.usage_effect.decimal_string(),
        "price_effect": change.price_effect.decimal_string(),
        "method": str(change.method),
    }


def _sum(lines: Sequence[Json], *, field: str, currency: str) -> str:
    amounts = (Money.from_decimal_string(line[field], currency) for line in lines)
    return sum(amounts, start=Money.zero(currency)).decimal_string()

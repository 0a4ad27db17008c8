"""Tax in a catalog: rates, and what prices and customers say of it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from billing_server.domain.document import Node, Scalar
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    choice,
    instant,
    key_text,
    price,
    text,
)
from billing_server.domain.tax.rate import TaxBehavior, TaxRate
from metering.quantity import plain_decimal

COUNTRY_LETTERS: Final = 2
_RATE_MAX: Final = Decimal(1)


def read_tax_rate(reader: FieldReader) -> TaxRate | None:
    """Reads a tax rate."""
    key = reader.required("key", key_text)
    name = reader.required("name", text)
    rate = reader.required("rate", _fraction)
    country = reader.required("country", country_code)
    region = reader.optional("region", key_text, default="")
    category = reader.optional("category", key_text, default="")
    start = reader.maybe("from", _day)
    end = reader.maybe("until", _day)
    if start is not None and end is not None and end <= start:
        problem = f"until {end} is not after from {start}; it is the first day without the rate"
        reader.note("until", reason="TAX_RATE_NEVER_LAW", problem=problem)
    reader.finish()
    if key is None or name is None or rate is None or country is None:
        return None
    return TaxRate(
        key=key,
        name=name,
        rate=rate,
        country=country,
        region=region,
        category=category,
        start=start,
        end=end,
    )


def read_price_tax(reader: FieldReader) -> tuple[str, TaxBehavior]:
    """Reads `tax_category` and `tax_behavior` of a price."""
    category = reader.optional("tax_category", key_text, default="")
    behavior = reader.optional("tax_behavior", choice(TaxBehavior), default=TaxBehavior.EXCLUSIVE)
    return category, behavior


def tax_rate_to_dict(rate: TaxRate) -> dict[str, object]:
    """Returns a tax rate in canonical writing."""
    return {
        "key": rate.key,
        "name": rate.name,
        "rate": plain_decimal(rate.rate),
        "country": rate.country,
        "region": rate.region or None,
        "category": rate.category or None,
        "from": None if rate.start is None else rate.start.isoformat(),
        "until": None if rate.end is None else rate.end.isoformat(),
    }


def price_tax_to_dict(category: str, behavior: TaxBehavior) -> dict[str, object]:
    """Returns what a price says of tax; what it does not say is left out.

    So what was stored and hashed before there was tax stays as it was.
    """
    fields: dict[str, object] = {"tax_category": category} if category else {}
    if behavior is not TaxBehavior.EXCLUSIVE:
        fields["tax_behavior"] = str(behavior)
    return fields


def is_country_code(code: str) -> bool:
    """Tells whether a text looks like an ISO 3166 code of two capitals."""
    return len(code) == COUNTRY_LETTERS and code.isascii() and code.isalpha() and code.isupper()


def country_code(node: Node) -> str:
    """Reads an ISO 3166 code."""
    code = text(node)
    if not is_country_code(code):
        problem = f"{code!r} is no country; write its ISO 3166 code in two capitals, such as DE"
        raise FieldMistake("COUNTRY_MALFORMED", problem)
    return code


def unknown_category(category: str, *, rates: Sequence[TaxRate]) -> str | None:
    """Returns what is wrong with the tax category of a price; None where nothing is.

    Before there is a tax rate, prices may have any.
    """
    known = sorted({rate.category for rate in rates if rate.category})
    if not category or not rates or category in known:
        return None
    others = f"use one of: {', '.join(known)}" if known else "leave it out"
    return f"no tax rate is for category {category!r}; add one under tax_rates, or {others}"


def _fraction(node: Node) -> Decimal:
    """Reads a rate: a fraction of at most 1."""
    value = price(node)
    if value > _RATE_MAX:
        problem = (
            f'{plain_decimal(value)} is more than the whole; a rate is a fraction: 19 % is "0.19"'
        )
        raise FieldMistake("TAX_RATE_ABOVE_ONE", problem)
    return value


def _day(node: Node) -> date:
    """Reads a day: 2026-01-01, or the same as midnight in UTC."""
    raw = node.text if isinstance(node, Scalar) else ""
    try:
        return date.fromisoformat(raw)
    except ValueError:
        found = instant(node)
    if found != datetime.combine(found.date(), time(), tzinfo=UTC):
        problem = f"{raw}: tax rates change with a day, wherever it begins; write {found.date()}"
        raise FieldMistake("DAY_MALFORMED", problem)
    return found.date()

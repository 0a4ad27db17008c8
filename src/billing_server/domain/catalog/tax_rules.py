"""What the parts of a catalog ask of each other in tax."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from billing_server.domain.catalog.model import Addon, Plan, Price
from billing_server.domain.catalog.read_tax import is_country_code, unknown_category
from billing_server.domain.fields import FieldReader, key_text, peek
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxRate, overlapping_rates

Read = Mapping[str, tuple[TaxRate, FieldReader]]


def note_mixed_tax(reader: FieldReader, *, prices: Sequence[Price]) -> None:
    """Notes prices of a plan with a minimum or a commitment that are taxed in different ways.

    What is missing to a minimum is no price of its own: it is taxed as the prices that it is for.
    """
    for first, price in ((prices[0], each) for each in prices):
        ways = {(each.tax_category, each.tax_behavior) for each in (first, price)}
        if len(ways) > 1:
            problem = (
                f"prices {first.key!r} and {price.key!r} are taxed in different ways, and what is "
                "missing to minimum_spend or commitment is of all of them; give them the same "
                "tax_category and tax_behavior"
            )
            _note_price(reader, price.key, "tax_category", reason="TAX_MIXED", problem=problem)


def note_overlaps(read: Read, *, known: Iterable[TaxRate]) -> None:
    """Notes rates that are for the same at the same time as another one."""
    staying = [rate for rate in known if rate.key not in read]
    for first, second in overlapping_rates([*staying, *(rate for rate, _ in read.values())]):
        if second.key not in read:
            continue
        problem = (
            f"rates {first.key!r} and {second.key!r} are both {second.name} of {second.country} "
            "at one time; end one with until where the other begins, give one a region or a "
            "category, or another name if both are to be charged"
        )
        read[second.key][1].note("from", reason="TAX_RATES_OVERLAP", problem=problem)


def note_categories(
    offers: Iterable[tuple[Plan | Addon, FieldReader]], *, rates: Sequence[TaxRate]
) -> None:
    """Notes prices of a tax category that no rate is for."""
    for offer, reader in offers:
        for price in offer.prices:
            problem = unknown_category(price.tax_category, rates=rates)
            if problem is not None:
                reason = "TAX_CATEGORY_UNKNOWN"
                _note_price(reader, price.key, "tax_category", reason=reason, problem=problem)


def note_countries(
    customers: Iterable[tuple[Customer, FieldReader]], *, rates: Sequence[TaxRate]
) -> None:
    """Notes customers whose country no tax rate can match: they would silently pay no tax."""
    for customer, reader in customers if rates else ():
        if customer.country and not is_country_code(customer.country):
            problem = (
                f"{customer.country!r} is no ISO 3166 code, so that no tax rate would apply; "
                "write two capitals, such as DE"
            )
            reader.note("country", reason="COUNTRY_MALFORMED", problem=problem)


def _note_price(reader: FieldReader, key: str, field: str, *, reason: str, problem: str) -> None:
    for price_reader in _price_readers(reader, key=key):
        price_reader.note(field, reason=reason, problem=problem)


def _price_readers(reader: FieldReader, *, key: str) -> Iterator[FieldReader]:
    for path, node in reader.items("prices"):
        if peek(node, "key", key_text) == key:
            yield FieldReader(node, path=path, mistakes=reader.mistakes)

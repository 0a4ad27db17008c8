"""Events are grouped before they touch the database."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.ports.usage import ChargeKey
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.usage import UsageTerms
from billing_server.services.ingest_tally import Tally
from billing_server.services.usage_batch import charge_row_of
from billing_server.store.unit_of_work import SqlStore
from billing_server.store.usage_repository import SqlUsageRepository
from metering.errors import InvariantError
from tests.billing_server.ingest_world import IngestWorld, event

KEY = ChargeKey("acme", "sub", 0, "price", 0)


def terms(price: str, *, share: Fraction = Fraction(1)) -> UsageTerms:
    return UsageTerms(PerUnit(Decimal(price)), Decimal(0), share)


def test_events_of_a_minute_become_one_row_a_series_and_one_charge_a_price(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = IngestWorld(memory_store)
    written: dict[str, int] = {}
    for name in ("add_to_buckets", "put_charges"):
        original = getattr(SqlUsageRepository, name)

        def counting(self: object, rows: list, *, _name: str = name, _original=original) -> None:  # type: ignore[no-untyped-def,type-arg]
            written[_name] = written.get(_name, 0) + len(rows)
            _original(self, rows)

        monkeypatch.setattr(SqlUsageRepository, name, counting)
    outcome = world.agent().push(
        *(event(f"e{n}", dimensions={"region": "eu" if n % 2 else "us"}) for n in range(100))
    )
    assert outcome.tally == Tally(counted=100)
    assert written == {"add_to_buckets": 2, "put_charges": 1}
    assert world.charges()["input"].quantity == 10_000


@pytest.mark.parametrize(
    ("price", "quantity", "decimals", "currency", "exact", "minor"),
    [
        ("0.0000025", 1_234_567, 0, "USD", "3.0864175", 309),  # R22
        ("1000.5", 1, 0, "JPY", "1000.5", 1001),  # R40
        ("0.001", 1_500, 3, "KWD", "0.0015", 2),  # 1.5 × 0.001, half up to 3 digits.
    ],
)
def test_a_charge_is_rounded_once_from_the_exact_amount(
    price: str, quantity: int, decimals: int, currency: str, exact: str, minor: int
) -> None:
    row = charge_row_of(
        KEY, terms=terms(price), quantity=quantity, decimals=decimals, currency=currency
    )
    assert (row.amount_exact, row.amount_minor) == (Decimal(exact), minor)


def test_an_amount_that_is_not_finite_is_shown_to_18_places_and_rounded_exactly() -> None:
    row = charge_row_of(
        KEY, terms=terms("1", share=Fraction(1, 3)), quantity=2, decimals=0, currency="USD"
    )
    assert row.amount_exact == Decimal("0.666666666666666667")
    assert row.amount_minor == 67


def test_an_amount_that_no_invoice_holds_is_refused() -> None:
    with pytest.raises(InvariantError) as raised:
        charge_row_of(KEY, terms=terms("1"), quantity=10**18, decimals=0, currency="USD")
    assert raised.value.reason == "AMOUNT_TOO_LARGE"

"""Strategies of price models, usage prices and usage."""

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import strategies as st

from billing_server.domain.catalog.model import Aggregation, Meter, Proratable, UsagePrice
from billing_server.domain.catalog.read_price import read_usage_terms
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.adjustments import AmountDiscount, RateDiscount
from billing_server.domain.rating.conversion import Conversion, ConversionRounding
from billing_server.domain.rating.dynamic import Dynamic
from billing_server.domain.rating.flat import Flat
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.graduated_percentage import GraduatedPercentage
from billing_server.domain.rating.package import Package, PackageRounding
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.percentage import Percentage, PercentageByEvent
from billing_server.domain.rating.price_model import PriceModel
from billing_server.domain.rating.stairstep import Stairstep
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.volume import Volume
from metering.quantity import unscale_quantity


def _scaled(most: int, *, decimals: int, least: int = 0) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda value: unscale_quantity(value, decimals=decimals))


quantities = _scaled(10**15, decimals=3)
amounts = _scaled(10**6, decimals=2)
"""Of single transactions."""
prices = st.integers(0, 10**14).map(lambda scaled: Decimal(scaled).scaleb(-12))
rates = st.integers(0, 10**6).map(lambda scaled: Decimal(scaled).scaleb(-6))
shares = st.fractions(min_value=0, max_value=1, max_denominator=10**6)


@st.composite
def tiers(
    draw: st.DrawFn,
    unit_prices: st.SearchStrategy[Decimal],
) -> tuple[Tier, ...]:
    scaled = draw(st.lists(st.integers(1, 10**15), max_size=6, unique=True))
    bounds = [unscale_quantity(value, decimals=3) for value in sorted(scaled)]
    return tuple(Tier(bound, draw(unit_prices), draw(prices)) for bound in (*bounds, None))


graduated_prices = tiers(prices).map(Graduated)
volume_prices = tiers(prices).map(Volume)
quantity_models = st.one_of(
    prices.map(Flat),
    prices.map(PerUnit),
    st.builds(
        Package, _scaled(10**9, decimals=3, least=1), prices, st.sampled_from(PackageRounding)
    ),
    graduated_prices,
    volume_prices,
    tiers(st.just(Decimal(0))).map(Stairstep),
    st.builds(Percentage, rates, _scaled(10**6, decimals=2)),
    tiers(rates).map(GraduatedPercentage),
)


@st.composite
def _percentages_by_event(draw: st.DrawFn) -> PercentageByEvent:
    money = _scaled(10**6, decimals=2, least=1)
    least, most = sorted((draw(money), draw(money)))
    return PercentageByEvent(
        share=draw(rates),
        fixed_per_event=draw(_scaled(500, decimals=2, least=1)),
        free_events=draw(st.none() | st.integers(1, 5)),
        free_amount=draw(st.none() | money),
        minimum_per_event=draw(st.sampled_from((None, least))),
        maximum_per_event=draw(st.sampled_from((None, most))),
    )


percentages_by_event = _percentages_by_event()
event_models = st.one_of(
    percentages_by_event, st.builds(Dynamic, st.sampled_from((None, "cost")), prices)
)


@st.composite
def modified(draw: st.DrawFn, models: st.SearchStrategy[PriceModel]) -> UsagePrice:
    """A usage price with any of the modifiers."""
    least, most = sorted((draw(prices), draw(prices)))
    conversions = st.builds(
        Conversion, _scaled(10**6, decimals=3, least=1), st.sampled_from(ConversionRounding)
    )
    return UsagePrice(
        key="p",
        meter="tokens",
        convert=draw(st.none() | conversions),
        included=draw(st.just(Decimal(0)) | quantities),
        model=draw(models),
        charge_flat_at_zero=draw(st.booleans()),
        discount=draw(st.none() | rates.map(RateDiscount) | prices.map(AmountDiscount)),
        maximum=draw(st.sampled_from((None, most))),
        minimum=draw(st.sampled_from((Decimal(0), least))),
        prorate=draw(st.frozensets(st.sampled_from(Proratable))),
        estimate_unit_price=draw(st.none() | prices),
        unit_cost=draw(st.none() | prices),
    )


summing_meters = st.builds(
    Meter, key=st.just("tokens"), quantity=st.just("tokens"), decimals=st.integers(0, 3)
)
any_meters = st.builds(
    Meter,
    key=st.just("tokens"),
    quantity=st.just("tokens"),
    decimals=st.integers(0, 3),
    aggregation=st.sampled_from(Aggregation),
)


def read_back(fields: Mapping[str, object]) -> UsagePrice | None:
    """Returns the price that plain fields are, without the key, kind and place of one."""
    outer = {"key", "kind", "name", "meter", "where"}
    kept = {name: value for name, value in fields.items() if name not in outer}
    mistakes = Mistakes("price")
    reader = FieldReader(node_from_plain(kept), path="", mistakes=mistakes)
    found = read_usage_terms(reader, key=str(fields["key"]), meter=str(fields["meter"]))
    assert mistakes.violations == ()
    return found

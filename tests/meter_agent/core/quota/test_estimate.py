"""What a call can cost at most: never less than rating adds."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from meter_agent.core.quota.estimate import PriceBound, PriceStep, highest_cost


def step(from_quantity: str, unit_price: str, flat_price: str = "0") -> PriceStep:
    return PriceStep(Decimal(from_quantity), Decimal(unit_price), Decimal(flat_price))


def cost(
    *prices: PriceBound,
    quantities: dict[str, str],
    dimensions: dict[str, str] | None = None,
    ahead: dict[str, str] | None = None,
) -> Fraction | None:
    return highest_cost(
        prices,
        dimensions=dimensions or {},
        quantities={name: Decimal(value) for name, value in quantities.items()},
        ahead={name: Decimal(value) for name, value in (ahead or {}).items()},
    )


INPUT = PriceBound(meter_key="input", quantity="input_tokens", steps=(step("0", "0.000003"),))


def test_a_call_costs_its_units_at_the_only_price() -> None:
    assert cost(INPUT, quantities={"input_tokens": "1000"}) == Fraction("0.003")


def test_the_highest_price_that_is_reachable_is_taken_for_all_units() -> None:
    rising = PriceBound(meter_key="m", quantity="q", steps=(step("0", "0"), step("100", "0.02")))
    assert cost(rising, quantities={"q": "100"}) == 0
    assert cost(rising, quantities={"q": "101"}) == Fraction("2.02")
    assert cost(rising, quantities={"q": "20"}, ahead={"q": "90"}) == Fraction("0.4")


def test_a_falling_price_is_not_taken_before_it_is_certain() -> None:
    falling = PriceBound(meter_key="m", quantity="q", steps=(step("0", "0.05"), step("10", "0.01")))
    assert cost(falling, quantities={"q": "5"}, ahead={"q": "90"}) == Fraction("0.25")


def test_a_steps_flat_price_and_a_price_for_each_event_are_added() -> None:
    price = PriceBound(
        meter_key="m",
        quantity="q",
        steps=(step("0", "0.1"), step("10", "0.1", "5")),
        event_price=Decimal("0.5"),
    )
    assert cost(price, quantities={"q": "10"}) == Fraction("1.5")
    assert cost(price, quantities={"q": "11"}) == Fraction("6.6")  # 1.1 + 5 + 0.5


def test_a_meter_that_counts_takes_one_unit_whatever_the_quantity_says() -> None:
    calls = PriceBound(meter_key="m", quantity="q", is_count=True, steps=(step("0", "0.25"),))
    assert cost(calls, quantities={"q": "17"}) == Fraction("0.25")


def test_of_one_meters_prices_the_one_with_the_most_matched_keys_holds() -> None:
    large = PriceBound(
        meter_key="input",
        quantity="input_tokens",
        where={"model": "large"},
        steps=(step("0", "1"),),
    )
    tokens = {"input_tokens": "2"}
    assert cost(INPUT, large, quantities=tokens, dimensions={"model": "large"}) == 2
    assert cost(INPUT, large, quantities=tokens) == Fraction("0.000006")


def test_each_meter_that_a_call_feeds_adds_its_own_cost() -> None:
    output = PriceBound(
        meter_key="output",
        quantity="output_tokens",
        meter_where={"kind": "chat"},
        steps=(step("0", "0.01"),),
    )
    both = {"input_tokens": "1000", "output_tokens": "10"}
    assert cost(INPUT, output, quantities=both, dimensions={"kind": "chat"}) == Fraction("0.103")
    assert cost(INPUT, output, quantities=both) == Fraction("0.003")


def test_usage_without_a_price_costs_nothing() -> None:
    assert cost(INPUT, quantities={"images": "3"}) == 0


def test_a_price_without_a_bound_has_no_cost_that_can_be_told() -> None:
    volume = PriceBound(meter_key="m", quantity="q", is_not_estimable=True)
    assert cost(INPUT, volume, quantities={"q": "1"}) is None
    assert cost(INPUT, volume, quantities={"input_tokens": "1"}) == Fraction("0.000003")


@given(
    bounds=st.lists(st.integers(1, 200), max_size=3, unique=True).map(sorted),
    prices=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    position=st.integers(0, 250),
    units=st.integers(0, 100),
)
def test_the_cost_is_never_below_what_graduated_rating_adds(
    bounds: list[int], prices: list[int], position: int, units: int
) -> None:
    steps = tuple(
        PriceStep(Decimal(low), Decimal(price))
        for low, price in zip([0, *bounds], prices, strict=False)
    )

    def rated(quantity: int) -> int:
        uppers = [*bounds, 10**9]
        return sum(
            max(0, min(quantity, upper) - low) * price
            for low, upper, price in zip([0, *bounds], uppers, prices, strict=False)
        )

    price = PriceBound(meter_key="m", quantity="q", steps=steps)
    most = cost(price, quantities={"q": str(units)}, ahead={"q": str(position)})
    assert most is not None
    assert most >= rated(position + units) - rated(position)

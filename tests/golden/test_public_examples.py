"""The worked examples of public pricing pages come to the same amounts here.

Each case names its page. Where a page gives several readings of one customer, they are cumulative
here, as a meter counts them.
"""

import pytest

from billing_server.domain.quote import quote

Fields = dict[str, object]

# docs.stripe.com/subscriptions/pricing-models/tiered-pricing: a webfont service.
FONTS = [
    {"up_to": "5", "unit_price": "7"},
    {"up_to": "10", "unit_price": "6.5"},
    {"unit_price": "6"},
]
STRIPE_VOLUME: Fields = {"model": "volume", "tiers": FONTS}
STRIPE_GRADUATED: Fields = {"model": "graduated", "tiers": FONTS}
# stripe.com/docs/billing/subscriptions/quantity-transformation: 10 dollars for every 5 users, or
# portion thereof.
STRIPE_FIVE_USERS: Fields = {"model": "package", "package_size": "5", "package_price": "10"}
# docs.stripe.com/billing/subscriptions/usage-based/transform-quantities: a car at 10 dollars an
# hour, reported in minutes.
STRIPE_CAR: Fields = {
    "model": "per_unit",
    "unit_price": "10",
    "convert": {"divide_by": "60", "round": "up"},
}
# doc.getlago.com/docs/guide/plans/charges: 0.05 dollars an API call.
LAGO_STANDARD: Fields = {"model": "per_unit", "unit_price": "0.05"}
# docs.getlago.com/guide/plans/charges/charge-models/package: 5 dollars per 100 units, 100 free.
LAGO_PACKAGE: Fields = {
    "model": "package",
    "package_size": "100",
    "package_price": "5",
    "free_units": "100",
}
# community.getlago.com/t/volume-pricing-model-for-charges: the same tiers both ways.
LAGO_TIERS = [
    {"up_to": "100", "unit_price": "4"},
    {"up_to": "500", "unit_price": "3"},
    {"unit_price": "2"},
]
# docs.getlago.com/guide/plans/charges/charge-models/graduated-percentage
LAGO_GRADUATED_PERCENTAGE: Fields = {
    "model": "graduated_percentage",
    "tiers": [
        {"up_to": "1000", "rate": "0.01", "flat_price": "200"},
        {"up_to": "10000", "rate": "0.02", "flat_price": "300"},
        {"rate": "0.03", "flat_price": "400"},
    ],
}
# aws.amazon.com/lambda/pricing (example 1 of an earlier year): compute and requests, each with a
# free tier.
AWS_COMPUTE: Fields = {"model": "per_unit", "unit_price": "0.00001667", "included": "400000"}
AWS_REQUESTS: Fields = {
    "model": "per_unit",
    "unit_price": "0.20",
    "convert": {"divide_by": "1000000"},
    "included": "1",
}


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        (STRIPE_VOLUME, "1", "7.00"),
        (STRIPE_VOLUME, "5", "35.00"),
        (STRIPE_VOLUME, "6", "39.00"),
        (STRIPE_VOLUME, "20", "120.00"),
        (STRIPE_VOLUME, "25", "150.00"),
        (STRIPE_GRADUATED, "5", "35.00"),
        (STRIPE_GRADUATED, "6", "41.50"),  # 35 + 6.5
        (STRIPE_FIVE_USERS, "1", "10.00"),
        (STRIPE_FIVE_USERS, "3", "10.00"),
        (STRIPE_FIVE_USERS, "5", "10.00"),
        (STRIPE_FIVE_USERS, "6", "20.00"),
        (STRIPE_FIVE_USERS, "7", "20.00"),
        (STRIPE_CAR, "150", "30.00"),  # 2 h 30 min are 3 begun hours
        (LAGO_STANDARD, "1000", "50.00"),
        (LAGO_PACKAGE, "201", "10.00"),  # 0 + 5 for the next 100 + 5 for the last unit
        ({"model": "volume", "tiers": LAGO_TIERS}, "400", "1200.00"),
        ({"model": "graduated", "tiers": LAGO_TIERS}, "400", "1300.00"),  # 100 × 4 + 300 × 3
        # 1.5 M GB-s less 400,000 × 0.00001667 = 18.337, and 3 M requests less 1 M.
        (AWS_COMPUTE, "1500000", "18.34"),
        (AWS_REQUESTS, "3000000", "0.40"),
    ],
)
def test_a_public_example_costs_the_same_here(price: Fields, quantity: str, amount: str) -> None:
    result = quote({"currency": "USD", "price": price, "quantity": quantity})
    assert result["rounded"] == amount


def test_transactions_in_percentage_tiers_add_what_the_page_says() -> None:
    # 500 costs 205, then 550 costs 306, then 4,000 costs 80: in all 500, 1,050, 5,050.
    result = quote(
        {
            "currency": "USD",
            "price": LAGO_GRADUATED_PERCENTAGE,
            "quantities": ["500", "1050", "5050"],
        }
    )
    assert result["deltas"] == ["205.00", "306.00", "80.00"]


@pytest.mark.parametrize(
    ("events", "amount"),
    [(["200", "100", "100"], "0.00"), (["200", "100", "100", "50"], "0.70")],
)
def test_free_transactions_end_where_the_page_says(events: list[str], amount: str) -> None:
    # docs.getlago.com/guide/plans/charges/charge-models/percentage: 1.2 % and 0.10 a transaction;
    # the first 3, or the first 500, are free.
    price = {
        "model": "percentage",
        "rate": "0.012",
        "fixed_per_event": "0.10",
        "free_events": 3,
        "free_amount": "500",
    }
    assert quote({"currency": "USD", "price": price, "events": events})["rounded"] == amount

"""Entries of a scenario that change a running subscription."""

import pytest

from billing_server.bootstrap import simulate
from billing_server.services.change_terms import Moment
from billing_server.services.scenario import parse_scenario
from billing_server.services.scenario_steps import TermsStep
from billing_server.services.scenario_terms import TERMS_VERBS
from metering.clock import parse_instant
from metering.errors import ValidationError

HEAD = """
catalog:
  meters: [{key: calls, aggregation: sum}]
  plans:
    - key: pro
      currency: USD
      prices: [{key: base, kind: recurring, amount: "20.00"}]
  addons: [{key: help, prices: [{key: help, kind: recurring, amount: "28.00"}]}]
timeline:
  - {at: "2026-02-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-02-01T00:00:00Z", do: subscribe, customer: acme, plan: pro, subscription: s}
"""


def step(entry: str) -> TermsStep:
    text = HEAD + f'  - {{at: "2026-02-10T00:00:00Z", {entry}}}\n'
    action = parse_scenario(text, name="s.yaml").steps[-1].action
    assert isinstance(action, TermsStep)
    return action


def test_each_verb_has_its_time_of_effect_unless_it_says_another() -> None:
    assert step("do: move_version, subscription: s, version: 2").effective is Moment.RENEWAL
    assert step("do: add_addon, subscription: s, addon: help").effective is Moment.NOW
    assert step("do: remove_addon, subscription: s, addon: help").effective is Moment.RENEWAL
    override = step("do: override, subscription: s, price: base, set: {amount: '9'}")
    assert (override.effective, override.fields) == (Moment.NOW, {"amount": "9"})
    later = step("do: add_addon, subscription: s, addon: help, effective: 2026-03-01T00:00:00Z")
    assert later.effective == parse_instant("2026-03-01T00:00:00Z")


@pytest.mark.parametrize(
    ("entry", "field", "reason"),
    [
        ("do: move_version, subscription: s", "version", "FIELD_MISSING"),
        ("do: move_version, subscription: s, version: 0", "version", "INTEGER_OUT_OF_RANGE"),
        ("do: override, subscription: s, price: base", "set", "FIELD_MISSING"),
        ("do: override, subscription: s, price: base, set: 7", "set", "FIELD_MALFORMED"),
        ("do: add_addon, addon: help", "subscription", "FIELD_MISSING"),
        (
            "do: add_addon, subscription: s, addon: help, effective: soon",
            "effective",
            "EFFECTIVE_MALFORMED",
        ),
        ("do: remove_addon, subscription: s, addon: help, x: 1", "x", "FIELD_UNKNOWN"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_field(entry: str, field: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        step(entry)
    assert [(each.field, each.reason) for each in caught.value.violations] == [
        (f"timeline[2].{field}", reason)
    ]


def test_every_verb_is_played_and_told() -> None:
    assert set(TERMS_VERBS) == {"move_version", "override", "add_addon", "remove_addon"}
    text = (
        HEAD
        + """
  - {at: "2026-02-02T00:00:00Z", do: apply, catalog: {plans: [{key: pro, currency: USD,
     prices: [{key: base, kind: recurring, amount: "25.00"}]}]}}
  - {at: "2026-02-03T00:00:00Z", do: move_version, subscription: s, version: 2}
  - {at: "2026-02-04T00:00:00Z", do: override, subscription: s, price: base, set: {amount: "22"}}
  - {at: "2026-02-05T00:00:00Z", do: add_addon, subscription: s, addon: help, effective: renewal}
  - {at: "2026-03-05T00:00:00Z", do: remove_addon, subscription: s, addon: help}
until: "2026-04-02T00:00:00Z"
"""
    )
    report = simulate(text, name="s.yaml")
    told = [each["event"] for each in report["events"] if each["event"].startswith("subscription.")]
    assert told[1:] == [f"subscription.{verb}" for verb in TERMS_VERBS]
    assert report["subscriptions"][0]["plan_version"] == 2
    lines = [
        [(line["price"], line["price_version"], line["amount"]) for line in invoice["lines"]]
        for invoice in report["invoices"]
    ]
    assert lines == [
        [("base", 1, "20.00")],
        [("base", 2, "22.00"), ("help", 2, "28.00")],
        [("base", 2, "22.00")],
    ]

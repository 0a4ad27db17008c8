"""Scenario files are read whole, with every mistake found at once."""

from datetime import timedelta

import pytest

from billing_server.services.scenario import (
    LATER_VERBS,
    CreateCustomerStep,
    SubscribeStep,
    UsageStep,
    parse_scenario,
)
from metering.clock import parse_instant
from metering.errors import ValidationError

SCENARIO = """
currency: EUR
timezone: Europe/Berlin
settings: {grace: PT2H, payment_terms: P30D, late_usage: next_invoice, auto_collect: no}
catalog: {meters: [], plans: []}
timeline:
  - {at: "2026-02-02T00:00:00Z", do: usage, customer: acme, quantities: {tokens: "1.50"},
     dimensions: {model: large}, every: PT1H, until: "2026-02-02T03:00:00Z"}
  - {at: "2026-02-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-02-01T00:00:00Z", do: subscribe, customer: acme, plan: pro, subscription: sub-1}
"""


def _mistakes(timeline: str) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as refused:
        parse_scenario(f"timeline:\n{timeline}", name="s.yaml")
    assert refused.value.reason == "SCENARIO_INVALID"
    return [(violation.field, violation.reason) for violation in refused.value.violations]


def test_a_scenario_is_read_in_the_order_of_time_with_its_defaults() -> None:
    scenario = parse_scenario(SCENARIO, name="s.yaml")
    customer, subscribe, usage = (step.action for step in scenario.steps)
    assert isinstance(customer, CreateCustomerStep)
    assert (customer.customer.currency, customer.customer.timezone) == ("EUR", "Europe/Berlin")
    assert isinstance(subscribe, SubscribeStep)
    assert (subscribe.entry.id, subscribe.entry.plan_key) == ("sub-1", "pro")
    assert isinstance(usage, UsageStep)
    assert (usage.quantities, usage.every) == ({"tokens": "1.5"}, timedelta(hours=1))
    assert (scenario.grace, scenario.payment_terms) == (timedelta(hours=2), timedelta(days=30))
    assert scenario.start == parse_instant("2026-02-01T00:00:00Z")
    assert scenario.until == parse_instant("2026-02-02T00:00:00Z")


@pytest.mark.parametrize("verb", sorted(LATER_VERBS))
def test_a_verb_of_a_later_version_is_named_as_such(verb: str) -> None:
    step = f'  - {{at: "2026-02-01T00:00:00Z", do: {verb}, subscription: sub-1}}'
    assert _mistakes(step) == [("timeline[0].do", "NOT_SUPPORTED_YET")]


def test_every_mistake_is_named_with_its_field() -> None:
    timeline = """
  - {at: "2026-02-01", do: fly}
  - {do: usage, customer: acme, quantities: {tokens: 1.5}}
  - {at: "2026-02-01T00:00:00Z", do: usage, customer: a, quantities: {t: "1"}, every: PT1H}
  - {at: "2026-02-01T00:00:00Z", do: usage, customer: a, quantities: {t: "1"}, every: PT0S,
     until: "2026-02-02T00:00:00Z"}
  - {at: "2026-02-01T00:00:00Z", do: usage, customer: a, quantities: {t: "1"}, every: PT1S,
     until: "2026-12-31T00:00:00Z"}
  - {at: "2026-02-01T00:00:00Z", do: apply}
  - {at: "2026-02-01T00:00:00Z", do: create_customer, name: Acme}
"""
    assert _mistakes(timeline) == [
        ("timeline[0].at", "INSTANT_MALFORMED"),
        ("timeline[0].do", "VERB_UNKNOWN"),
        ("timeline[1].at", "FIELD_MISSING"),
        ("timeline[1].quantities.tokens", "FLOAT_NOT_ALLOWED"),
        ("timeline[2].every", "REPEAT_INCOMPLETE"),
        ("timeline[3].every", "REPEAT_TOO_OFTEN"),
        ("timeline[3].every", "REPEAT_INCOMPLETE"),
        ("timeline[4].every", "REPEAT_TOO_OFTEN"),
        ("timeline[5].catalog", "FIELD_MISSING"),
        ("timeline[6].customer", "FIELD_MISSING"),
    ]


def test_a_misspelt_verb_or_field_is_named_with_the_nearest_known_one() -> None:
    timeline = """
  - {at: "2026-02-01T00:00:00Z", do: usge, customer: acme}
  - {at: "2026-02-01T00:00:00Z", doo: usage, customer: acme}
  - {at: "2026-02-01T00:00:00Z", do: create_customer, custmer: acme}
"""
    with pytest.raises(ValidationError) as refused:
        parse_scenario(f"timeline:{timeline}", name="s.yaml")
    assert [violation.description for violation in refused.value.violations] == [
        "s.yaml:2: timeline[0].do: 'usge' is not known here; did you mean 'usage'?",
        "s.yaml:3: timeline[1].do: the field is missing",
        "s.yaml:3: timeline[1].doo: unknown field; did you mean 'do'?",
        "s.yaml:4: timeline[2].customer: the field is missing",
        "s.yaml:4: timeline[2].custmer: unknown field; did you mean 'customer'?",
    ]


def test_settings_and_sections_of_later_versions_are_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        parse_scenario(
            "settings: {late_usage: ignore, dunning: {}}\ncatalog: []\nfoo: 1\ntimeline: []",
            name="s.yaml",
        )
    assert {violation.field for violation in refused.value.violations} == {
        "settings.late_usage",
        "settings.dunning",
        "catalog",
        "foo",
    }


def test_an_empty_timeline_is_refused() -> None:
    assert _mistakes("  []") == [("timeline", "TIMELINE_EMPTY")]


def test_a_scenario_may_be_json_with_tabs() -> None:
    text = '{\n\t"timeline": [{"at": "2026-02-01T00:00:00Z", "do": "create_customer", '
    text += '"customer": "acme"}]}'
    assert len(parse_scenario(text, name="s.json").steps) == 1


def test_instants_at_the_end_of_the_calendar_are_refused_by_field() -> None:
    timeline = """
  - {at: "0001-01-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-01-01T00:00:00Z", do: subscribe, customer: acme, plan: pro,
     start: "9999-12-31T23:59:00Z"}
until: "9999-12-31T23:59:00Z"
"""
    assert _mistakes(timeline) == [
        ("timeline[0].at", "INSTANT_OUT_OF_RANGE"),
        ("timeline[1].start", "INSTANT_OUT_OF_RANGE"),
        ("until", "INSTANT_OUT_OF_RANGE"),
    ]

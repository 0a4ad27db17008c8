"""Where the items of catalog files stand."""

import pytest

from billing_server.domain.catalog.places import CatalogPlaces, Refusal
from billing_server.domain.document import load_yaml
from metering.errors import InvariantError, ValidationError

METERS = """meters:
  - {key: a, aggregation: sum}
  - {key: b, aggregation: sum}
"""
CUSTOMERS = """
customers: [{id: acme}, 7]
subscriptions:
  - id: sub-1
    customer: acme
    start: 2026-01-01T00:00:00Z
"""


def places(path: str = "") -> CatalogPlaces:
    files = {"meters.yaml": METERS, "rest.yaml": CUSTOMERS, "other.yaml": "7"}
    return CatalogPlaces(
        [(name, load_yaml(text, name=name)) for name, text in files.items()], path=path
    )


def test_refusals_are_told_with_file_line_and_field_in_the_order_of_the_files() -> None:
    refusals = [
        Refusal("subscriptions", "sub-1", "start", "too early", "TOO_EARLY"),
        Refusal("meters", "b", "aggregation", "it counts", "METER_HAS_USAGE"),
    ]
    with pytest.raises(ValidationError) as caught:
        places().raise_refused(refusals)
    assert caught.value.reason == "CATALOG_CHANGE_REFUSED"
    assert [(each.description, each.reason) for each in caught.value.violations] == [
        ("meters.yaml:3: meters[1].aggregation: it counts", "METER_HAS_USAGE"),
        ("rest.yaml:6: subscriptions[0].start: too early", "TOO_EARLY"),
    ]


def test_without_refusals_nothing_is_raised() -> None:
    places().raise_refused([])


def test_names_are_walked_and_an_item_is_found_by_its_key() -> None:
    found = places("catalog")
    assert list(found.names("meters")) == ["a", "b"]
    assert list(found.names("customers")) == ["acme"]
    assert list(found.names("subscriptions", field="customer")) == ["acme"]
    assert found.place_of("subscriptions", "sub-1") == "rest.yaml:4: catalog.subscriptions[0]"
    with pytest.raises(InvariantError):
        found.place_of("plans", "nothing")

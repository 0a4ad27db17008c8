"""What Meter and AsyncMeter share, without sending anything."""

from collections import OrderedDict
from types import MappingProxyType

import pytest

from metering.client.event import RecordedEvent
from metering.client.recorder import Recorder
from metering.errors import ValidationError


class _Text(str):
    """A string by another name, as StrEnum members are."""

    __slots__ = ()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> tuple[Recorder, list[RecordedEvent]]:
    recorder = Recorder("127.0.0.1:1")
    events: list[RecordedEvent] = []
    monkeypatch.setattr(recorder, "_add", events.append)
    return recorder, events


def test_any_mapping_and_any_string_will_do(
    kept: tuple[Recorder, list[RecordedEvent]],
) -> None:
    recorder, events = kept
    recorder.record(
        customer=_Text("acme"),
        quantities=OrderedDict(requests=1),
        dimensions=MappingProxyType({"model": _Text("large")}),
    )
    (event,) = events
    assert event.quantities == {"requests": 1}
    assert event.dimensions == {"model": "large"}


def test_no_dimensions_are_kept_as_none(kept: tuple[Recorder, list[RecordedEvent]]) -> None:
    recorder, events = kept
    recorder.record(customer="acme", quantities={"requests": 1}, dimensions={})
    assert events[0].dimensions is None


def test_a_list_in_place_of_dimensions_is_refused(
    kept: tuple[Recorder, list[RecordedEvent]],
) -> None:
    recorder, events = kept
    with pytest.raises(ValidationError, match="dimensions: pass a dict"):
        recorder.record(customer="acme", quantities={"requests": 1}, dimensions=["model"])  # type: ignore[arg-type]
    assert events == []


def test_the_address_is_that_of_the_agent() -> None:
    assert Recorder("unix:/tmp/a.sock").address == "unix:/tmp/a.sock"


def test_a_malformed_address_is_refused_when_the_meter_is_made() -> None:
    with pytest.raises(ValidationError, match="write HOST:PORT"):
        Recorder("nowhere")

"""How the tests of price models read one: the model, and the fields that were refused."""

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.models import price_model_reader
from billing_server.domain.rating.price_model import EventModel, EventUsage, QuantityModel
from metering.quantity import parse_quantity

Refusals = list[tuple[str, str]]


def read_model(fields: dict[str, object]) -> tuple[QuantityModel | EventModel | None, Refusals]:
    """Returns the model of plain fields and what was refused of them."""
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain(fields), path="", mistakes=mistakes)
    read = reader.required("model", price_model_reader)
    found = None if read is None else read(reader)
    reader.finish()
    return found, [(violation.field, violation.reason) for violation in mistakes.violations]


def quantity_model(**fields: object) -> QuantityModel:
    """Returns a model that is rated by the total."""
    found, refusals = read_model(fields)
    assert refusals == []
    assert found is not None
    assert not isinstance(found, EventModel)
    return found


def event_model(**fields: object) -> EventModel:
    """Returns a model that is rated by event."""
    found, refusals = read_model(fields)
    assert refusals == []
    assert isinstance(found, EventModel)
    return found


def refusals_of(**fields: object) -> Refusals:
    """Returns field and reason of what is refused of a model."""
    found, refusals = read_model(fields)
    assert found is None or refusals
    return refusals


def transactions(*amounts: str) -> list[EventUsage]:
    """Returns events of these amounts, in order."""
    return [EventUsage(parse_quantity(amount)) for amount in amounts]

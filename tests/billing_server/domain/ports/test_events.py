"""The port of reading events back is implemented."""

from billing_server.domain.ports.events import EventReader
from billing_server.store.event_repository import SqlEventReader
from tests.billing_server.domain.ports.conformance import differences


def test_the_repository_has_every_method_of_its_port() -> None:
    assert differences(EventReader, SqlEventReader) == []

"""Changes of leases and reservations in a commit, with the usage that they record."""

from meter_agent.store.group import Append, Ticket
from meter_agent.store.operation import Operation, Recorded, run_all
from metering.errors import ValidationError
from tests.meter_agent.support import NOW_US, events, packed


def operation(recorded: Recorded | None) -> Operation:
    return Operation(
        run=lambda: recorded,
        ticket=Ticket(),
        receive_time_us=NOW_US,
        oldest_event_time_us=NOW_US - 5,
        caller="svc",
    )


def test_what_operations_record_follows_the_appends_in_order() -> None:
    plain = Append(1, NOW_US, NOW_US, packed(events("a")), Ticket())
    recorded = Recorded(packed(events("b", "c")), 2)
    result = run_all([operation(None), operation(recorded)], [plain])
    assert [item.event_count for item in result.appends] == [1, 2]
    last = result.appends[1]
    assert (last.events, last.caller, last.oldest_event_time_us) == (
        recorded.events,
        "svc",
        NOW_US - 5,
    )
    assert result.refused == []


def test_one_that_refuses_itself_leaves_the_others() -> None:
    def refuse() -> None:
        raise ValidationError(reason="NO", message="no")

    bad = Operation(run=refuse, ticket=Ticket())
    result = run_all([bad, operation(Recorded(b"x", 1))], [])
    assert len(result.appends) == 1
    [(refused, error)] = result.refused
    assert (refused, error.reason) == (bad, "NO")


def test_without_operations_the_appends_are_as_they_were() -> None:
    appends: list[Append] = []
    assert run_all([], appends).appends is appends

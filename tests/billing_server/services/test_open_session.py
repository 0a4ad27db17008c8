"""Opening sessions: absolute state both ways, fencing, declared losses. On both databases."""

from dataclasses import replace

import pytest

from billing_server.domain.ports.agents import Agent, LossCause
from billing_server.services.open_session import OpenedSession, SessionRequest, open_session
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock
from metering.errors import AuthenticationError, InvalidStateError, ValidationError
from tests.billing_server.ingest_world import NOON, START

CLOCK = ManualClock(NOON)


@pytest.fixture
def agent(store: SqlStore) -> Agent:
    with store.write() as unit:
        return unit.agents.enroll(
            agent_id="agt_1", name="host-1", token_sha256="t", create_time=START
        )


def request(
    *, disk: bytes = b"d", nonce: bytes = b"1", sync_no: int = 1, earliest_kept_seq: int = 1
) -> SessionRequest:
    return SessionRequest(
        disk_id=disk * 16,
        nonce=nonce * 16,
        sync_no=sync_no,
        earliest_kept_seq=earliest_kept_seq,
        agent_version="0.1.0",
        oldest_unshipped_event_time=NOON,
    )


def opened(store: SqlStore, agent: Agent, wanted: SessionRequest) -> OpenedSession:
    return open_session(store, clock=CLOCK, agent=agent, request=wanted)


def test_the_first_session_has_number_1_and_is_written_down(store: SqlStore, agent: Agent) -> None:
    answer = opened(store, agent, request())
    with store.read() as unit:
        kept = unit.agents.get("agt_1")
        incarnation = unit.agents.incarnation()
    assert answer == OpenedSession("agt_1", 1, incarnation, 0, NOON)
    assert kept is not None
    assert (kept.session_no, kept.disk_id, kept.sync_no) == (1, b"d" * 16, 1)
    assert (kept.last_seen, kept.oldest_unshipped_event_time) == (NOON, NOON)
    assert kept.agent_version == "0.1.0"


def test_a_repeat_with_the_same_nonce_gets_the_same_session(store: SqlStore, agent: Agent) -> None:
    first = opened(store, agent, request())
    assert opened(store, agent, request()) == first


def test_a_repeat_after_a_restore_counts_as_heard_of(memory_store: SqlStore) -> None:
    # Else a restored server grants nothing to anyone until its quarantine is over.
    store = memory_store
    with store.write() as unit:
        agent = unit.agents.enroll(
            agent_id="agt_1", name="host-1", token_sha256="t", create_time=START
        )
    wanted = replace(request(), has_leases=True)
    opened(store, agent, wanted)
    with store.write() as unit:
        unit.agents.renew_incarnation("restored", at=NOON)
        assert len(unit.agents.unheard("restored")) == 1
    answer = opened(store, agent, wanted)
    assert (answer.session_no, answer.server_incarnation) == (1, "restored")
    with store.read() as unit:
        assert unit.agents.unheard("restored") == ()


def test_a_restored_server_waits_for_agents_that_its_backup_had_not_heard_of(
    memory_store: SqlStore,
) -> None:
    # It may have granted to them since: two agents together would pass the limit.
    with memory_store.write() as unit:
        unit.agents.enroll(agent_id="agt_1", name="host-1", token_sha256="t", create_time=START)
        unit.agents.renew_incarnation("restored", at=NOON)
        assert len(unit.agents.unheard("restored")) == 1


def test_another_attempt_gets_the_next_number(store: SqlStore, agent: Agent) -> None:
    opened(store, agent, request())
    assert opened(store, agent, request(nonce=b"2", sync_no=2)).session_no == 2


@pytest.mark.parametrize("sync_no", [0, 1])
def test_a_count_that_does_not_go_on_is_refused_and_changes_nothing(
    store: SqlStore, agent: Agent, sync_no: int
) -> None:
    opened(store, agent, request())
    with pytest.raises(InvalidStateError) as raised:
        opened(store, agent, request(nonce=b"2", sync_no=sync_no))
    assert raised.value.reason == "IDENTITY_TAKEN"
    assert opened(store, agent, request()).session_no == 1


def test_a_new_disk_starts_its_own_count(store: SqlStore, agent: Agent) -> None:
    opened(store, agent, request(sync_no=7))
    assert opened(store, agent, request(disk=b"e", nonce=b"2", sync_no=1)).session_no == 2


def test_positions_that_the_agent_no_longer_keeps_are_a_declared_loss(
    store: SqlStore, agent: Agent
) -> None:
    assert opened(store, agent, request(earliest_kept_seq=11)).applied_seq == 10
    with store.read() as unit:
        (loss,) = unit.agents.losses(limit=10)
    assert (loss.agent_id, loss.from_seq, loss.to_seq) == ("agt_1", 1, 10)
    # Nothing is lost where the server has applied that far.
    opened(store, agent, request(nonce=b"2", sync_no=2, earliest_kept_seq=11))
    with store.read() as unit:
        assert len(unit.agents.losses(limit=10)) == 1


def push_report(store: SqlStore, *, applied_seq: int, next_seq: int) -> None:
    with store.write() as unit:
        unit.agents.advance(
            "agt_1",
            applied_seq=applied_seq,
            oldest_unshipped_event_time=None,
            last_seen=NOON,
            reported_next_seq=next_seq,
        )


def test_an_agent_that_comes_back_without_its_buffer_is_reported(
    store: SqlStore, agent: Agent
) -> None:
    opened(store, agent, request())
    push_report(store, applied_seq=20, next_seq=26)
    answer = opened(store, agent, request(disk=b"e", nonce=b"2"))
    assert (answer.agent_id, answer.applied_seq) == ("agt_1", 0)
    with store.read() as unit:
        (loss,) = unit.agents.losses(limit=10)
        retired = unit.agents.disk(agent, disk_id=b"d" * 16)
    # Positions 21 to 25 were unshipped by its last report.
    assert (loss.from_seq, loss.to_seq, loss.cause) == (21, 25, LossCause.DISK_LOST)
    assert retired is not None
    assert (retired.name, retired.applied_seq) == ("host-1~646464646464", 20)


def test_a_lost_disk_with_nothing_unshipped_is_no_loss(store: SqlStore, agent: Agent) -> None:
    opened(store, agent, request())
    push_report(store, applied_seq=20, next_seq=21)
    opened(store, agent, request(disk=b"e", nonce=b"2"))
    with store.read() as unit:
        assert unit.agents.losses(limit=10) == ()


def test_a_disk_that_was_thought_lost_goes_on_beside_the_new_one(
    store: SqlStore, agent: Agent
) -> None:
    opened(store, agent, request())
    opened(store, agent, request(disk=b"e", nonce=b"2"))
    again = opened(store, agent, request(nonce=b"3", sync_no=2))
    assert again.agent_id != "agt_1"
    assert opened(store, agent, request(disk=b"e", nonce=b"4", sync_no=2)).agent_id == "agt_1"


def test_a_disk_that_gave_up_its_id_gets_an_agent_of_its_own(store: SqlStore, agent: Agent) -> None:
    opened(store, agent, request())
    push_report(store, applied_seq=20, next_seq=21)
    incarnation = opened(store, agent, request()).server_incarnation
    copy = replace(
        request(disk=b"e", nonce=b"2"),
        previous_disk_id=b"d" * 16,
        applied_seq=18,
        server_incarnation=incarnation,
    )
    answer = opened(store, agent, copy)
    assert answer.agent_id != "agt_1"
    assert (answer.applied_seq, answer.server_incarnation) == (18, incarnation)
    assert opened(store, agent, copy) == answer


def test_an_agent_ahead_of_the_server_gives_the_data_a_new_incarnation(
    store: SqlStore, agent: Agent
) -> None:
    before = opened(store, agent, request()).server_incarnation
    ahead = replace(
        request(nonce=b"2", sync_no=2, earliest_kept_seq=8),
        applied_seq=9,
        server_incarnation=before,
    )
    answer = opened(store, agent, ahead)
    assert answer.server_incarnation != before
    # Positions 1 to 7 were applied before the data went back, and nobody keeps them.
    assert answer.applied_seq == 7
    with store.read() as unit:
        assert unit.agents.incarnation() == answer.server_incarnation
        assert unit.agents.incarnation_time() == NOON
        (loss,) = unit.agents.losses(limit=10)
    assert (loss.from_seq, loss.to_seq, loss.cause) == (1, 7, LossCause.DECLARED)


def test_an_agent_that_was_removed_meanwhile_is_told_so(store: SqlStore, agent: Agent) -> None:
    with store.write() as unit:
        unit.connection.exec_driver_sql("DELETE FROM agent")
    with pytest.raises(AuthenticationError, match="enroll it again"):
        opened(store, agent, request())


@pytest.mark.parametrize(
    "fields",
    [
        {"disk_id": b"short"},
        {"nonce": b""},
        {"sync_no": -1},
        {"earliest_kept_seq": 0},
        {"applied_seq": -1},
        {"next_seq": -1},
        {"previous_disk_id": b"short"},
    ],
)
def test_a_malformed_request_names_the_field(fields: dict[str, object]) -> None:
    good: dict[str, object] = {
        "disk_id": b"d" * 16,
        "nonce": b"n" * 16,
        "sync_no": 1,
        "earliest_kept_seq": 1,
    }
    with pytest.raises(ValidationError, match=next(iter(fields))):
        SessionRequest(**(good | fields))  # type: ignore[arg-type]

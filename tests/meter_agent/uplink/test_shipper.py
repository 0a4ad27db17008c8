"""Shipping against a real gRPC server that fails on demand."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from meter_agent.core.backoff import BackoffPolicy
from meter_agent.core.conservation import PushCounts
from meter_agent.store.reader import OutboxReader
from meter_agent.uplink import shipper as module
from meter_agent.uplink.settings import UplinkSettings
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.token import TokenSource
from metering.clock import SystemClock
from tests.meter_agent.fake_server import AGENT_ID, TOKEN, FakeServer, Fault
from tests.meter_agent.support import NOW_US, Store, events, numbered, wait_until

Ship = Callable[..., Shipper]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


@pytest.fixture
def ship(store: Store, server: FakeServer) -> Iterator[Ship]:
    """Starts shippers from the store to the server; stops them at the end."""
    started: list[tuple[Shipper, OutboxReader]] = []

    def start(*, token_file: Path | None = None, token: str | None = TOKEN) -> Shipper:
        reader = OutboxReader(store.path)
        shipper = Shipper(
            UplinkSettings(
                server=server.address,
                agent_version="0.0.1",
                backoff=BackoffPolicy(first_seconds=0.01, cap_seconds=0.05),
            ),
            writer=store.writer,
            reader=reader,
            tokens=TokenSource(token_file=token_file, token=token),
            clock=SystemClock(),
        )
        store.writer._on_append = shipper.notify
        shipper.start()
        started.append((shipper, reader))
        return shipper

    yield start
    for shipper, reader in started:
        shipper.stop()
        reader.close()


def is_drained(store: Store) -> Callable[[], bool]:
    return lambda: store.writer.state.positions.buffered_count == 0


def ids(start: int, stop: int) -> list[str]:
    return [f"event-{number}" for number in range(start, stop)]


def test_what_is_buffered_arrives_in_order_and_is_deleted(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    store.record(numbered(0, 30))
    shipper = ship()
    store.record(numbered(30, 60))
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 60)
    positions = store.writer.state.positions
    assert (positions.applied_seq, positions.safe_seq) == (60, 60)
    assert (positions.earliest_kept_seq, store.writer.state.kept_bytes) == (61, 0)
    assert positions.agent_id == AGENT_ID
    assert shipper.health.is_reachable
    assert shipper.health.last_error == ""
    assert server.sessions[0].agent_version == "0.0.1"


def test_rows_are_kept_until_the_server_says_that_they_are_safe(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.safe_lag = 10
    store.record(numbered(0, 20))
    ship()
    wait_until(is_drained(store))
    # One row holds 1..20 and only 10 of them are safe.
    assert store.writer.state.positions.earliest_kept_seq == 1
    server.safe_lag = 0
    store.record(numbered(20, 21))
    wait_until(lambda: store.writer.state.kept_bytes == 0)


def test_pushes_keep_the_servers_bound_also_where_a_block_is_larger(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.push_event_count_max = 7
    store.record(numbered(0, 30))
    ship()
    wait_until(is_drained(store))
    sizes = [sum(block.event_count for block in push.blocks) for push in server.pushes]
    assert sizes == [7, 7, 7, 7, 2]
    assert server.event_ids == ids(0, 30)


def test_a_server_that_is_away_is_waited_for(store: Store, server: FakeServer, ship: Ship) -> None:
    server.stop()
    store.record(numbered(0, 5))
    shipper = ship()
    wait_until(lambda: server.address in shipper.health.last_error)
    assert not shipper.health.is_reachable
    store.record(numbered(5, 10))
    server.start()
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 10)
    assert shipper.health.is_reachable


def test_an_ack_that_was_lost_after_the_commit_doubles_nothing(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.faults.append(Fault.ACK_LOST)
    store.record(numbered(0, 8))
    ship()
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 8)
    assert server.books.duplicate_count == 8
    # The rows were sent again under their own numbers and marked by their own ack.
    assert [push.first_seq for push in server.pushes] == [1, 1]


def test_refusals_are_tried_again_under_the_same_positions(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.faults.extend([Fault.UNAVAILABLE] * 3)
    store.record(numbered(0, 8))
    ship()
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 8)
    assert server.books.duplicate_count == 0


def test_a_fenced_push_opens_a_new_session_and_goes_on(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.faults.append(Fault.FENCED)
    store.record(numbered(0, 8))
    ship()
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 8)
    assert [request.sync_no for request in server.sessions] == [1, 2]
    assert server.books.session_no == 2


def test_sessions_that_fence_each_other_are_slowed_down_and_named(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.faults.extend([Fault.FENCED] * 4)
    store.record(numbered(0, 3))
    with capture_logs() as logs:
        ship()
        wait_until(is_drained(store))
    warned = [entry for entry in logs if entry["event"] == "uplink_failed"]
    assert len(warned) == 3
    assert "the same token" in warned[0]["error"]


def test_a_result_that_is_not_known_is_named_and_nothing_is_marked(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.faults.append(Fault.UNKNOWN_RESULT)
    store.record(numbered(0, 3))
    with capture_logs() as logs:
        ship()
        wait_until(is_drained(store))
    assert any("upgrade the agent" in str(entry.get("error")) for entry in logs)
    assert server.event_ids == ids(0, 3)


def test_a_gap_is_resent_from_where_the_server_stands(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.safe_lag = 1_000  # Nothing is deleted, so everything can be sent again.
    store.record(numbered(0, 8))
    ship()
    wait_until(is_drained(store))
    # The server loses its last four events and does not say so.
    server.books.applied_seq = 4
    for seq in range(5, 9):
        lost = server.books.by_seq.pop(seq)
        del server.books.counted[lost.event_id, lost.customer_id]
    store.record(events("event-8"))
    wait_until(is_drained(store))
    assert server.event_ids == ids(0, 9)


def test_a_gap_below_what_is_kept_is_declared_as_a_loss(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    store.record(numbered(0, 8))
    shipper = ship()
    wait_until(lambda: store.writer.state.kept_bytes == 0 and is_drained(store)())
    server.books.applied_seq = 2
    store.record(events("event-8"))
    wait_until(is_drained(store))
    # Events 3..8 are gone at the server and deleted here; event 9 is shipped all the same.
    assert server.books.losses == [(3, 8)]
    assert server.books.by_seq[9].event_id == "event-8"
    wait_until(lambda: shipper.tally.figures.push_count == 2)
    figures = shipper.tally.figures
    # In: 9 accepted + 6 taken back. Out: 9 counted + 6 lost.
    assert (figures.ledger.declared_lost, figures.ledger.taken_back) == (6, 6)
    assert (figures.ledger.counted, figures.imbalance, figures.gap_count) == (9, 0, 1)


def test_a_restored_server_gets_every_row_that_is_kept_again(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    server.safe_lag = 1_000
    store.record(numbered(0, 8))
    shipper = ship()
    wait_until(is_drained(store))
    server.books.incarnation = "incarnation-2"
    server.books.applied_seq = 0
    server.books.by_seq.clear()
    server.books.counted.clear()
    store.record(events("event-8"))
    wait_until(lambda: server.books.applied_seq == 9 and is_drained(store)())
    assert server.event_ids == ids(0, 9)
    wait_until(lambda: shipper.tally.figures.ledger.counted == 17)
    figures = shipper.tally.figures
    # In: 9 accepted + 8 taken back. Out: 8 counted before the restore, 9 after it.
    assert (figures.ledger.taken_back, figures.imbalance) == (8, 0)
    assert figures.incarnation_change_count == 1


def test_an_answer_that_names_fewer_events_than_were_sent_breaks_the_line(
    store: Store, server: FakeServer, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.mapping, "push_counts_from_proto", lambda _: PushCounts(7, 0, 0, 0))
    store.record(numbered(0, 8))
    shipper = ship()
    wait_until(lambda: shipper.tally.figures.push_count == 1)
    assert shipper.tally.figures.imbalance == 1


def test_a_wish_to_wait_is_honoured(
    store: Store, server: FakeServer, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    server.faults.append(Fault.RETRY_AFTER)
    shipper = ship()
    waits: list[float | None] = []
    wait = shipper._stopping.wait

    def note(seconds: float | None = None) -> bool:
        waits.append(seconds)
        return wait(seconds)

    monkeypatch.setattr(shipper._stopping, "wait", note)
    store.record(numbered(0, 3))
    wait_until(is_drained(store))
    store.record(numbered(3, 6))
    wait_until(is_drained(store))
    assert waits[0] == 0.05


def test_a_wrong_token_keeps_buffering_and_a_new_one_is_taken_at_once(
    store: Store, server: FakeServer, ship: Ship, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("wrong-secret")
    path.chmod(0o600)
    with capture_logs() as logs:
        shipper = ship(token_file=path)
        wait_until(lambda: "refused the agent's token" in shipper.health.last_error)
        store.record(numbered(0, 3))
        assert store.writer.state.positions.buffered_count == 3
        # The next try is at least 30 s away; the changed file wakes the shipper before.
        path.write_text(TOKEN)
        wait_until(is_drained(store))
    assert server.event_ids == ids(0, 3)
    assert "secret" not in str(logs)


def test_without_a_token_nothing_is_called_and_the_remedy_is_shown(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    shipper = ship(token=None)
    wait_until(lambda: "--token-file" in shipper.health.last_error)
    assert server.sessions == []
    assert not shipper.health.is_reachable


def test_an_unanswered_session_is_repeated_with_its_nonce_after_a_restart(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        store.record(numbered(0, 3))
        store.writer.change(
            lambda state: module.core.session_attempted(state, fresh_nonce=b"n" * 16)
        )
    with Store(tmp_path) as store:
        reader = OutboxReader(store.path)
        shipper = Shipper(
            UplinkSettings(server=server.address, agent_version="0"),
            writer=store.writer,
            reader=reader,
            tokens=TokenSource(token_file=None, token=TOKEN),
            clock=SystemClock(),
        )
        shipper.start()
        wait_until(is_drained(store))
        shipper.stop()
        reader.close()
    assert [(item.sync_no, item.nonce) for item in server.sessions] == [(1, b"n" * 16)]


def test_a_stop_does_not_wait_for_a_server_that_does_not_answer(
    store: Store, server: FakeServer, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = threading.Event()
    over = threading.Event()
    push_usage = server.push_usage

    def hang(request: object, context: object) -> object:
        called.set()
        over.wait(10)
        return push_usage(request, context)

    monkeypatch.setattr(server, "push_usage", hang)
    store.record(numbered(0, 3))
    shipper = ship()
    assert called.wait(10)
    shipper.stop()
    assert not shipper._thread.is_alive()
    over.set()
    assert store.writer.state.positions.applied_seq == 0


def test_a_stop_is_heard_also_just_before_the_shipper_looks_for_work(
    store: Store, server: FakeServer, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper = ship()
    wait_until(lambda: len(server.sessions) == 1)
    clear = shipper._work.clear

    def stop_and_clear() -> None:
        shipper._stopping.set()
        shipper._work.set()
        clear()

    monkeypatch.setattr(shipper._work, "clear", stop_and_clear)
    shipper.notify()
    shipper._thread.join(10)
    assert not shipper._thread.is_alive()


def test_the_oldest_unshipped_event_time_is_told(
    store: Store, server: FakeServer, ship: Ship
) -> None:
    store.record(numbered(0, 3))
    ship()
    wait_until(is_drained(store))
    assert server.sessions[0].oldest_unshipped_event_time.seconds == NOW_US // 1_000_000
    assert not server.pushes[0].HasField("oldest_unshipped_event_time")

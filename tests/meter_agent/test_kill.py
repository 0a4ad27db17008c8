"""SIGKILL under load: what was answered OK is at the server or still on the disk, in order."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from meter_agent.store.reader import OutboxReader
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.api.v1.ingest_pb2 import UsageEvents
from tests.meter_agent.fake_server import TOKEN, FakeServer, Fault
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import event, ids_of, wait_until

KILL_COUNT = 6
CALLER_COUNT = 6


class Caller(threading.Thread):
    """Records batches and retries each with the same ids until it is answered OK."""

    def __init__(self, number: int, *, address: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number = number
        self.answered: list[str] = []
        self.tried: set[str] = set()
        self._address = address
        self._over = over

    def run(self) -> None:
        choice = random.Random(self.number)
        channel = grpc.insecure_channel(
            self._address,
            options=(
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 100),
            ),
        )
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        batch_no = 0
        while not self._over.is_set():
            size = choice.choice([1, 1, 10, 200])
            names = [f"{self.number}-{batch_no}-{index}" for index in range(size)]
            self._record_until_ok(stub, names)
            batch_no += 1
        channel.close()

    def _record_until_ok(self, stub: agent_pb2_grpc.AgentServiceStub, names: list[str]) -> None:
        request = agent_pb2.RecordUsageRequest(events=[event(name) for name in names])
        self.tried.update(names)
        while not self._over.is_set():
            try:
                answer = stub.RecordUsage(request, timeout=5)
            except grpc.RpcError:
                time.sleep(0.01)
                continue
            assert answer.accepted_count == len(names)
            self.answered += names
            return


@pytest.fixture
def process(tmp_path: Path) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path)
    yield started
    started.kill()


def kill_under_load(
    process: AgentProcess, *arguments: str, faults: FakeServer | None
) -> list[Caller]:
    """Kills the agent again and again while callers record; returns the callers, ended."""
    process.start(*arguments)
    over = threading.Event()
    callers = [Caller(n, address=process.address, over=over) for n in range(CALLER_COUNT)]
    for caller in callers:
        caller.start()
    moments = random.Random(7)
    for _ in range(KILL_COUNT):
        before = sum(len(caller.answered) for caller in callers)
        wait_until(lambda before=before: sum(len(c.answered) for c in callers) > before + 100)
        time.sleep(moments.uniform(0.0, 0.2))
        if faults is not None:
            faults.faults.append(moments.choice([Fault.ACK_LOST, Fault.UNAVAILABLE, Fault.FENCED]))
        process.kill()
        process.start(*arguments)
    over.set()
    for caller in callers:
        caller.join(20)
    return callers


def test_every_event_answered_ok_is_on_disk_after_kills(process: AgentProcess) -> None:
    callers = kill_under_load(process, faults=None)
    process.kill()
    reader = OutboxReader(process.data_dir / "agent.db")
    page = reader.page(first_seq=1, event_count_max=10**9, bytes_max=10**12)
    reader.close()
    stored: list[str] = []
    for block in page:
        assert block.first_seq == len(stored) + 1  # Positions are contiguous.
        names = ids_of(block.events)
        assert len(names) == block.event_count
        stored += names
    assert {name for caller in callers for name in caller.answered} <= set(stored)
    assert set(stored) <= {name for caller in callers for name in caller.tried}


def test_every_event_answered_ok_arrives_once_and_in_order_after_kills(
    process: AgentProcess, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    with FakeServer(push_event_count_max=700) as server:
        arguments = (f"--server={server.address}", f"--token-file={token_file}")
        callers = kill_under_load(process, *arguments, faults=server)
        with grpc.insecure_channel(process.address) as channel:
            stub = agent_pb2_grpc.AgentServiceStub(channel)
            request = agent_pb2.GetAgentStatusRequest()
            wait_until(lambda: stub.GetAgentStatus(request).buffered_event_count == 0)
            status = stub.GetAgentStatus(request)
        assert process.stop() == 0
        arrived = server.event_ids
        pushed = [(push.first_seq, push.blocks) for push in server.pushes]
    answered = {name for caller in callers for name in caller.answered}
    assert answered <= set(arrived)
    assert set(arrived) <= {name for caller in callers for name in caller.tried}
    assert len(arrived) == len(set(arrived))
    # Nothing was declared lost, and the server's position is the agent's.
    assert server.books.losses == []
    assert server.books.applied_seq == status.applied_seq == status.next_seq - 1
    # Each position carried one and the same event whenever it was pushed.
    by_seq: dict[int, str] = {}
    for first_seq, blocks in pushed:
        names = [
            item.event_id
            for block in blocks
            for item in UsageEvents.FromString(block.events).events
        ]
        for seq, name in enumerate(names, start=first_seq):
            assert by_seq.setdefault(seq, name) == name
    assert sorted(by_seq) == list(range(1, status.next_seq))
    # The batches of one caller arrived in the order in which they were answered.
    first_seq_of = {name: seq for seq, name in sorted(by_seq.items(), reverse=True)}
    for caller in callers:
        seqs = [first_seq_of[name] for name in caller.answered]
        assert seqs == sorted(seqs)

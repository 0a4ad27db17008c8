"""Asks the server for leases and terms at once, for all calls that wait together."""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from meter_agent.core.positions import Positions
from meter_agent.core.quota.decide import Reach, Shortage
from meter_agent.core.quota.sync import SyncMark
from meter_agent.quota import news
from meter_agent.quota.mapping import counters_to_proto
from meter_agent.quota.news import Adoption, Heard, LeaseAsk, Want
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation
from meter_agent.store.writer import Writer
from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.connector import Connector
from meter_agent.uplink.lease_state import LeaseState
from metering.api.v1 import lease_pb2
from metering.errors import MeteringError

ASK_SECONDS: Final = 0.9
"""How long one try waits for its answer."""
TRY_COUNT_MAX: Final = 2
"""Tries without an answer before each limit's offline policy holds; the second one goes over a new
connection. Both fit into the two seconds that the SDK waits."""
MARGIN_SECONDS: Final = 0.1
"""So long before its caller's deadline a call that still waits is decided without the server."""
ASK_INTERVAL_SECONDS: Final = 0.05
"""Calls of AcquireLease are at least this far apart: at most 20 a second."""
ASK_COUNT_MAX: Final = 1_000
"""Limits, and customers, of one call."""
START_SECONDS: Final = 0.5
"""How long a call waits for the first session of a process."""
STARTING_SECONDS: Final = 5.0
"""How long after its start a process counts as starting."""
AWAY_RETRY_SECONDS: Final = 1.0
"""While the server is away, one call in so long tries whether it is back."""
LOOK_SECONDS: Final = 0.01
STOP_SECONDS: Final = 5.0
_COMMIT_SECONDS: Final = 10.0
_LOG = structlog.get_logger("meter_agent.uplink")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call that waits for the server."""

    customer_id: str
    shortages: tuple[Shortage, ...]
    deadline: float
    """Monotonic clock, seconds: its caller waits no longer."""
    tries: int = 0
    """That were not answered."""
    done: threading.Event = field(default_factory=threading.Event)
    reach: Reach = Reach.AWAY

    def resolve(self, reach: Reach) -> None:
        self.reach = reach
        self.done.set()


class LeaseAsker:
    """Gathers who asks, and asks for them: one call in flight.

    Args:
        state: Shared with the syncer and the shipper.
        connector: Holds the channel of the lease side.
        writer: Makes changes durable.
        on_session_lost: Called where a session must be opened.
        on_recalled: Called where a recall was answered, which the server is to hear of.
    """

    def __init__(
        self,
        state: LeaseState,
        *,
        connector: Connector,
        writer: Writer,
        on_session_lost: Callable[[], None],
        on_recalled: Callable[[], None],
    ) -> None:
        self._state = state
        self._connector = connector
        self._writer = writer
        self._on_session_lost = on_session_lost
        self._on_recalled = on_recalled
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._is_asking = False
        self._is_stopping = False
        self._start_seconds = state.clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="lease-asker", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; whoever waits is told that the server is away."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()
        self._connector.close()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def reach(self) -> Reach:
        """Tells whether the server can be asked now; waits a little for a first session."""
        state = self._state
        if state.is_away:
            with self._condition:
                is_askable = state.mark is not None and self._is_try_due()
            return Reach.ASKABLE if is_askable else Reach.AWAY
        # Only a process that has just started waits: else each call of an outage would.
        age = state.clock.monotonic() - self._start_seconds
        patience = START_SECONDS if age < STARTING_SECONDS else 0.0
        return Reach.ASKABLE if state.wait_for_session(patience) else Reach.AWAY

    def ask(
        self, customer_id: str, shortages: Sequence[Shortage], *, timeout_seconds: float
    ) -> Reach:
        """Asks, together with others who ask.

        Args:
            customer_id: Whose limits.
            shortages: What is short; empty: the customer's terms are not known.
            timeout_seconds: How long the caller waits.
        """
        patience = min(timeout_seconds, TRY_COUNT_MAX * ASK_SECONDS + _COMMIT_SECONDS)
        patience = max(patience - MARGIN_SECONDS, 0.0)
        deadline = self._state.clock.monotonic() + patience
        item = _Waiting(customer_id, tuple(shortages), deadline)
        with self._condition:
            if self._is_stopping or (self._state.is_away and not self._is_try_due()):
                return Reach.AWAY
            self._queue.append(item)
            self._condition.notify()
        item.done.wait(patience)
        return item.reach

    def _is_try_due(self) -> bool:
        """Tells whether a call may try a server that is away: one in so long, and one at a time.

        Under the lock of the queue: all others are answered by policy at once, none waits behind.
        """
        is_trying = self._is_asking or bool(self._queue)
        return not is_trying and self._state.seconds_since_failure >= AWAY_RETRY_SECONDS

    def _run(self) -> None:
        while not self._is_stopping:
            items = self._gather()
            repeated: list[_Waiting] = []
            try:
                if items:
                    self._ask_for(items)
            except (UplinkError, MeteringError) as error:
                self._note_failure(error)
                repeated = self._repeated(items, error)
            except Exception:  # noqa: BLE001 - without this thread every cold call is refused
                _LOG.exception("lease_asking_failed")
            finally:
                with self._condition:
                    self._is_asking = False
                    self._queue.extendleft(reversed(repeated))
                    if self._state.is_away:
                        # Who came during the last try would wait for another one in vain.
                        items.extend(self._queue)
                        self._queue.clear()
                for item in items:
                    if item not in repeated:
                        item.done.set()
            with self._condition:
                self._condition.wait_for(lambda: self._is_stopping, ASK_INTERVAL_SECONDS)

    def _repeated(
        self, items: list[_Waiting], error: UplinkError | MeteringError
    ) -> list[_Waiting]:
        """Returns those for whom it is asked once more: the same leases, so it grants once."""
        if not isinstance(error, UplinkError) or self._is_stopping or self._state.is_away:
            return []
        is_counted = not (error.is_busy or error.is_given_up)
        now = self._state.clock.monotonic()
        for item in items:
            item.tries += is_counted
        return [item for item in items if item.tries < TRY_COUNT_MAX and item.deadline > now]

    def _gather(self) -> list[_Waiting]:
        """Takes those who wait, up to the bounds of one call."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._is_stopping)
            now = self._state.clock.monotonic()
            items: list[_Waiting] = []
            limits = 0
            while self._queue and limits + len(self._queue[0].shortages) <= ASK_COUNT_MAX:
                if len(items) == ASK_COUNT_MAX:
                    break
                item = self._queue.popleft()
                if item.deadline <= now:
                    continue  # Nobody waits for it any more.
                limits += len(item.shortages)
                items.append(item)
            self._is_asking = bool(items)
            return items

    def _ask_for(self, items: list[_Waiting]) -> None:
        state, positions = self._state, self._open_positions()
        mark = state.mark
        if mark is None or not positions.session_no:
            return
        client = self._connector.client()
        wants = news.wants_of(
            (item.customer_id, shortage) for item in items for shortage in item.shortages
        )
        asks = self._prepare(wants)
        request = lease_pb2.AcquireLeaseRequest(
            session_no=positions.session_no,
            sync_no=mark.sync_no,
            nonce=mark.nonce,
            server_incarnation=positions.server_incarnation,
            disk_id=positions.disk_id,
            leases=[_ask_to_proto(ask) for ask in asks],
            granted_min=[ask.granted_min for ask in asks],
            customer_ids=sorted({item.customer_id for item in items if not item.shortages}),
        )
        heard = Heard(state.counter.book.clock.now_us(), positions.applied_seq)
        response = client.acquire_lease(request, timeout_seconds=ASK_SECONDS)
        state.answered()
        state.ask_count += 1
        if response.result != lease_pb2.LEASE_RESULT_OK:
            self._refused(response.result, mark, items)
            return
        self._adopt(response, heard=heard)
        self._resolve(items, asks, response)

    def _resolve(
        self,
        items: list[_Waiting],
        asks: Sequence[LeaseAsk],
        response: lease_pb2.AcquireLeaseResponse,
    ) -> None:
        """Lets those look again for whom something changed, and the others decide as it is."""
        asked = {(ask.lease.customer_id, ask.lease.limit_key) for ask in asks}
        changed = _changed(asks, response)
        known = {item.customer_id for item in response.customers if not item.is_unknown}
        for item in items:
            keys = {(item.customer_id, shortage.limit_key) for shortage in item.shortages}
            # A limit that was not asked for is gone: its customer's terms have changed meanwhile.
            is_changed = bool(keys & changed) or bool(keys - asked)
            if not item.shortages:
                is_changed = item.customer_id in known
            item.resolve(Reach.ASKABLE if is_changed else Reach.ANSWERED)

    def _open_positions(self) -> Positions:
        """Returns the positions, with a session where one is opened within a moment."""
        end = self._state.clock.monotonic() + START_SECONDS
        positions = self._writer.state.positions
        while not positions.session_no and self._state.clock.monotonic() < end:
            with self._condition:
                self._condition.wait_for(lambda: self._is_stopping, LOOK_SECONDS)
            positions = self._writer.state.positions
        return positions

    def _prepare(self, wants: Sequence[Want]) -> list[LeaseAsk]:
        """Returns the leases to ask for; new ids are on disk before they are sent."""
        if not wants:
            return []
        ids = [secrets.token_bytes(16) for _ in wants]
        found: list[LeaseAsk] = []

        def run() -> None:
            found[:] = news.asks_for(wants, fresh_ids=ids, counter=self._state.counter)

        self._commit(run)
        return found

    def _adopt(self, response: lease_pb2.AcquireLeaseResponse, *, heard: Heard) -> None:
        is_recalled: list[bool] = []

        def run() -> None:
            is_recalled[:] = [
                news.adopt(
                    response.leases,
                    response.customers,
                    heard=heard,
                    adoption=Adoption.KNOWN_ONLY,
                    counter=self._state.counter,
                )
            ]

        self._commit(run)
        if any(is_recalled):
            self._on_recalled()

    def _commit(self, run: Callable[[], None]) -> None:
        ticket = Ticket()
        self._writer.submit(Operation(run=run, ticket=ticket))
        ticket.wait(_COMMIT_SECONDS)

    def _refused(self, result: int, mark: SyncMark, items: list[_Waiting]) -> None:
        """Opens a session, unless the number was only old, and lets the calls ask again."""
        _LOG.info("lease_ask_refused", result=result)
        if self._state.mark == mark:
            self._on_session_lost()
        for item in items:
            item.resolve(Reach.ASKABLE)

    def _note_failure(self, error: UplinkError | MeteringError) -> None:
        if self._is_stopping:
            return
        if isinstance(error, UplinkError) and (error.is_busy or error.is_given_up):
            _LOG.info("lease_ask_repeated", error=error.message)
            return
        message = self._connector.failed(error)
        if isinstance(error, UplinkError):
            self._state.failed()
        _LOG.warning("lease_ask_failed", error=message)


def _changed(
    asks: Sequence[LeaseAsk], response: lease_pb2.AcquireLeaseResponse
) -> set[tuple[str, str]]:
    """Returns customer and key of each limit for which it is worth looking again.

    More was granted; or what was asked for can be granted to nobody, because the lease is closed
    or its window is over: the next try asks for another lease, in the window that holds now.
    """
    leases = {lease.lease_id: lease for lease in response.leases}
    windows = {
        customer.customer_id: {limit.limit_key: limit.window_id for limit in customer.limits}
        for customer in response.customers
    }
    changed = set()
    for ask in asks:
        lease, told = ask.lease, windows.get(ask.lease.customer_id)
        answer = leases.get(lease.lease_id)
        is_other = answer is not None and (answer.granted > lease.granted or answer.is_closed)
        is_over = told is not None and told.get(lease.limit_key) != lease.window_id
        if is_other or is_over:
            changed.add((lease.customer_id, lease.limit_key))
    return changed


def _ask_to_proto(ask: LeaseAsk) -> lease_pb2.LeaseCounters:
    message = counters_to_proto(ask.lease)
    message.granted = ask.granted
    return message

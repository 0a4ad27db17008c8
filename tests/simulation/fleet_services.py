"""The server of a simulated fleet with the real services over a real SQLite database in memory.

Opening, fencing, the unique key, buckets and running charges are the product's own; only time,
crashes and parts come from the simulation. A backup is SQLite's own copy of the database.
"""

import secrets
import sqlite3
from collections import Counter
from datetime import timedelta

from billing_server.domain.session.opening import Opening
from billing_server.domain.session.pushing import PushState
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.open_session import SessionRequest, open_session
from billing_server.services.usage_payload import UsagePush
from billing_server.store.unit_of_work import SqlStore
from meter_agent.core.positions import SessionAnswer
from metering.errors import InvalidStateError
from tests.billing_server.ingest_world import START, IngestWorld, block, event
from tests.simulation.fleet_server import CUSTOMERS, TOKENS, Push, Server, TakenReply
from tests.simulation.fleet_truth import Event, Violation
from tests.simulation.fleet_world import World


class ServiceServer(Server):
    """A server that is the real one behind its edge.

    Args:
        world: Time and chance.
        store: An empty database in memory.
    """

    def __init__(self, world: World, *, store: SqlStore) -> None:
        super().__init__(world)
        self._sql = store
        self._ingest = IngestWorld(store)
        for customer in CUSTOMERS[1:]:
            self._ingest.add_customer(customer)
            self._ingest.subscribe(customer)
        with store.write() as unit:
            self._agents = {
                token: unit.agents.enroll(
                    agent_id=f"agt-{token}", name=token, token_sha256=token, create_time=START
                )
                for token in TOKENS
            }
        raw = store._engines.writer.raw_connection().driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self._raw = raw
        self._copies: list[tuple[str, sqlite3.Connection]] = []

    @property
    def incarnation(self) -> str:
        """Identity of the data."""
        with self._sql.read() as unit:
            return unit.agents.incarnation()

    @property
    def counted(self) -> set[Event]:
        """Every event that is counted."""
        known = {(each.customer, each.event_id): each for each in self._world.truth.attempted}
        rows = self._raw.execute(
            "SELECT customer_id, event_id FROM usage_event WHERE quarantine_reason IS NULL"
        )
        return {known[row] for row in rows.fetchall()}

    @property
    def totals(self) -> dict[str, int]:
        """Usage counted for each customer, the same in the buckets and in the running charges."""
        totals: Counter[str] = Counter()
        for customer in CUSTOMERS:
            counted = sum(self._ingest.totals(customer).values())
            charged = sum(int(each.quantity) for each in self._ingest.charges(customer).values())
            if counted != charged:
                raise Violation(f"{customer}: {counted} in the buckets, {charged} are charged")
            totals[customer] = counted
        return dict(totals)

    def holds(self, event: Event) -> bool:
        """Whether the event is counted."""
        found = self._raw.execute(
            "SELECT 1 FROM usage_event WHERE event_id = ? AND customer_id = ? "
            "AND quarantine_reason IS NULL",
            (event.event_id, event.customer),
        )
        return found.fetchone() is not None

    def is_aware(self, token: str, disk_id: bytes, *, incarnation: str, applied_seq: int) -> bool:
        """Whether what an agent believes is not ahead of what this database knows."""
        [known_seq] = self._raw.execute(
            "SELECT COALESCE(MAX(applied_seq), 0) FROM agent WHERE disk_id = ?", (disk_id,)
        ).fetchone()
        return bool(incarnation == self.incarnation and applied_seq <= known_seq)

    def take_backup(self) -> None:
        """Copies the database."""
        copy = sqlite3.connect(":memory:")
        self._raw.backup(copy)
        self._copies.append((self.incarnation, copy))

    def restore(self, *, is_noticed: bool) -> bool:
        """Goes back to a backup; what the process had compiled is gone with it."""
        copies = [copy for name, copy in self._copies if self._may_return_to(name, is_noticed)]
        if not copies:
            return False
        self._world.source.choice(copies).backup(self._raw)
        self._ingest.ingester = UsageIngester(store=self._sql, clock=self._ingest.clock)
        self.crash(seconds=self._world.source.random() * 5.0)
        if is_noticed:
            with self._sql.write() as unit:
                unit.agents.renew_incarnation(secrets.token_hex(16), at=self._ingest.clock.now())
        return True

    def close(self) -> None:
        """Closes the backups."""
        for _, copy in self._copies:
            copy.close()

    def _open(self, token: str, opening: Opening) -> SessionAnswer | TakenReply:
        declared_count = self._declared_count()
        request = SessionRequest(
            disk_id=opening.disk_id,
            nonce=opening.nonce,
            sync_no=opening.sync_no,
            earliest_kept_seq=opening.earliest_kept_seq,
            applied_seq=opening.applied_seq,
            server_incarnation=opening.incarnation,
            previous_disk_id=opening.previous_disk_id,
        )
        try:
            opened = open_session(
                self._sql, clock=self._ingest.clock, agent=self._agents[token], request=request
            )
        except InvalidStateError as error:
            if error.reason != "IDENTITY_TAKEN":
                raise
            return TakenReply()
        self._world.truth.declared_count += self._declared_count() - declared_count
        return SessionAnswer(
            opened.agent_id,
            opened.session_no,
            opened.server_incarnation,
            opened.applied_seq,
            opened.applied_seq,
        )

    def _declared_count(self) -> int:
        [count] = self._raw.execute(
            "SELECT COALESCE(SUM(to_seq - from_seq + 1), 0) FROM declared_loss "
            "WHERE cause = 'declared'"
        ).fetchone()
        return int(count)

    def _apply(
        self, push: Push, part: tuple[Event, ...], *, first_seq: int
    ) -> tuple[PushState, int, int]:
        first_seq += push.sent.seq_offset
        now = START + timedelta(seconds=self._world.now)
        members = [
            event(
                each.event_id,
                customer=each.customer,
                at=None if each.event_time is None else START + timedelta(seconds=each.event_time),
                quantities={"input_tokens": str(each.quantity)},
            )
            for each in part
        ]
        blocks = (block(members, first_seq=first_seq, received=now),) if part else ()
        outcome = self._ingest.ingester.push(
            self._agents[push.token],
            push=UsagePush(
                server_incarnation=push.sent.server_incarnation,
                session_no=push.sent.session_no,
                first_seq=first_seq,
                blocks=blocks,
                disk_id=push.disk_id,
            ),
        )
        tally = outcome.tally
        if tally.conflicts or tally.quarantined:
            raise Violation(f"the same event was stored with other content: {tally}")
        return outcome.state, outcome.applied_seq, tally.counted

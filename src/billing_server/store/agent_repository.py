"""Agents in the database."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select
from sqlalchemy.exc import IntegrityError

from billing_server.domain.ports.agents import Agent, AgentSession, DeclaredLoss, Lag, LossCause
from billing_server.store.chunks import chunks
from billing_server.store.tables import agent, agent_customer, declared_loss, server_state
from billing_server.store.upsert import conflict_insert
from metering.errors import AlreadyExistsError


class SqlAgentRepository:
    """Implements the port of agents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def incarnation(self) -> str:
        """Returns the identity of this database's data."""
        return str(self._connection.execute(select(server_state.c.incarnation)).scalar_one())

    def incarnation_time(self) -> datetime | None:
        """Returns when the identity was renewed; None: never."""
        found: datetime | None = self._connection.execute(
            select(server_state.c.incarnation_time)
        ).scalar_one()
        return found

    def renew_incarnation(self, incarnation: str, *, at: datetime) -> None:
        """Gives the data a new identity, because they went back to a backup."""
        self._connection.execute(
            server_state.update().values(incarnation=incarnation, incarnation_time=at)
        )

    def enroll(
        self,
        *,
        agent_id: str,
        name: str,
        token_sha256: str,
        create_time: datetime,
        is_ephemeral: bool = False,
    ) -> Agent:
        """Writes a new agent.

        Raises:
            AlreadyExistsError: AGENT_NAME_TAKEN.
        """
        statement = agent.insert().values(
            agent_id=agent_id,
            name=name,
            token_sha256=token_sha256,
            create_time=create_time,
            is_ephemeral=is_ephemeral,
        )
        try:
            with self._connection.begin_nested():
                self._connection.execute(statement)
        except IntegrityError as error:
            raise AlreadyExistsError(
                reason="AGENT_NAME_TAKEN",
                message=f"name: an agent {name!r} is enrolled already; choose another name, or "
                "give that agent a new token",
            ) from error
        return self._one(select(agent).where(agent.c.agent_id == agent_id))

    def replace_token(self, agent_id: str, *, token_sha256: str) -> None:
        """Gives an agent another token; the old one is refused from then on."""
        self._connection.execute(
            agent.update()
            .where(agent.c.agent_id == agent_id)
            .values(token_sha256=token_sha256, revoke_time=None)
        )

    def revoke(self, agent_id: str, *, at: datetime) -> None:
        """Refuses an agent's token from then on, until it is given another one."""
        self._connection.execute(
            agent.update().where(agent.c.agent_id == agent_id).values(revoke_time=at)
        )

    def by_token_sha256(self, token_sha256: str) -> Agent | None:
        """Returns the agent with this token; None where it is unknown or revoked."""
        return self._first(
            select(agent).where(agent.c.token_sha256 == token_sha256, agent.c.revoke_time.is_(None))
        )

    def ever_with_token_sha256(self, token_sha256: str) -> Agent | None:
        """Returns the agent whose token this is, also where it was revoked."""
        return self._first(select(agent).where(agent.c.token_sha256 == token_sha256))

    def get(self, agent_id: str) -> Agent | None:
        """Returns an agent by id."""
        return self._first(select(agent).where(agent.c.agent_id == agent_id))

    def by_name(self, name: str) -> Agent | None:
        """Returns an agent by name."""
        return self._first(select(agent).where(agent.c.name == name))

    def page(self, *, after: str | None, limit: int) -> tuple[Agent, ...]:
        """Returns up to `limit` agents by name, those after the name `after`."""
        statement = select(agent).order_by(agent.c.name).limit(limit)
        if after is not None:
            statement = statement.where(agent.c.name > after)
        return tuple(_agent_from_row(row) for row in self._connection.execute(statement))

    def lock(self, agent_id: str) -> Agent | None:
        """Returns an agent and holds it until the end of the unit of work."""
        return self._first(select(agent).where(agent.c.agent_id == agent_id).with_for_update())

    def disk(self, enrolled: Agent, *, disk_id: bytes) -> Agent | None:
        """Returns what is known of a disk of an enrolled agent."""
        is_of_agent = or_(agent.c.ref == enrolled.ref, agent.c.parent_ref == enrolled.ref)
        return self._first(select(agent).where(is_of_agent, agent.c.disk_id == disk_id))

    def add_disk(
        self, enrolled: Agent, *, agent_id: str, name: str, create_time: datetime
    ) -> Agent:
        """Writes a further disk of an enrolled agent, without a session."""
        self._connection.execute(
            agent.insert().values(
                agent_id=agent_id,
                name=name,
                # No token has this hash: the disk is named by the enrolled agent's token.
                token_sha256=f"none {agent_id}",
                create_time=create_time,
                parent_ref=enrolled.ref,
                is_ephemeral=enrolled.is_ephemeral,
            )
        )
        return self._one(select(agent).where(agent.c.agent_id == agent_id))

    def retire_disk(self, enrolled: Agent, *, agent_id: str, name: str) -> None:
        """Keeps what is known of an enrolled agent's disk beside it; another takes its place."""
        self.add_disk(enrolled, agent_id=agent_id, name=name, create_time=enrolled.create_time)
        self.open_session(
            agent_id,
            session=AgentSession(
                disk_id=enrolled.disk_id or b"",
                session_no=enrolled.session_no,
                session_nonce=enrolled.session_nonce or b"",
                sync_no=enrolled.sync_no,
                applied_seq=enrolled.applied_seq,
                oldest_unshipped_event_time=enrolled.oldest_unshipped_event_time,
                last_seen=enrolled.last_seen or enrolled.create_time,
                agent_version=enrolled.agent_version or "",
                reported_next_seq=enrolled.reported_next_seq,
                incarnation=enrolled.session_incarnation or "",
                sync_time=enrolled.sync_time,
            ),
        )

    def open_session(self, agent_id: str, *, session: AgentSession) -> None:
        """Writes a new session over the old one."""
        self._connection.execute(
            agent.update()
            .where(agent.c.agent_id == agent_id)
            .values(
                disk_id=session.disk_id,
                session_no=session.session_no,
                session_nonce=session.session_nonce,
                sync_no=session.sync_no,
                applied_seq=session.applied_seq,
                oldest_unshipped_event_time=session.oldest_unshipped_event_time,
                last_seen=session.last_seen,
                agent_version=session.agent_version,
                reported_next_seq=session.reported_next_seq,
                session_incarnation=session.incarnation or None,
                sync_nonce=None,
                previous_sync_nonce=None,
                sync_time=session.sync_time,
                forget_time=None,
            )
        )

    def advance(
        self,
        agent_id: str,
        *,
        applied_seq: int,
        oldest_unshipped_event_time: datetime | None,
        last_seen: datetime,
        reported_next_seq: int = 0,
    ) -> None:
        """Writes how far an agent has come."""
        self._connection.execute(
            agent.update()
            .where(agent.c.agent_id == agent_id)
            .values(
                applied_seq=applied_seq,
                oldest_unshipped_event_time=oldest_unshipped_event_time,
                last_seen=last_seen,
                reported_next_seq=reported_next_seq,
            )
        )

    def by_refs(self, refs: Collection[int]) -> dict[int, Agent]:
        """Returns disks by their small number."""
        found: dict[int, Agent] = {}
        for some in chunks(sorted(set(refs))):
            rows = self._connection.execute(select(agent).where(agent.c.ref.in_(some)))
            found |= {row.ref: _agent_from_row(row) for row in rows}
        return found

    def note_sync(self, disk: Agent, *, sync_no: int, nonce: bytes, at: datetime) -> int:
        """Writes that a sync of leases was heard; a number that is not newer stays."""
        answer_no = disk.answer_no + 1
        values: dict[str, Any] = {"sync_time": at, "last_seen": at, "answer_no": answer_no}
        if sync_no > disk.sync_no:
            values |= {
                "sync_no": sync_no,
                "sync_nonce": nonce,
                "previous_sync_nonce": disk.sync_nonce or disk.session_nonce,
            }
        self._connection.execute(agent.update().where(agent.c.ref == disk.ref).values(**values))
        return answer_no

    def note_answer(self, disk: Agent) -> int:
        """Writes that a disk is answered; returns the number of the answer."""
        answer_no = disk.answer_no + 1
        self._connection.execute(
            agent.update().where(agent.c.ref == disk.ref).values(answer_no=answer_no)
        )
        return answer_no

    def forget(self, disk: Agent, *, at: datetime) -> None:
        """Writes that a disk was declared lost; a session of it takes that back."""
        self._connection.execute(
            agent.update().where(agent.c.ref == disk.ref).values(forget_time=at)
        )

    def unheard(self, incarnation: str) -> tuple[int, ...]:
        """Returns agents and disks that have opened no session of an incarnation.

        Also those that had none at all: their first leases may be younger than a backup.
        """
        statement = select(agent.c.ref).where(
            agent.c.revoke_time.is_(None),
            agent.c.forget_time.is_(None),
            or_(
                agent.c.session_incarnation.is_(None),
                agent.c.session_incarnation != incarnation,
            ),
        )
        return tuple(self._connection.execute(statement).scalars())

    def declare_loss(self, loss: DeclaredLoss) -> None:
        """Writes down positions that are lost."""
        ref = select(agent.c.ref).where(agent.c.agent_id == loss.agent_id).scalar_subquery()
        self._connection.execute(
            declared_loss.insert().values(
                agent_ref=ref,
                from_seq=loss.from_seq,
                to_seq=loss.to_seq,
                declare_time=loss.declare_time,
                cause=loss.cause.value,
            )
        )

    def losses(self, *, limit: int, agent_id: str | None = None) -> tuple[DeclaredLoss, ...]:
        """Returns the newest losses, of one agent or all, newest first."""
        statement = (
            select(
                agent.c.agent_id,
                declared_loss.c.from_seq,
                declared_loss.c.to_seq,
                declared_loss.c.declare_time,
                declared_loss.c.cause,
            )
            .join(agent, agent.c.ref == declared_loss.c.agent_ref)
            .order_by(declared_loss.c.id.desc())
            .limit(limit)
        )
        if agent_id is not None:
            statement = statement.where(agent.c.agent_id == agent_id)
        return tuple(
            DeclaredLoss(*row[:4], cause=LossCause(row[4]))
            for row in self._connection.execute(statement)
        )

    def lost_counts(self, agent_ids: Collection[str]) -> dict[str, int]:
        """Returns events lost in all, by agent; agents without a loss are left out."""
        lost = func.sum(declared_loss.c.to_seq - declared_loss.c.from_seq + 1)
        statement = (
            select(agent.c.agent_id, lost)
            .join(agent, agent.c.ref == declared_loss.c.agent_ref)
            .where(agent.c.agent_id.in_(agent_ids))
            .group_by(agent.c.agent_id)
        )
        return {row[0]: int(row[1]) for row in self._connection.execute(statement)}

    def note_carried(
        self, agent_ref: int, *, customer_ids: Collection[str], carry_time: datetime
    ) -> None:
        """Writes down that an agent has carried usage of customers."""
        statement = conflict_insert(self._connection, agent_customer)
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["customer_id", "agent_ref"],
                set_={"carry_time": statement.excluded.carry_time},
            ),
            [
                {"customer_id": each, "agent_ref": agent_ref, "carry_time": carry_time}
                for each in sorted(customer_ids)
            ],
        )

    def lagging(self, customer_id: str, *, lag: Lag) -> tuple[str, ...]:
        """Returns the names of agents that lag and have carried usage of a customer."""
        statement = (
            select(agent.c.name)
            .join(agent_customer, agent_customer.c.agent_ref == agent.c.ref)
            .where(agent_customer.c.customer_id == customer_id, agent.c.ref.in_(_behind(lag)))
            .order_by(agent.c.name)
        )
        return tuple(self._connection.execute(statement).scalars())

    def customers_held_back(self, customer_ids: Collection[str], *, lag: Lag) -> frozenset[str]:
        """Returns those of the customers of whom an agent that lags has carried usage."""
        found: set[str] = set()
        for some in chunks(sorted(set(customer_ids))):
            statement = (
                select(agent_customer.c.customer_id)
                .distinct()
                .where(
                    agent_customer.c.customer_id.in_(some),
                    agent_customer.c.agent_ref.in_(_behind(lag)),
                )
            )
            found.update(self._connection.execute(statement).scalars())
        return frozenset(found)

    def _first(self, statement: Select[Any]) -> Agent | None:
        row = self._connection.execute(statement).first()
        return None if row is None else _agent_from_row(row)

    def _one(self, statement: Select[Any]) -> Agent:
        return _agent_from_row(self._connection.execute(statement).one())


def _behind(lag: Lag) -> Select[Any]:
    """Returns the query of the agents that lag."""
    is_behind = agent.c.oldest_unshipped_event_time < lag.event_time_before
    if lag.reported_since is not None:
        is_behind = or_(is_behind, agent.c.last_seen < lag.reported_since)
    parent = agent.alias()
    return (
        select(agent.c.ref)
        .outerjoin(parent, parent.c.ref == agent.c.parent_ref)
        .where(
            agent.c.last_seen >= lag.seen_since,
            agent.c.revoke_time.is_(None),
            parent.c.revoke_time.is_(None),
            is_behind,
        )
    )


def _agent_from_row(row: Row[Any]) -> Agent:
    return Agent(**row._mapping)

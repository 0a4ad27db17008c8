"""Agents in the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.exc import IntegrityError

from billing_server.domain.ports.agents import Agent, AgentSession, DeclaredLoss
from billing_server.store.tables import agent, declared_loss, server_state
from metering.errors import AlreadyExistsError


class SqlAgentRepository:
    """Implements the port of agents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def incarnation(self) -> str:
        """Returns the identity of this database's data."""
        return str(self._connection.execute(select(server_state.c.incarnation)).scalar_one())

    def enroll(
        self, *, agent_id: str, name: str, token_sha256: str, create_time: datetime
    ) -> Agent:
        """Writes a new agent.

        Raises:
            AlreadyExistsError: AGENT_NAME_TAKEN.
        """
        statement = agent.insert().values(
            agent_id=agent_id, name=name, token_sha256=token_sha256, create_time=create_time
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
            )
        )

    def advance(
        self,
        agent_id: str,
        *,
        applied_seq: int,
        oldest_unshipped_event_time: datetime | None,
        last_seen: datetime,
    ) -> None:
        """Writes how far an agent has come."""
        self._connection.execute(
            agent.update()
            .where(agent.c.agent_id == agent_id)
            .values(
                applied_seq=applied_seq,
                oldest_unshipped_event_time=oldest_unshipped_event_time,
                last_seen=last_seen,
            )
        )

    def declare_loss(self, loss: DeclaredLoss) -> None:
        """Writes down positions that are lost."""
        ref = select(agent.c.ref).where(agent.c.agent_id == loss.agent_id).scalar_subquery()
        self._connection.execute(
            declared_loss.insert().values(
                agent_ref=ref,
                from_seq=loss.from_seq,
                to_seq=loss.to_seq,
                declare_time=loss.declare_time,
            )
        )

    def losses(self, *, limit: int) -> tuple[DeclaredLoss, ...]:
        """Returns the newest declared losses, newest first."""
        statement = (
            select(
                agent.c.agent_id,
                declared_loss.c.from_seq,
                declared_loss.c.to_seq,
                declared_loss.c.declare_time,
            )
            .join(agent, agent.c.ref == declared_loss.c.agent_ref)
            .order_by(declared_loss.c.id.desc())
            .limit(limit)
        )
        return tuple(DeclaredLoss(*row) for row in self._connection.execute(statement))

    def _first(self, statement: Select[Any]) -> Agent | None:
        row = self._connection.execute(statement).first()
        return None if row is None else _agent_from_row(row)

    def _one(self, statement: Select[Any]) -> Agent:
        return _agent_from_row(self._connection.execute(statement).one())


def _agent_from_row(row: Row[Any]) -> Agent:
    return Agent(**row._mapping)

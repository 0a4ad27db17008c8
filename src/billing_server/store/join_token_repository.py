"""Join tokens in the database."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from billing_server.domain.ports.join_tokens import JoinToken
from billing_server.store.tables import join_token


class SqlJoinTokenRepository:
    """Implements the port of join tokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, added: JoinToken) -> None:
        """Writes a new join token."""
        self._connection.execute(
            join_token.insert().values(
                join_token_id=added.join_token_id,
                fleet=added.fleet,
                token_sha256=added.token_sha256,
                create_time=added.create_time,
                expire_time=added.expire_time,
                agent_count_max=added.agent_count_max,
                is_ephemeral=added.is_ephemeral,
            )
        )

    def get(self, join_token_id: str) -> JoinToken | None:
        """Returns a join token by id."""
        return self._first(_with_id(join_token_id))

    def by_token_sha256(self, token_sha256: str) -> JoinToken | None:
        """Returns the join token with this hash, whatever became of it."""
        return self._first(select(join_token).where(join_token.c.token_sha256 == token_sha256))

    def lock(self, join_token_id: str) -> JoinToken | None:
        """Returns a join token and holds it until the end of the unit of work."""
        return self._first(_with_id(join_token_id).with_for_update())

    def note_joined(self, join_token_id: str) -> None:
        """Counts one more agent that has joined."""
        self._connection.execute(
            join_token.update()
            .where(join_token.c.join_token_id == join_token_id)
            .values(agent_count=join_token.c.agent_count + 1)
        )

    def revoke(self, join_token_id: str, *, at: datetime) -> None:
        """Refuses a join token from then on."""
        self._connection.execute(
            join_token.update()
            .where(join_token.c.join_token_id == join_token_id)
            .values(revoke_time=at)
        )

    def page(self, *, after: str | None, limit: int) -> tuple[JoinToken, ...]:
        """Returns up to `limit` join tokens by id, those after the id `after`."""
        statement = select(join_token).order_by(join_token.c.join_token_id).limit(limit)
        if after is not None:
            statement = statement.where(join_token.c.join_token_id > after)
        return tuple(JoinToken(**row._mapping) for row in self._connection.execute(statement))

    def _first(self, statement: Select[Any]) -> JoinToken | None:
        row = self._connection.execute(statement).first()
        return None if row is None else JoinToken(**row._mapping)


def _with_id(join_token_id: str) -> Select[Any]:
    return select(join_token).where(join_token.c.join_token_id == join_token_id)

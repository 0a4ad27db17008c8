"""What the server keeps for itself in the database: API keys, its clock, remembered requests."""

from datetime import datetime

from sqlalchemy import Connection, select

from billing_server.domain.ports.administration import ApiKey, RememberedRequest
from billing_server.store.tables import api_key, idempotency_key, server_state
from billing_server.store.upsert import conflict_insert

REAL_CLOCK = "real"
TEST_CLOCK = "test"


class SqlApiKeyRepository:
    """API keys by the hash of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, new: ApiKey) -> None:
        """Writes a key; one of the same name is replaced."""
        changed = {"key_sha256": new.sha256, "create_time": new.create_time}
        self._connection.execute(
            conflict_insert(self._connection, api_key)
            .values(name=new.name, **changed)
            .on_conflict_do_update(index_elements=[api_key.c.name], set_=changed)
        )

    def by_sha256(self, sha256: str) -> ApiKey | None:
        """Returns the key with this hash."""
        row = self._connection.execute(
            api_key.select().where(api_key.c.key_sha256 == sha256)
        ).first()
        if row is None:
            return None
        return ApiKey(name=row.name, sha256=row.key_sha256, create_time=row.create_time)


class SqlIdempotencyRepository:
    """Requests by idempotency key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> RememberedRequest | None:
        """Returns what is remembered under a key."""
        row = self._connection.execute(
            idempotency_key.select().where(idempotency_key.c.key == key)
        ).first()
        if row is None:
            return None
        return RememberedRequest(
            key=row.key,
            request_sha256=row.request_sha256,
            response_code=row.response_code,
            response_body=row.response_body,
            create_time=row.create_time,
        )

    def claim(self, request: RememberedRequest) -> bool:
        """Writes a request before it is worked on; False where the key is taken already."""
        written = self._connection.execute(
            conflict_insert(self._connection, idempotency_key)
            .values(
                key=request.key,
                request_sha256=request.request_sha256,
                response_code=request.response_code,
                response_body=request.response_body,
                create_time=request.create_time,
            )
            .on_conflict_do_nothing()
            .returning(idempotency_key.c.key)
        )
        return written.first() is not None

    def complete(self, request: RememberedRequest) -> None:
        """Writes the answer of a claimed request."""
        self._connection.execute(
            idempotency_key.update()
            .where(idempotency_key.c.key == request.key)
            .values(
                response_code=request.response_code,
                response_body=request.response_body,
                create_time=request.create_time,
            )
        )

    def release(self, key: str) -> None:
        """Forgets a request that has no answer yet."""
        columns = idempotency_key.c
        self._connection.execute(
            idempotency_key.delete().where(columns.key == key, columns.response_code == 0)
        )

    def purge(self, *, created_before: datetime, limit: int) -> int:
        """Forgets up to `limit` requests older than an instant; returns how many."""
        old = (
            select(idempotency_key.c.key)
            .where(idempotency_key.c.create_time < created_before)
            .limit(limit)
        )
        gone = self._connection.execute(
            idempotency_key.delete().where(idempotency_key.c.key.in_(old))
        )
        return gone.rowcount


class SqlClockRepository:
    """The clock that a database runs on: real or test, settled once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def test_clock(self) -> datetime | None:
        """Returns where the test clock stands; None on the real clock."""
        return self._connection.execute(select(server_state.c.test_clock)).scalar()

    def lock_test_clock(self) -> datetime | None:
        """Returns where the test clock stands and holds it until the end of the transaction."""
        held = select(server_state.c.test_clock).with_for_update()
        return self._connection.execute(held).scalar()

    def set_test_clock(self, instant: datetime) -> None:
        """Moves the test clock."""
        self._connection.execute(
            server_state.update().values(test_clock=instant, clock_kind=TEST_CLOCK)
        )

    def is_new(self) -> bool:
        """Tells whether no server has settled yet which clock this database runs on."""
        return self._connection.execute(select(server_state.c.clock_kind)).scalar() is None

    def settle_real_clock(self) -> None:
        """Notes for good that this database runs on real time."""
        self._connection.execute(server_state.update().values(clock_kind=REAL_CLOCK))

"""The database that tests share: each one finds it as it was made."""

import psycopg
import pytest

from tests.support.reused_database import DatabasePool

pytestmark = pytest.mark.postgresql


def test_what_a_test_wrote_is_gone_and_what_was_there_is_back(
    postgresql_pool: DatabasePool,
) -> None:
    database = postgresql_pool.take()
    with psycopg.connect(database.url, autocommit=True) as connection:
        before = connection.execute("SELECT * FROM number_series").fetchall()
        assert before
        connection.execute("UPDATE number_series SET next_number = 7")
        connection.execute("DELETE FROM server_state")
        connection.execute(
            "INSERT INTO api_key (name, key_sha256, create_time) VALUES ('a', 'b', 1)"
        )
    assert database.restore()
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert connection.execute("SELECT * FROM number_series").fetchall() == before
        assert connection.execute("SELECT count(*) FROM server_state").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM api_key").fetchone() == (0,)
    postgresql_pool.give_back(database)


def test_numbers_begin_anew_also_where_the_rows_are_gone_by_themselves(
    postgresql_pool: DatabasePool,
) -> None:
    database = postgresql_pool.take()
    with psycopg.connect(database.url, autocommit=True) as connection:
        [sequence, *_] = [
            row[0] for row in connection.execute("SELECT sequencename FROM pg_sequences")
        ]
        assert connection.execute(f"SELECT nextval('{sequence}')").fetchone() == (1,)
        assert connection.execute(f"SELECT nextval('{sequence}')").fetchone() == (2,)
    assert database.restore()
    with psycopg.connect(database.url, autocommit=True) as connection:
        assert connection.execute(f"SELECT nextval('{sequence}')").fetchone() == (1,)
    postgresql_pool.give_back(database)


def test_a_connection_that_was_left_open_is_ended(postgresql_pool: DatabasePool) -> None:
    database = postgresql_pool.take()
    left = psycopg.connect(database.url)
    left.execute("LOCK TABLE server_state")
    assert database.restore()
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    left.close()
    postgresql_pool.give_back(database)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE api_key ADD COLUMN more TEXT",
        "CREATE TABLE another (id INTEGER)",
        "DROP TABLE api_key CASCADE",
    ],
)
def test_one_whose_schema_was_changed_is_used_no_more(
    postgresql_pool: DatabasePool, change: str
) -> None:
    database = postgresql_pool.take()
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(change)
    assert not database.restore()
    postgresql_pool.give_back(database)
    another = postgresql_pool.take()
    assert another.url != database.url
    postgresql_pool.give_back(another)

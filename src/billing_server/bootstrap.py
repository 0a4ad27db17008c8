"""Puts the server together: the one place that knows every part."""

import fcntl
import hashlib
import itertools
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from billing_server.config import SQLITE_FILE_PREFIX, ServerSettings, parse_listen
from billing_server.domain.ports.unit_of_work import Store
from billing_server.edge.grpc.server import IngestServer, Reflection
from billing_server.edge.grpc.tls import TlsFiles
from billing_server.edge.http.app import create_app
from billing_server.edge.http.server import HttpServer
from billing_server.jobs.scheduler import Scheduler
from billing_server.services.api_keys import API_KEY_PREFIX, register_api_key, sha256_of_secret
from billing_server.services.context import BillingSettings, ServiceContext
from billing_server.services.play_scenario import play_scenario, raise_due_failure
from billing_server.services.scenario import Scenario, no_files, parse_scenario
from billing_server.services.scenario_file import ReadFile
from billing_server.services.scenario_report import scenario_report
from billing_server.services.verify_usage import VerifyMode, VerifyReport, verify_usage
from billing_server.store.origin import check_origin
from billing_server.store.unit_of_work import MEMORY_URL, open_store
from metering.clock import Clock, ManualClock, SystemClock, format_instant
from metering.errors import InvalidStateError, UnavailableError, ValidationError
from metering.stop_signal import StopSignal

DATA_DIR_MODE = 0o700
KEY_FILE_MODE = 0o600
API_KEY_BYTES = 32
LISTEN_BACKLOG = 1024
STOP_SECONDS_MAX = 10.0
"""How long a stop waits for calls in hand."""
DISTRIBUTION = "meter-agent"
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")

log = structlog.get_logger(__name__)


def build_context(store: Store, *, clock: Clock, settings: ServerSettings) -> ServiceContext:
    """Return what the use cases of the real server are handed."""
    return ServiceContext(
        store=store,
        clock=clock,
        random_bytes=os.urandom,
        settings=BillingSettings(grace=settings.grace),
    )


@contextmanager
def opened_server(settings: ServerSettings) -> Iterator[ServiceContext]:
    """Open the data directory, the database, its clock and the admin key; close them at the end.

    Raises:
        InvalidStateError: SERVER_RUNNING, DATABASE_NEWER, CLOCK_KIND_MISMATCH.
        ValidationError: DATA_DIR_UNWRITABLE, DATABASE_URL_MALFORMED.
    """
    with ExitStack() as stack:
        make_data_dir(settings.data_dir)
        stack.enter_context(locked(settings))
        store = open_store(settings.resolved_database_url())
        stack.callback(store.close)
        check_origin(store, mark_path=settings.incarnation_path)
        clock = settle_clock(store, test_clock=settings.test_clock)
        context = build_context(store, clock=clock, settings=settings)
        ensure_admin_key(context, path=settings.admin_key_path)
        yield context


def verify_database(settings: ServerSettings, *, mode: VerifyMode) -> VerifyReport:
    """Compare what is kept of usage with the stored events, and mend it where that is asked for.

    Raises:
        InvalidStateError: SERVER_RUNNING, DATABASE_NEWER.
        ValidationError: DATABASE_UNWRITABLE, DATABASE_URL_MALFORMED.
    """
    with locked(settings):
        store = open_store(settings.resolved_database_url())
        try:
            return verify_usage(store, mode=mode)
        finally:
            store.close()


def run_server(settings: ServerSettings) -> None:
    """Run until SIGTERM or SIGINT, then stop gracefully: calls in hand are answered."""
    with ExitStack() as stack:
        # Ports first: a port in use is told before anything is made.
        http_socket = stack.enter_context(listening_socket(settings.http_listen))
        context = stack.enter_context(opened_server(settings))
        running = stack.enter_context(
            _running_parts(context, settings=settings, http_socket=http_socket)
        )
        is_over = StopSignal()
        print(running, flush=True)  # noqa: T201 - the one line that a person or a script waits for
        is_over.wait()
        log.info("stopping")


def make_data_dir(path: Path) -> None:
    """Make the data directory, for its owner only.

    Raises:
        ValidationError: DATA_DIR_UNWRITABLE.
    """
    try:
        path.mkdir(mode=DATA_DIR_MODE, parents=True, exist_ok=True)
        is_writable = os.access(path, os.W_OK | os.X_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        raise ValidationError(
            reason="DATA_DIR_UNWRITABLE",
            message=f"data-dir: {path} cannot be made or written to; name another with --data-dir "
            "or BILLING_SERVER_DATA_DIR",
        )


@contextmanager
def locked(settings: ServerSettings) -> Iterator[None]:
    """Hold a SQLite database for this process; PostgreSQL serves any number of servers.

    Raises:
        InvalidStateError: SERVER_RUNNING.
    """
    if not settings.resolved_database_url().startswith(SQLITE_FILE_PREFIX):
        yield
        return
    try:
        file = settings.lock_path.open("a")
    except OSError as error:
        raise ValidationError(
            reason="DATABASE_UNWRITABLE",
            message=f"database-url: {settings.lock_path} cannot be made beside the database "
            f"({error.strerror}); name a directory that is there and may be written to",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidStateError(
                reason="SERVER_RUNNING",
                message=f"another billing-server holds {settings.lock_path}: stop it, or give "
                "this one its own with --data-dir; several servers share one PostgreSQL with "
                "--database-url",
            ) from error
        yield


def settle_clock(store: Store, *, test_clock: datetime | None) -> Clock:
    """Return the clock that a database runs on; the first start settles it for good (R12).

    A test database goes on from where its clock stands, whatever instant is named.

    Raises:
        InvalidStateError: CLOCK_KIND_MISMATCH.
    """
    with store.write() as unit:
        stored = unit.clock.test_clock()
        if unit.clock.is_new():
            if test_clock is None:
                unit.clock.settle_real_clock()
                return SystemClock()
            unit.clock.set_test_clock(test_clock)
            return ManualClock(test_clock)
    if stored is None and test_clock is not None:
        raise InvalidStateError(
            reason="CLOCK_KIND_MISMATCH",
            message="test-clock: this database runs on real time and stays so; give a test its own "
            "data directory with --data-dir",
        )
    if stored is not None and test_clock is None:
        raise InvalidStateError(
            reason="CLOCK_KIND_MISMATCH",
            message=f"this is a test database, whose clock stands at {format_instant(stored)}: "
            "start it with --test-clock INSTANT, or use another data directory with --data-dir",
        )
    return SystemClock() if stored is None else ManualClock(stored)


def ensure_admin_key(context: ServiceContext, *, path: Path) -> None:
    """Make the key that the local commands use, or make the one that is there known."""
    try:
        key = path.read_text().strip()
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise ValidationError(
                reason="ADMIN_KEY_UNREADABLE",
                message=f"data-dir: the admin key {path} cannot be read ({error.strerror}): give "
                "it back to the user that runs the server, or remove it to get a new one",
            ) from error
        key = API_KEY_PREFIX + secrets.token_urlsafe(API_KEY_BYTES)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
    # Replicas on one PostgreSQL have a key each: the name tells them apart.
    name = f"admin-{sha256_of_secret(key)[:12]}"
    register_api_key(context, name=name, key=key)


@contextmanager
def listening_socket(address: str) -> Iterator[socket.socket]:
    """Listen on an address for HTTP.

    Raises:
        UnavailableError: PORT_IN_USE, naming the flag and the remedy.
    """
    host, port = parse_listen(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise UnavailableError(
                reason="PORT_IN_USE",
                message=f"http-listen: cannot listen on {address} ({error.strerror}): stop what "
                "uses the port, or name another address with --http-listen HOST:PORT",
                metadata={"address": address},
            ) from error
        listening.listen(LISTEN_BACKLOG)
        yield listening


@contextmanager
def _running_parts(
    context: ServiceContext,
    *,
    settings: ServerSettings,
    http_socket: socket.socket,
) -> Iterator[str]:
    """Start gRPC, HTTP and the scheduler; yield the line that tells where they are."""
    is_ready = threading.Event()
    app = create_app(context, version=version(DISTRIBUTION), is_ready=is_ready.is_set)
    with ExitStack() as stack:
        ingest = IngestServer(
            store=context.store,
            clock=context.clock,
            listen=settings.grpc_listen,
            tls=_tls_files(settings),
            reflection_mode=Reflection(settings.grpc_reflection),
        )
        warn_of_plain_text(settings)
        ingest.start()
        stack.callback(ingest.stop)
        scheduler = Scheduler(context)
        scheduler.start()
        stack.callback(scheduler.stop)
        http_server = HttpServer(app, listening=http_socket, stop_seconds_max=STOP_SECONDS_MAX)
        http_server.start()
        stack.callback(http_server.stop)
        is_ready.set()
        stack.callback(is_ready.clear)
        host, port = http_socket.getsockname()[:2]
        clock = f"test clock {format_instant(context.clock.now())}" if context.test_clock else ""
        yield " · ".join(
            part
            for part in (
                f"billing-server ready: HTTP http://{host}:{port}",
                f"gRPC {parse_listen(settings.grpc_listen)[0]}:{ingest.port}"
                f"{' (TLS)' if settings.tls_cert else ''}",
                f"data {settings.data_dir}",
                clock,
            )
            if part
        )


def _tls_files(settings: ServerSettings) -> TlsFiles | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsFiles(cert=settings.tls_cert, key=settings.tls_key, client_ca=settings.tls_client_ca)


def warn_of_plain_text(settings: ServerSettings) -> None:
    """Warn where agents on other hosts would send their tokens in plain text."""
    host, _ = parse_listen(settings.grpc_listen)
    if settings.tls_cert is None and host not in LOOPBACK_HOSTS:
        log.warning(
            "grpc_plain_text",
            listen=settings.grpc_listen,
            remedy="give --tls-cert and --tls-key; agents on other hosts refuse plain text unless "
            "they are told --tls off",
        )


def simulate(
    text: str,
    *,
    name: str,
    on_progress: Callable[[datetime, Scenario], None] | None = None,
    read_file: ReadFile = no_files,
    usage_files: Sequence[str] = (),
) -> dict[str, Any]:
    """Play a scenario in memory and return what it came to; equal texts give equal results.

    Args:
        text: YAML or JSON.
        name: of the file, for messages.
        on_progress: told how far the clock has come.
        read_file: returns the bytes of a file of usage that the scenario names.
        usage_files: further files of usage, heard from the scenario's start on.

    Raises:
        ValidationError: SCENARIO_INVALID, USAGE_FILE_INVALID; or the error of the step that was
            refused.
    """
    scenario = parse_scenario(text, name=name, read_file=read_file, usage_files=usage_files)
    store = open_store(MEMORY_URL)
    try:
        with store.write() as unit:
            unit.clock.set_test_clock(scenario.start)
        context = ServiceContext(
            store=store,
            clock=ManualClock(scenario.start),
            random_bytes=counted_bytes(),
            settings=BillingSettings(grace=scenario.grace, payment_terms=scenario.payment_terms),
            on_due_failure=raise_due_failure,
        )
        events = play_scenario(
            context,
            scenario=scenario,
            on_progress=lambda at: on_progress(at, scenario) if on_progress else None,
        )
        return scenario_report(context, events=events)
    finally:
        store.close()


def counted_bytes() -> Callable[[int], bytes]:
    """Return a source of ids for simulations: unique, and the same in every run."""
    numbers = itertools.count()

    def read(size: int) -> bytes:
        return hashlib.shake_256(str(next(numbers)).encode()).digest(size)

    return read

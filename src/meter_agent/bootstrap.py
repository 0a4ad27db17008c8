"""Puts the agent together: the one place that knows every part."""

import threading
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import structlog

from meter_agent.admin.http import AdminServer, parse_admin_address
from meter_agent.admin.observer import ObservedParts, Observer
from meter_agent.config import AgentSettings
from meter_agent.core.backoff import BackoffPolicy
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.core.retention import Retention
from meter_agent.edge.addresses import Address, parse_address
from meter_agent.edge.agent_service import AgentService, timestamp_from_datetime
from meter_agent.edge.server import AgentServer
from meter_agent.quota_wiring import QuotaParts
from meter_agent.store.admission import AdmissionControl
from meter_agent.store.ballast import Ballast
from meter_agent.store.data_dir import DataDirectory
from meter_agent.store.outbox import Outbox
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import damage_reports, damage_warnings
from meter_agent.store.repairer import (
    IntegrityCheck,
    Repairer,
    ended_uncleanly,
    open_outbox,
)
from meter_agent.store.writer import Writer
from meter_agent.uplink.mapping import timestamp_from_us
from meter_agent.uplink.settings import UplinkHealth, UplinkSettings
from meter_agent.uplink.shipper import Shipper
from metering.api.v1 import agent_pb2
from metering.clock import Clock, SystemClock
from metering.errors import MeteringError

DISTRIBUTION: Final = "meter-agent"

_LOG = structlog.get_logger("meter_agent.store")


def agent_version() -> str:
    """Returns the version of the installed program."""
    return metadata.version(DISTRIBUTION)


@dataclass(frozen=True, slots=True)
class _Identity:
    """What does not change while the agent runs."""

    version: str
    server: str
    budget: DiskBudget
    start_time: datetime


class _AgentStatus:
    """Tells how the agent stands, from the parts that know."""

    def __init__(
        self,
        identity: _Identity,
        *,
        directory: DataDirectory,
        writer: Writer,
        reader: OutboxReader,
        shipper: Shipper | None,
    ) -> None:
        self._identity = identity
        self._directory = directory
        self._writer = writer
        self._reader = reader
        self._shipper = shipper

    @property
    def agent_id(self) -> str:
        return self._writer.state.positions.agent_id

    @property
    def has_server(self) -> bool:
        return self._shipper is not None

    def status(self) -> agent_pb2.GetAgentStatusResponse:
        positions = self._writer.state.positions
        backlog = self._reader.backlog(positions)
        health = UplinkHealth() if self._shipper is None else self._shipper.health
        reports = damage_reports(self._directory.database_path)
        oldest_us = backlog.oldest_receive_time_us
        identity = self._identity
        return agent_pb2.GetAgentStatusResponse(
            agent_id=positions.agent_id,
            disk_id=positions.disk_id.hex(),
            version=identity.version,
            start_time=timestamp_from_datetime(identity.start_time),
            buffered_event_count=positions.buffered_count,
            buffered_bytes=backlog.bytes,
            oldest_buffered_time=None if oldest_us is None else timestamp_from_us(oldest_us),
            next_seq=positions.next_seq + positions.seq_offset,
            applied_seq=positions.applied_seq + positions.seq_offset,
            server_address=identity.server,
            is_server_reachable=health.is_reachable,
            last_error=health.last_error,
            disk_used_bytes=_disk_used_bytes(self._directory),
            disk_budget_bytes=identity.budget.bytes_max,
            session_no=positions.session_no,
            safe_seq=positions.safe_seq + positions.seq_offset,
            disk_warn_bytes=identity.budget.warn_bytes,
            disk_refuse_bytes=identity.budget.refuse_bytes,
            warnings=[*self._writer.admission.warnings, *damage_warnings(reports)],
            damaged_event_count=sum(report.lost_event_count for report in reports),
            refused_event_count=self._reader.refused_count(),
        )


class _WholeStatus:
    """A status with what the observer knows; it is set once it is built."""

    def __init__(self, source: _AgentStatus) -> None:
        self._source = source
        self.observer: Observer | None = None

    @property
    def agent_id(self) -> str:
        return self._source.agent_id

    @property
    def has_server(self) -> bool:
        return self._source.has_server

    def status(self) -> agent_pb2.GetAgentStatusResponse:
        found = self._source.status()
        if self.observer is not None:
            self.observer.complete_status(found)
        return found


class Agent:
    """The running agent.

    Args:
        settings: Everything that can be set.
        clock: Of the host.

    Raises:
        MeteringError: It cannot start; the message names the setting and the remedy, and nothing
            is left open.
    """

    def __init__(self, settings: AgentSettings, *, clock: Clock | None = None) -> None:
        clock = SystemClock() if clock is None else clock
        addresses = settings.addresses
        for server in settings.servers:
            parse_address(server, flag="--server")
        _ = settings.tls_settings  # Told before anything is made.
        if settings.admin_listen:
            parse_admin_address(settings.admin_listen)
        self._pre_stop_seconds = settings.pre_stop_seconds
        self._admin: AdminServer | None = None
        self._check: IntegrityCheck | None = None
        self._directory = DataDirectory(settings.data_directory)
        try:
            self._build(settings, clock=clock, addresses=addresses)
        except BaseException:
            self._directory.close()
            raise

    def _build(
        self, settings: AgentSettings, *, clock: Clock, addresses: tuple[Address, ...]
    ) -> None:
        path = self._directory.database_path
        is_check_due = ended_uncleanly(path)
        ballast = Ballast(self._directory.path, size_bytes=settings.ballast_bytes)
        outbox = _open_with_room(path, ballast=ballast, clock=clock)
        outbox.retention = Retention(
            seconds=settings.replay_retention_seconds, bytes_max=settings.disk_budget_bytes
        )
        outbox.now_us = lambda: int(clock.now().timestamp() * 1_000_000)
        self._readers: list[OutboxReader] = []
        self._budget = DiskBudget(settings.disk_budget_bytes)
        ballast.make()
        outbox.is_disk_short = lambda: ballast.is_missing
        self._writer = Writer(
            outbox,
            admission=AdmissionControl(budget=self._budget, ballast=ballast),
            on_append=self._notify,
            repairer=Repairer(path, readers=self._readers, now=clock.now),
        )
        status_reader = self._add_reader()
        if is_check_due:
            self._check = IntegrityCheck(self._add_reader(), on_damage=self._writer.report_damage)
        self._quota = QuotaParts(settings, writer=self._writer, clock=clock)
        self._shipper = self._build_shipper(settings, clock=clock)
        self._quota.attach(self._shipper)
        identity = _Identity(
            version=agent_version(),
            server=settings.server,
            budget=self._budget,
            start_time=clock.now(),
        )
        status = _AgentStatus(
            identity,
            directory=self._directory,
            writer=self._writer,
            reader=status_reader,
            shipper=self._shipper,
        )
        whole = _WholeStatus(status)
        self._service = AgentService(
            self._writer,
            source=whole,
            clock=clock,
            desk=self._quota.desk,
            unsettled=self._add_reader().unsettled,
        )
        self._observer = whole.observer = self._build_observer(settings, clock=clock)
        try:
            if settings.admin_listen:
                address = parse_admin_address(settings.admin_listen)
                self._admin = AdminServer(address, pages=self._observer.pages())
            self._server = AgentServer(
                self._service, addresses=addresses, socket_group=settings.socket_group
            )
        except BaseException:
            self._close_admin()
            self._close_readers()
            outbox.close()
            raise

    @property
    def bound(self) -> tuple[Address, ...]:
        """Addresses that the agent listens on."""
        return self._server.bound

    @property
    def admin_bound(self) -> Address | None:
        """Address of the admin port; None where there is none."""
        return None if self._admin is None else self._admin.bound

    @property
    def data_directory(self) -> str:
        """Path of the data directory."""
        return str(self._directory.path)

    def start(self) -> None:
        """Starts all threads; calls are served from here on."""
        self._writer.start()
        if self._check is not None:
            self._check.start()
        self._server.start()
        if self._shipper is not None:
            self._shipper.start()
        self._quota.start()
        self._observer.sampler.start()
        if self._admin is not None:
            self._admin.start()

    def stop(self) -> None:
        """Stops in order: no new calls, calls in flight answered, the buffer flushed and closed.

        Before all that health says NOT_SERVING for `pre_stop_seconds`, so that nobody calls an
        agent that is about to go.
        """
        self._observer.announce_stop()
        self._server.announce_stop()
        if self._pre_stop_seconds > 0:
            threading.Event().wait(self._pre_stop_seconds)
        self._writer.applied.close()
        self._server.stop()
        self._quota.stop()
        if self._shipper is not None:
            self._shipper.stop()
        self._observer.sampler.stop()
        self._close_readers()
        self._writer.stop()
        self._close_admin()
        self._directory.close()

    def _build_shipper(self, settings: AgentSettings, *, clock: Clock) -> Shipper | None:
        if not settings.servers:
            return None
        reader = self._add_reader()
        return Shipper(
            UplinkSettings(
                server=settings.server,
                agent_version=agent_version(),
                backoff=BackoffPolicy(cap_seconds=settings.retry_seconds_max),
                tls=settings.tls_settings,
                call_seconds=settings.call_seconds_max,
            ),
            writer=self._writer,
            reader=reader,
            tokens=settings.joining_tokens,
            clock=clock,
            leases=self._quota.state,
        )

    def _notify(self) -> None:
        if self._shipper is not None:
            self._shipper.notify()

    def _add_reader(self) -> OutboxReader:
        path = self._directory.database_path
        reader = OutboxReader(path, on_damage=self._writer.report_damage)
        self._readers.append(reader)
        return reader

    def _build_observer(self, settings: AgentSettings, *, clock: Clock) -> Observer:
        reader = OutboxReader(self._directory.database_path)
        self._readers.append(reader)
        parts = ObservedParts(
            version=agent_version(),
            database_path=self._directory.database_path,
            budget_bytes=settings.disk_budget_bytes,
            writer=self._writer,
            reader=reader,
            shipper=self._shipper,
            calls=self._service.counters,
            leases=self._quota.state,
        )
        return Observer(parts, clock=clock)

    def _close_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()

    def _close_readers(self) -> None:
        for reader in self._readers:
            reader.close()


def _open_with_room(path: Path, *, ballast: Ballast, clock: Clock) -> Outbox:
    """Opens the buffer; on a full disk in the room of the ballast, as a start needs some too."""
    try:
        return open_outbox(path, now=clock.now)
    except MeteringError as error:
        if error.reason != "DISK_FULL" or not ballast.release():
            raise
        _LOG.error("disk_full", path=str(path.parent), freed_bytes=ballast.size_bytes)
    return open_outbox(path, now=clock.now)


def _disk_used_bytes(directory: DataDirectory) -> int:
    """Returns the bytes of the database and its log."""
    used = 0
    for suffix in ("", "-wal", "-shm"):
        path = directory.database_path.with_name(directory.database_path.name + suffix)
        if path.exists():
            used += path.stat().st_size
    return used

"""Puts together what answers for quota; the bootstrap puts it beside the rest."""

from typing import Final

from meter_agent.config import AgentSettings
from meter_agent.core.backoff import BackoffPolicy
from meter_agent.core.positions import session_lost
from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.quota.book import QuotaBook
from meter_agent.quota.clock import BootClock, LeaseClock
from meter_agent.quota.demands import Demands
from meter_agent.quota.desk import Offline, QuotaDesk
from meter_agent.quota.figures import QuotaFigures
from meter_agent.quota.keeper import Keeper
from meter_agent.quota.mapping import stored_terms
from meter_agent.quota.reserving import Counter
from meter_agent.store.writer import Writer
from meter_agent.uplink.connector import Connector
from meter_agent.uplink.lease_asker import LeaseAsker
from meter_agent.uplink.lease_state import LeaseState
from meter_agent.uplink.lease_syncer import LeaseSyncer
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.tls import TlsSource
from metering.clock import Clock

_US_PER_SECOND: Final = 1_000_000


class QuotaParts:
    """Everything of the running agent that answers for quota.

    Args:
        settings: Everything that can be set.
        writer: Makes changes durable.
        clock: Of the host.
        lease_clock: Of leases; None: that of this machine.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        writer: Writer,
        clock: Clock,
        lease_clock: LeaseClock | None = None,
    ) -> None:
        book = QuotaBook(
            clock=BootClock.of_this_machine() if lease_clock is None else lease_clock,
            read_terms=stored_terms,
        )
        writer.keep(book)
        self.counter: Final = Counter(
            book, Demands(), QuotaFigures(), has_server=bool(settings.servers)
        )
        self.state: Final = LeaseState(self.counter, clock=clock)
        self.keeper: Final = Keeper(
            self.counter,
            writer=writer,
            earliest_kept_seq=lambda: writer.state.positions.earliest_kept_seq,
            late_us=round(settings.reservation_late_seconds * _US_PER_SECOND),
            is_told=self._is_told,
            next_seq=lambda: writer.state.positions.next_seq,
        )
        self._syncer: LeaseSyncer | None = None
        self._asker: LeaseAsker | None = None
        self._shipper: Shipper | None = None
        if settings.servers:
            self._build_uplink(settings, writer=writer)
        self.desk: Final = QuotaDesk(
            self.counter, writer=writer, asking=self._asker if self._asker else Offline()
        )

    def attach(self, shipper: Shipper | None) -> None:
        """Names who opens sessions."""
        self._shipper = shipper

    def start(self) -> None:
        """Starts all threads."""
        self.keeper.start()
        if self._syncer is not None:
            self._syncer.start()
        if self._asker is not None:
            self._asker.start()

    def stop(self) -> None:
        """Ends all threads."""
        if self._asker is not None:
            self._asker.stop()
        if self._syncer is not None:
            self._syncer.stop()
        self.keeper.stop()

    def _is_told(self, lease: Lease) -> bool:
        """Tells whether the server knows a lease as it is; an allowance is the agent's own."""
        return lease.lease_id == OFFLINE_LEASE_ID or self.state.is_told(lease)

    def _build_uplink(self, settings: AgentSettings, *, writer: Writer) -> None:
        # A channel of its own: quota never waits behind the backlog.
        connector = Connector(
            settings.servers,
            tokens=settings.tokens,
            tls=TlsSource(settings.tls_settings),
            call_seconds=settings.call_seconds_max,
        )
        self._syncer = LeaseSyncer(
            self.state,
            connector=connector,
            writer=writer,
            on_session_lost=self._open_session,
            backoff=BackoffPolicy(cap_seconds=settings.retry_seconds_max),
        )
        self.counter.demands.on_low = self._syncer.poke
        self.counter.lowered.on_returned = self._syncer.owe
        self._asker = LeaseAsker(
            self.state,
            connector=connector,
            writer=writer,
            on_session_lost=self._renew_session,
            on_recalled=self._syncer.owe,
        )
        self._writer = writer

    def _open_session(self) -> None:
        """Lets the shipper open a session: the positions say that there is none."""
        if self._shipper is not None:
            self._shipper.notify()

    def _renew_session(self) -> None:
        """Gives the session up and opens another one, which judges whose this disk is."""
        self._writer.change(session_lost)
        self._open_session()

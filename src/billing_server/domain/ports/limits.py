"""The ports of limits: accounts of windows, leases, what agents want, thresholds, balances.

Amounts are integers in a limit's smallest unit: 10^-decimals of the meter's unit, micro-units of
the currency, or slots.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.domain.limit.shares import FreeBucket
from billing_server.domain.limit.thresholds import ThresholdDirection


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitAccount:
    """What is known of one window of a limit, apart from its leases."""

    key: WindowKey
    """Which window."""
    start: datetime | None
    """First instant inside, UTC; None: it always was."""
    end: datetime | None
    """First instant after, UTC; None: it never ends."""
    settled: int = 0
    """S: known use, events and rated money that were counted. >= 0 but for money given back."""
    unreserved: int = 0
    """V: the part of it that no lease bore because nothing was reserved. >= 0."""
    overrun: int = 0
    """δ: the part of it that neither a lease nor an allowance bore although it was reserved: beyond
    the reservation, or let pass by a limit that does not refuse. >= 0."""
    estimate_error: int = 0
    """The part of rated money beyond what agents had estimated. >= 0."""
    released: int = 0
    """W: written-off leases that an operator released. >= 0."""
    maximum_granted: int = 0
    """B: the largest limit in force at any grant. >= 0."""
    threshold: Decimal | None = None
    """Highest share of the limit that was passed; None: none."""
    free_bucket: FreeBucket | None = None
    """Of a rate: the bucket of what no agent holds; None: nothing was granted yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWant:
    """Demand of one disk for a limit, as it last told."""

    agent_ref: int
    """Whose."""
    customer_id: str
    """For whom."""
    limit_key: str
    """Of which limit."""
    demand_per_second: int
    """In the smallest unit a second, refused demand included. >= 0."""
    largest_call: int = 0
    """The largest call of late. >= 0."""
    outage_float: int = 0
    """What to keep for an outage. >= 0."""
    is_urgent: bool = False
    """Whether it is about to refuse for want of it."""
    update_time: datetime
    """When it told, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsWatch:
    """A customer whose limits a disk was told, and what it was told last."""

    agent_ref: int
    """Who was told."""
    customer_id: str
    """Of whom."""
    terms_revision: int
    """Revision of what was told. >= 1."""
    terms_digest: str
    """Digest of it."""
    catalog_revision: int
    """Of the catalog that it was made from."""
    customer_revision: int
    """Of the customer that it was made from; 0: there is no such customer."""
    valid_until: datetime | None
    """When it changes by itself, as a window ends; None: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdEvent:
    """A share of a limit that was passed: once for each threshold, window and direction."""

    key: WindowKey
    """Of which window."""
    share: Decimal
    """The threshold, as a share of the limit."""
    direction: ThresholdDirection
    """Which way."""
    used: int
    """What was used then."""
    maximum: int
    """The limit then."""
    event_time: datetime
    """When it was seen, UTC."""
    event_no: int = 0
    """Number that the store gave it, rising; 0: not stored yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceEntry:
    """Money that was added to a customer's prepaid balance, or taken from it."""

    entry_id: str
    """Made by the caller; the same id is entered once."""
    customer_id: str
    """Whose."""
    amount: int
    """In micro-units of the customer's currency; negative: taken."""
    note: str = ""
    """For people."""
    create_time: datetime
    """When it was entered, UTC."""


class SettledReservation(NamedTuple):
    """A reservation that was settled at another agent than the one that holds it."""

    customer_id: str
    reservation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTotal:
    """Windows that run now, summed over the customers of one limit key."""

    limit_key: str
    """Key of the limit."""
    settled: int
    """S."""
    unreserved: int
    """V."""
    overrun: int
    """δ."""
    money_estimate_error: int
    """Money rated beyond its estimate."""
    released: int
    """W."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTotal:
    """Leases in one state, summed over the customers of one limit key."""

    limit_key: str
    """Key of the limit."""
    state: LeaseState
    """Live, reclaimed or written off."""
    lease_count: int
    """How many. >= 0."""
    rest: int
    """What they may still use. >= 0."""


class LimitRepository(Protocol):
    """Accounts, thresholds and balances. Holding an account holds the leases of its window."""

    def missing_accounts(self, keys: Collection[WindowKey]) -> frozenset[WindowKey]:
        """Return those keys that have no account yet; holds nothing."""

    def find_accounts(self, keys: Collection[WindowKey]) -> dict[WindowKey, LimitAccount]:
        """Return those accounts that exist; holds nothing."""

    def lock_accounts(self, keys: Collection[WindowKey]) -> dict[WindowKey, LimitAccount]:
        """Hold accounts in sorted order until the end of the unit; return those that exist."""

    def add_account(self, account: LimitAccount) -> None:
        """Write a new account; one that is there already is left as it is."""

    def put_accounts(self, accounts: Sequence[LimitAccount]) -> None:
        """Write held accounts over what is there."""

    def accounts(self, customer_id: str) -> tuple[LimitAccount, ...]:
        """Return every account of a customer, by limit and window; holds nothing."""

    def totals(self, *, running_at: datetime) -> tuple[LimitTotal, ...]:
        """Return the sums of windows that run at an instant, by limit key."""

    def add_rolling(self, key: WindowKey, *, bucket: datetime, amount: int) -> None:
        """Book use of a rolling window in a bucket of it."""

    def rolling_total(self, key: WindowKey, *, since: datetime) -> int:
        """Return what is booked in buckets from an instant on."""

    def take_rolling(self, key: WindowKey, *, since: datetime, amount: int) -> None:
        """Take use out of buckets from an instant on, the oldest first, as far as there is any."""

    def purge_rolling(self, *, before: datetime) -> None:
        """Forget buckets that no window reaches back to."""

    def add_allowance_use(self, key: WindowKey, *, amounts: Mapping[int, int]) -> None:
        """Add what offline allowances bore of a window, by disk."""

    def allowance_uses(self, keys: Collection[WindowKey]) -> dict[WindowKey, dict[int, int]]:
        """Return what offline allowances have borne of windows, by disk."""

    def move_allowance_use(self, agent_ref: int, *, to_ref: int) -> None:
        """Give what a disk's allowances bore to the row that stands for it from now on."""

    def add_threshold_events(self, events: Sequence[ThresholdEvent]) -> None:
        """Write threshold events."""

    def threshold_events(
        self, *, customer_id: str | None, after: int, limit: int
    ) -> tuple[ThresholdEvent, ...]:
        """Return threshold events in the order in which they were seen, those after a number."""

    def add_balance(self, entry: BalanceEntry) -> bool:
        """Write an entry of a balance; False where its id is there already."""

    def balance_entry(self, entry_id: str) -> BalanceEntry | None:
        """Return an entry."""

    def balance(self, customer_id: str) -> int | None:
        """Return the sum of a customer's entries in micro-units; None where there is none."""

    def rated_total(
        self, customer_id: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> Decimal:
        """Return the exact sum of a customer's running charges, in major units.

        Args:
            customer_id: whose.
            start: only of periods that start then or later; None: of all.
            end: only of periods that start before; None: of all.
        """


class RepeatedDebit(NamedTuple):
    """A debit of a lease by one recording of an event that is counted already."""

    lease_id: bytes
    """Which lease."""
    event_id: str
    """Which event."""
    receive_time_us: int
    """When the agent received it, in microseconds since 1970 UTC: tells recordings apart."""
    amount: int
    """How much, in the limit's smallest unit. > 0."""
    ordinal: int = 0
    """Which of several such debits that the agent received in one row. >= 0."""


class LeaseRepository(Protocol):
    """Leases, and what the server knows of agents as holders of them."""

    def by_id(self, lease_ids: Collection[bytes]) -> dict[bytes, Lease]:
        """Return those leases that exist."""

    def of_windows(self, keys: Collection[WindowKey]) -> tuple[Lease, ...]:
        """Return the leases of windows that are not closed, by window and id."""

    def of_agent(self, agent_ref: int) -> tuple[Lease, ...]:
        """Return the leases of a disk that are not closed, by window and id."""

    def to_tell(
        self, agent_ref: int, *, told_in: int, expiring_before: datetime
    ) -> tuple[Lease, ...]:
        """Return leases to tell a disk of: untold, told in that sync, live and expiring before."""

    def move(self, agent_ref: int, *, to_ref: int) -> None:
        """Give the leases of a disk to the row that stands for it from now on."""

    def put(self, leases: Sequence[Lease]) -> None:
        """Write leases, new or over what is there."""

    def tell(self, leases: Sequence[Lease]) -> None:
        """Mark leases as told; one that was changed since it was read stays to be told."""

    def released_rest(self, key: WindowKey) -> int:
        """Return what may still be used of leases that an operator released."""

    def silent(self, *, before: datetime, after: bytes, limit: int) -> tuple[Lease, ...]:
        """Return live leases of running windows whose agents have not synced since, by id."""

    def left(self, *, ended_before: datetime, limit: int) -> tuple[Lease, ...]:
        """Return up to `limit` leases that are not closed although their window has ended."""

    def forget_lost_wants(self, *, silent_before: datetime, ephemeral_before: datetime) -> None:
        """Forget what agents want that were not heard of since."""

    def totals(self) -> tuple[LeaseTotal, ...]:
        """Return the sums of leases that are not closed, by limit key and state."""

    def purge(self, *, ended_before: datetime, limit: int) -> int:
        """Forget up to `limit` closed leases; where no window ends, by their last report."""

    def wants(self, pairs: Collection[tuple[str, str]]) -> tuple[LeaseWant, ...]:
        """Return every disk's demand for limits, named by customer and key."""

    def wants_of_agent(self, agent_ref: int) -> dict[tuple[str, str], LeaseWant]:
        """Return the demand of one disk by customer and key."""

    def put_wants(self, wants: Sequence[LeaseWant]) -> None:
        """Write demand, new or over what is there."""

    def drop_wants(self, agent_ref: int, *, pairs: Collection[tuple[str, str]]) -> None:
        """Forget demand of a disk."""

    def watch(self, watches: Sequence[TermsWatch]) -> None:
        """Write what disks were told, new or over what is there."""

    def stale_watches(
        self, agent_ref: int, *, catalog_revision: int, now: datetime, limit: int
    ) -> tuple[TermsWatch, ...]:
        """Return watches of a disk whose customer, catalog or window has changed since."""

    def watches(self, agent_ref: int, *, customer_ids: Collection[str]) -> dict[str, TermsWatch]:
        """Return watches of a disk by customer."""

    def watches_after(
        self, agent_ref: int, *, terms_revision: int, limit: int
    ) -> tuple[TermsWatch, ...]:
        """Return watches of a disk that were told after a revision, in the order of revisions."""

    def last_revision(self, agent_ref: int) -> int:
        """Return the highest revision under which a disk was told of a customer; 0: of none."""

    def watchers(self, customer_id: str) -> tuple[int, ...]:
        """Return the disks that watch a customer."""

    def forget_agent(self, agent_ref: int) -> None:
        """Forget what a disk wants and watches."""

    def add_settled_elsewhere(
        self, agent_refs: Collection[int], *, reservations: Collection[SettledReservation]
    ) -> None:
        """Note reservations that were settled at another agent, for disks that may hold them."""

    def settled_elsewhere(
        self, agent_ref: int, *, told_in: int, limit: int
    ) -> tuple[SettledReservation, ...]:
        """Return up to `limit` reservations of which a disk is to drop the hold.

        Those told of in the sync `told_in` are told of again, in another one not.
        """

    def tell_settled_elsewhere(
        self, agent_ref: int, *, reservations: Collection[SettledReservation], told_in: int
    ) -> None:
        """Note in which sync a disk was told of reservations."""

    def tell_anew(self, agent_ref: int, *, told_in: int) -> None:
        """Note that a disk may not have heard what answers to a sync told it."""

    def forget_told_elsewhere(self, agent_ref: int, *, told_before: int) -> None:
        """Forget reservations that a disk was told of in an earlier sync, which it has heard."""

    def drop_settled_elsewhere(
        self, agent_ref: int, *, reservations: Collection[SettledReservation]
    ) -> None:
        """Forget reservations whose hold a disk has dropped."""

    def add_repeated_debits(self, debits: Collection[RepeatedDebit]) -> frozenset[RepeatedDebit]:
        """Note debits as taken back; return those that were not noted before."""

    def announce(self, customer_ids: Collection[str]) -> None:
        """Wake waiting syncs of agents that use these customers, once the unit is committed."""

    def announce_terms(self, customer_ids: Collection[str]) -> None:
        """Wake all that were told the terms of these customers too, used or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that a person did and that others may ask about."""

    actor: str
    """Name of the API key, or `server` for what the server did by itself."""
    action: str
    """Such as `agent.forget`."""
    subject: str
    """Id or key of what it was done to."""
    detail: Mapping[str, object]
    """What else is to be known, plain values."""
    create_time: datetime
    """When, UTC."""
    entry_no: int = 0
    """Number that the store gave it, rising; 0: not stored yet."""


class AuditRepository(Protocol):
    """What was done by whom. Entries are never changed."""

    def add(self, entry: AuditEntry) -> None:
        """Write an entry."""

    def page(self, *, before: int | None, limit: int) -> tuple[AuditEntry, ...]:
        """Return up to `limit` entries, the newest first, those before a number."""

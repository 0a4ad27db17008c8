"""What the entries of a scenario's timeline do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from billing_server.domain.catalog.model import SubscriptionEntry
from billing_server.domain.document import Node
from billing_server.domain.subscription.model import Customer
from billing_server.services.change_terms import Effective
from billing_server.services.scenario_corrections import CorrectionStep


@dataclass(frozen=True, slots=True)
class CreateCustomerStep:
    """The server hears of a customer."""

    customer: Customer
    """Who."""


@dataclass(frozen=True, slots=True)
class SubscribeStep:
    """The server hears of a subscription."""

    entry: SubscriptionEntry
    """Which."""


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """A catalog is applied."""

    node: Node
    """The catalog."""
    path: str
    """Where it stands in the scenario."""


@dataclass(frozen=True, slots=True)
class UsageStep:
    """The server hears of usage."""

    customer_id: str
    """Whose."""
    event_id: str
    """Id of the event; the repeats get `-1`, `-2`, … behind it."""
    quantities: Mapping[str, str]
    """Name to decimal string."""
    dimensions: Mapping[str, str]
    """Name to value."""
    event_time: datetime | None
    """When it was used; None: when the server hears of it."""
    every: timedelta | None
    """Distance of the repeats; None: once."""
    until: datetime | None
    """The repeats end before this instant."""


@dataclass(frozen=True, slots=True)
class UsageRowsStep:
    """The server hears of the usage of a file, each event at its own time."""

    rows: tuple[UsageStep, ...]
    """Single events with their times, in order of them."""

    @property
    def last_time(self) -> datetime | None:
        """Return when the last of them happened; None where there is none."""
        return self.rows[-1].event_time if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsStep:
    """The server hears of a change of a subscription."""

    verb: str
    """Which change."""
    subscription_id: str
    """Whose."""
    effective: Effective
    """From when on."""
    name: str = ""
    """Key of the price or add-on; empty for a move."""
    version: int = 0
    """Of the plan, for a move."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """Of an override."""
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    """Of an added add-on."""


Action = (
    CreateCustomerStep
    | SubscribeStep
    | ApplyStep
    | UsageStep
    | UsageRowsStep
    | CorrectionStep
    | TermsStep
)
"""What an entry of the timeline does."""


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One entry of the timeline."""

    at: datetime
    """When the server hears of it, UTC."""
    action: Action
    """What it hears."""
    number: int
    """Position in the file, from 0."""

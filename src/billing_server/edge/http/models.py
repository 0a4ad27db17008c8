"""What the API answers, described for OpenAPI. Money and quantities are decimal strings."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Entry = TypeVar("Entry")


class ListAnswer(BaseModel, Generic[Entry]):
    """A page of a list."""

    data: list[Entry] = Field(description="Entries in the order of the list.")
    next_cursor: str | None = Field(
        description="Hand it in as `cursor` for the next page; null: this was the last one."
    )


class PeriodAnswer(BaseModel):
    """A span of time, half-open."""

    start: str = Field(description="First instant of it, UTC.", examples=["2026-01-31T10:00:00Z"])
    end: str = Field(description="First instant after it, UTC.", examples=["2026-02-28T10:00:00Z"])


class MeterAnswer(BaseModel):
    """What is counted."""

    key: str = Field(description="Unique name.", examples=["input_tokens"])
    unit: str = Field(description="Unit, for people.", examples=["token"])
    aggregation: str = Field(
        description="`sum`, `count`, `max`, `latest`, `average`, `unique_count` or `time_weighted`."
    )
    decimals: int = Field(description="Digits after the point that are kept, 0 to 9.")
    quantity: str | None = Field(
        description="Which of an event's quantities it reads; null: it looks at every event."
    )
    of: str | None = Field(
        default=None, description="Dimension whose values a unique count counts."
    )
    where: dict[str, str] = Field(description="Dimension values an event must carry.")


class PlanAnswer(BaseModel):
    """One version of a plan."""

    model_config = ConfigDict(extra="allow")

    key: str = Field(description="Unique name, shared by the versions.", examples=["pro"])
    version: int = Field(description="From 1; a version never changes.")
    currency: str = Field(description="ISO 4217 code.", examples=["USD"])
    effective_from: str | None = Field(description="From when it is on offer, UTC.")
    prices: list[dict[str, Any]] = Field(description="As in the catalog file.")


class AddonAnswer(BaseModel):
    """One version of an add-on."""

    model_config = ConfigDict(extra="allow")

    key: str = Field(description="Unique name, shared by the versions.", examples=["support"])
    version: int = Field(description="From 1; a version never changes.")
    currency: str | None = Field(description="ISO 4217 code; null: that of the plan.")
    prices: list[dict[str, Any]] = Field(description="As in the catalog file.")


class TaxRateAnswer(BaseModel):
    """A rate of one tax, in the place and for the time in which it is law."""

    model_config = ConfigDict(populate_by_name=True)

    key: str = Field(description="Unique name.", examples=["de-vat"])
    name: str = Field(description="Of the tax: rates of one name take each other's place.")
    rate: str = Field(description="Fraction of the base.", examples=["0.19"])
    country: str = Field(description="ISO 3166 code.", examples=["DE"])
    region: str | None = Field(description="Part of the country; null: all of it.")
    category: str | None = Field(description="Tax category of prices; null: all of them.")
    start: str | None = Field(alias="from", description="First day; null: from ever.")
    until: str | None = Field(description="First day without it; null: for ever.")


class CustomerAnswer(BaseModel):
    """Who is invoiced."""

    id: str = Field(description="The id that usage events carry.", examples=["acme"])
    name: str | None = Field(description="For people.")
    currency: str | None = Field(description="ISO 4217 code; null: not settled yet.")
    timezone: str = Field(description="IANA name of the billing zone.")
    country: str | None = Field(description="ISO 3166 code; its tax rates apply.")
    region: str | None = Field(default=None, description="Part of the country, for tax.")
    tax_exempt: str = Field(
        default="none", description="`none`, `exempt` or `reverse_charge`: no tax, and it says so."
    )
    tax_id: str | None = Field(description="Copied onto invoices.")
    email: str | None = Field(description="Where documents go.")
    purchase_order: str | None = Field(description="The customer's own reference.")


class SubscriptionAnswer(BaseModel):
    """One customer on one version of one plan."""

    id: str = Field(description="Unique.", examples=["sub-1"])
    customer: str = Field(description="Id of the customer.")
    plan: str = Field(description="Key of the plan.")
    plan_version: int = Field(description="Version whose prices apply now.")
    start: str = Field(description="On a whole minute, UTC.")
    end: str | None = Field(description="Exclusive, UTC; null: open.")
    anchor: str | None = Field(description="Instant from which periods count; null: as the plan.")
    current_period: PeriodAnswer | None = Field(
        description="The period that holds the present instant; null: not started, or ended."
    )
    quantities: dict[str, int] = Field(description="Such as seats.")
    changes: dict[str, Any] = Field(
        description="`moves`, `overrides` and `addons` with their times; absent: none."
    )
    rating_failed_reason: str | None = Field(
        description="Why its usage is counted and not rated; null: it is rated."
    )


class VersionMovedAnswer(BaseModel):
    """What moving a subscription to another plan version came to, or would."""

    subscription: str = Field(description="Id.")
    customer: str = Field(description="Whose.")
    from_version: int = Field(description="Version before.")
    to_version: int = Field(description="Version after.")
    effective: str | None = Field(description="From when on, UTC; null: it does not move.")
    before: str | None = Field(description="Upcoming invoice as it was, in major units.")
    after: str | None = Field(description="The same on the new version.")
    currency: str | None = Field(description="ISO 4217 code of both; null: it does not move.")
    refusal: str | None = Field(description="Why it does not move; null: it does.")


class VersionsMovedAnswer(BaseModel):
    """What moving the subscriptions of a plan came to, or would."""

    dry_run: bool = Field(description="Whether nothing was changed.")
    data: list[VersionMovedAnswer] = Field(description="By id.")
    next_after: str | None = Field(description="Where the next call goes on; null: all were told.")


class InvoiceLineAnswer(BaseModel):
    """One amount for one price and one service period."""

    model_config = ConfigDict(extra="allow")

    price: str = Field(description="Key of the price.")
    kind: str = Field(description="`recurring`, `usage` or `late_usage`.")
    description: str = Field(description="For people.")
    service_period: PeriodAnswer = Field(description="When the service was given.")
    quantity: str = Field(description="Units used.")
    included_quantity: str = Field(description="Units of it that cost nothing.")
    billable_quantity: str = Field(description="quantity − included_quantity.")
    amount: str = Field(description="Rounded once, half up.", examples=["1.50"])
    amount_exact: str = Field(description="Before rounding.", examples=["1.5"])
    steps: list[dict[str, Any]] = Field(description="How the exact amount came about.")


class InvoiceTaxAnswer(BaseModel):
    """What one tax rate comes to on an invoice: rounded once, on the sum of its lines."""

    key: str = Field(description="Of the rate.", examples=["de-vat"])
    name: str = Field(description="Of the tax.", examples=["VAT"])
    rate: str = Field(description="Fraction of the base, as it was.", examples=["0.19"])
    behavior: str = Field(description="`exclusive`: added; `inclusive`: inside the lines.")
    base: str = Field(description="Without any tax, less discounts.")
    amount: str = Field(description="Rounded half up.")


class InvoiceAnswer(BaseModel):
    """An invoice. `subtotal` is the sum of the line amounts, to the cent, always."""

    model_config = ConfigDict(extra="allow")

    id: str | None = Field(description="`inv_…`; null on a draft.")
    number: str | None = Field(description="Gap-free; null on a draft.", examples=["INV-000001"])
    state: str = Field(description="`draft`, `finalized` or `paid`.")
    reason: str = Field(description="`start`, `periodic` or `late`.")
    customer: str = Field(description="Id of the customer.")
    currency: str | None = Field(
        description="ISO 4217 code; null on the draft of a customer without one."
    )
    period: PeriodAnswer | None = Field(
        description="The billing period that made it due; null where no subscription runs."
    )
    issue_time: str | None = Field(description="When it was finalized, UTC.")
    lines: list[InvoiceLineAnswer] = Field(description="In the order of the plan's prices.")
    subtotal: str = Field(description="Sum of the line amounts.")
    tax: list[InvoiceTaxAnswer] = Field(description="One entry a tax rate and behaviour.")
    tax_total: str = Field(
        description="Sum of the exclusive tax; inclusive tax stands inside the lines."
    )
    total: str = Field(description="subtotal − discount + tax_total.")
    amount_due: str = Field(description="What is left to pay.")


class UnpricedAnswer(BaseModel):
    """Usage that matches no price: counted, rated 0 and shown (R32)."""

    meter: str = Field(description="Key of the meter.")
    dimensions: dict[str, str] = Field(description="Of the events.")
    quantity: str = Field(description="In the meter's unit.")
    unit: str = Field(description="The meter's unit.")


class DraftInvoiceAnswer(InvoiceAnswer):
    """An invoice that is not issued yet, as of now."""

    unpriced: list[UnpricedAnswer] = Field(description="Usage that no price charges.")


class UpcomingInvoiceAnswer(DraftInvoiceAnswer):
    """What a customer would be invoiced for the present periods, as of now."""

    closing: list[DraftInvoiceAnswer] = Field(
        description="Drafts of periods that have ended and are not invoiced yet, oldest first."
    )
    estimate: dict[str, Any] | None = Field(
        description="What the running periods come to at their ends if usage goes on at its pace, "
        "line by line; an estimate, and marked as one. Null: no period runs, or less than a "
        "hundredth of it has passed."
    )
    margin: dict[str, Any] | None = Field(
        description="What the usage costs the seller, and what is left of its charges, line by "
        "line; null where no price names a `unit_cost`. For the operator alone."
    )
    held_back: list[InvoiceLineAnswer] = Field(
        description="What usage of invoiced periods that was taken back since has lowered, on no "
        "invoice: it is owed to the customer as a credit note. Their amounts add up to less than 0."
    )


class UsageGroupAnswer(BaseModel):
    """Usage with the same values of some dimensions."""

    dimensions: dict[str, str] = Field(description="Values by dimension.")
    quantity: str = Field(description="In the meter's unit.", examples=["1500000"])
    event_count: int = Field(description="Number of events.")


class UsageAnswerModel(BaseModel):
    """Usage of one meter in a window."""

    customer: str = Field(description="Whose usage.")
    meter: str = Field(description="Of which meter.")
    unit: str = Field(description="The meter's unit.")
    window: PeriodAnswer = Field(description="What was asked for.")
    data: list[UsageGroupAnswer] = Field(description="One entry a group.")


class AgentAnswer(BaseModel):
    """An agent as the server knows it."""

    id: str = Field(description="Identity.")
    name: str = Field(description="As enrolled; unique.")
    session_no: int = Field(description="Current session; 0 before the first.")
    applied_seq: int = Field(description="Highest position applied.")
    last_seen: str | None = Field(description="When it was last heard, UTC.")
    oldest_unshipped_event_time: str | None = Field(
        description="Event time of the oldest event it still holds, as it last said."
    )
    version: str | None = Field(description="Version of its program.")
    create_time: str = Field(description="When it was enrolled, UTC.")


class AgentReportAnswer(AgentAnswer):
    """An agent, or another disk of one, with what was lost on its way."""

    disk_id: str = Field(description="Identity of its disk; empty before the first session.")
    reported_unshipped_count: int = Field(
        description="Events that it held and had not shipped by its last report."
    )
    lost_count: int = Field(description="Events lost in all, as far as is known.")


class AgentLossAnswer(BaseModel):
    """Positions of an agent that nobody can send any more."""

    from_seq: int = Field(description="First position lost.")
    to_seq: int = Field(description="Last position lost, inclusive.")
    event_count: int = Field(description="Events lost.")
    declare_time: str = Field(description="When it was found, UTC.")
    cause: str = Field(
        description="`declared`: the agent no longer had them; `disk_lost`: it came back without "
        "its disk, and its last report had them unshipped."
    )


class AgentDetailsAnswer(AgentReportAnswer):
    """An agent with its newest losses."""

    losses: list[AgentLossAnswer] = Field(description="The newest first.")
    server_incarnation: str = Field(description="Identity of the server's data.")
    server_incarnation_time: str | None = Field(
        description="When the data went back to a backup and got this identity; null: never."
    )


class EnrolledAgentAnswer(AgentAnswer):
    """A new agent with its token."""

    token: str = Field(description="Shown once; only its hash is kept.")


class RevokedAgentAnswer(AgentAnswer):
    """An agent whose token is refused."""

    revoke_time: str = Field(description="Since when, UTC.")


class CatalogChangeAnswer(BaseModel):
    """One change that applying a catalog makes."""

    action: str = Field(description="`create`, `update` or `new_version`.")
    kind: str = Field(description="`meter`, `plan`, `addon`, `customer` or `subscription`.")
    key: str = Field(description="Key or id of the thing.")
    description: str = Field(description="For people.")


class UnchangedAnswer(BaseModel):
    """A thing of a catalog that is applied already."""

    kind: str = Field(description="`meter`, `plan`, `addon`, `customer` or `subscription`.")
    key: str = Field(description="Key or id of the thing.")


class ApplyCatalogAnswer(BaseModel):
    """What applying a catalog changed, or would change."""

    dry_run: bool = Field(description="Whether nothing was changed.")
    changes: list[CatalogChangeAnswer] = Field(description="Empty: all was there already.")
    unchanged: list[UnchangedAnswer] = Field(description="What is applied already.")


class ClockAnswer(BaseModel):
    """The server's clock."""

    now: str = Field(description="The present instant, UTC.")
    is_test_clock: bool = Field(description="Whether time moves only when told.")

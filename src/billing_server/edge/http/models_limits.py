"""What callers send and are answered about limits, balances and the audit."""

from typing import Any

from pydantic import BaseModel, Field

from billing_server.edge.http.models_requests import RequestModel


class LimitRequest(RequestModel):
    """A limit, as in a catalog file without its key."""

    meter: str | None = Field(default=None, description="Key of the meter that is limited.")
    where: dict[str, str] | None = Field(
        default=None, description="Dimension values that usage must carry to count."
    )
    max: str | None = Field(default=None, description="Most of a window, in the meter's unit.")
    amount: str | None = Field(default=None, description="Most of a window, in money.")
    balance: str | None = Field(default=None, description="`prepaid`: what was put in.")
    concurrency: int | None = Field(default=None, description="Most calls at once.")
    window: str | None = Field(
        default=None,
        description="`minute`, `hour`, `day`, `week`, `month`, `billing_period`, `lifetime`, or "
        "`rolling:5h`.",
    )
    enforcement: str | None = Field(default=None, description="`hard`, `soft` or `shadow`.")
    when_offline: str | None = Field(default=None, description="`closed`, `allowance` or `open`.")
    allowance: str | None = Field(default=None, description="Of one agent and window, offline.")
    unconfirmed: str | None = Field(default=None, description="`hold` or `reclaim`.")
    reclaim_max: str | None = Field(default=None, description="Most that may become unknown.")
    burst: str | None = Field(default=None, description="Of `window: minute`.")
    max_hold: str | None = Field(default=None, description="Of `concurrency`, such as `PT5M`.")
    bill_on_expiry: str | None = Field(
        default=None, description="`nothing`, `input`, `used_so_far` or `max`."
    )
    thresholds: list[str] | None = Field(
        default=None, description='Shares at which an event is written, such as ["0.8", "1"].'
    )


def given_limit(request: LimitRequest) -> dict[str, object]:
    """Return what a request carries, in the form of a catalog file."""
    return {key: value for key, value in request.model_dump().items() if value is not None}


class LimitAnswer(BaseModel):
    """A customer's own limit."""

    customer: str = Field(description="Id of the customer.")
    limit: dict[str, Any] = Field(description="As in the catalog file.")


class PlanLimitAnswer(BaseModel):
    """A limit of a plan."""

    plan: str = Field(description="Key of the plan.")
    limit: dict[str, Any] = Field(description="As in the catalog file.")


class LimitWindowAnswer(BaseModel):
    """A window of a limit."""

    id: str = Field(description="Names the window.")
    start: str | None = Field(description="First instant inside, UTC; null: it always was.")
    end: str | None = Field(description="First instant after, UTC; null: it never ends.")


class LeaseAnswer(BaseModel):
    """A share of a limit that an agent holds."""

    lease: str = Field(description="Its id, 32 hexadecimal digits.")
    agent: str = Field(description="Name of the agent that holds it.")
    state: str = Field(description="`live`, `reclaimed` or `written_off`.")
    granted: str = Field(description="In all.")
    returned: str = Field(description="In all.")
    settled: str = Field(description="By events that were counted, in all.")
    reserved: str = Field(description="Held by reservations, as the agent last told.")
    rest: str = Field(description="What may still be used.")
    rate_per_minute: str = Field(description="Share of a rate; 0 for other kinds.")
    burst: str = Field(description="Share of a rate's burst.")
    is_recalled: bool = Field(description="Whether it was asked back and not answered yet.")
    report_time: str | None = Field(description="When the agent last told of it, UTC.")


class LimitViewAnswer(BaseModel):
    """A limit of a customer as it stands."""

    key: str = Field(description="Key of the limit.")
    kind: str = Field(description="`units`, `money`, `rate`, `concurrency` or `rolling`.")
    source: str = Field(description="`plan` or `customer`.")
    unit: str = Field(description="Of the amounts: a meter's unit, a currency, or calls.")
    enforcement: str = Field(description="`hard`, `soft` or `shadow`.")
    window: LimitWindowAnswer = Field(description="The window that runs now.")
    max: str = Field(description="The limit; for a balance the money there is.")
    used: str = Field(description="Known use.")
    reserved: str = Field(description="Held by reservations, as agents last told; in `leased`.")
    leased: str = Field(description="What agents may still use.")
    unknown: str = Field(description="Of silent agents, given to others meanwhile.")
    presumed: str = Field(description="Of lost agents; never billed.")
    left: str = Field(description="What may still be granted.")
    unreserved: str = Field(description="Part of `used` without a reservation or lease.")
    overrun: str = Field(
        description="Part of `used` that was reserved and that nothing bore: beyond the "
        "reservation, or let pass by a limit that does not refuse."
    )
    estimate_error: str = Field(description="Part of `used` beyond its estimate, for money.")
    allowance_used: str = Field(description="Part of `used` that offline allowances bore.")
    allowance_left: str = Field(description="What allowances of all agents may still bear.")
    released: str = Field(description="Written-off leases that an operator released.")
    bound: str | None = Field(
        description="What use can come to at most from here, as long as it is reserved and keeps "
        "to that; null: the limit bounds nothing."
    )
    definition: dict[str, Any] = Field(description="As in the catalog file.")
    leases: list[LeaseAnswer] = Field(description="By agent.")


class ThresholdEventAnswer(BaseModel):
    """A share of a limit that was passed."""

    customer: str = Field(description="Id of the customer.")
    limit: str = Field(description="Key of the limit.")
    window: str = Field(description="Which window.")
    share: str = Field(description="The threshold, such as `0.8`.")
    direction: str = Field(description="`rising` or `falling`.")
    used_smallest_unit: int = Field(description="What was used then.")
    max_smallest_unit: int = Field(description="The limit then.")
    event_time: str = Field(description="When it was seen, UTC.")


class BalanceEntryRequest(RequestModel):
    """Money for a prepaid balance."""

    id: str = Field(description="Made by the caller; the same id is entered once.")
    amount: str = Field(description="In major units; negative: taken out.", examples=["25.00"])
    note: str = Field(default="", description="For people.")


class BalanceAnswer(BaseModel):
    """A prepaid balance: what was put in, and what is left of it where a limit counts its use."""

    customer: str = Field(description="Id of the customer.")
    currency: str | None = Field(description="ISO 4217 code.")
    amount: str = Field(description="Put in and not taken out, in major units.")
    used: str | None = Field(description="Of that, used; null: no limit with `balance: prepaid`.")
    left: str | None = Field(
        description="What may still be granted, agents' shares taken off; null: as above."
    )


class ForgottenAgentAnswer(BaseModel):
    """An agent that was declared lost."""

    id: str = Field(description="Identity.")
    name: str = Field(description="As enrolled.")
    lease_count: int = Field(description="Leases that are presumed used since.")
    forget_time: str = Field(description="When, UTC.")


class ReleasedLeaseAnswer(BaseModel):
    """A lease whose presumed use was given back to its limit."""

    lease: str = Field(description="Its id.")
    customer: str = Field(description="Id of the customer.")
    limit: str = Field(description="Key of the limit.")


class AuditEntryAnswer(BaseModel):
    """Something that was done."""

    actor: str = Field(description="Name of the API key.")
    action: str = Field(description="Such as `agent.forget`.")
    subject: str = Field(description="What it was done to.")
    detail: dict[str, Any] = Field(description="What else is to be known.")
    create_time: str = Field(description="When, UTC.")

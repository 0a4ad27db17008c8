"""Answers that explain and warn, described for OpenAPI."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from billing_server.edge.http.models import InvoiceLineAnswer, InvoiceTaxAnswer, PeriodAnswer


class AlertAnswer(BaseModel):
    """Something that somebody has to look at."""

    id: int = Field(description="Number of the alert, from 1.")
    kind: str = Field(description="`unpriced_usage`: usage that no price charges.")
    state: str = Field(description="`open` or `closed`.")
    customer: str = Field(description="Whose usage.")
    meter: str = Field(description="Key of the meter.")
    dimensions: dict[str, str] = Field(description="Of the events.")
    usage_time: str = Field(description="Minute of the usage that raised it, UTC.")
    close_time: str | None = Field(description="When it was priced, UTC; null: open.")


class ExplainedTermsAnswer(BaseModel):
    """What a line was charged by."""

    plan: str = Field(description="Key of the plan.")
    plan_version: int = Field(description="Version whose price was used; it never changes.")
    effective_from: str | None = Field(description="From when that version is on offer, UTC.")
    addon: dict[str, Any] | None = Field(
        description="`key` and `version` of the add-on whose price it is; null: the plan's own."
    )
    override: dict[str, Any] | None = Field(
        description="The subscription's own terms in it, `set`, since `start`; null: none."
    )
    share: dict[str, int] | None = Field(
        description="Of the line's service period in its whole period, by which included units and "
        "bounds are scaled; null: it is a whole one."
    )
    maximum_share: dict[str, int] | None = Field(
        description="Its part of the period by the second, by which a maximum is scaled where the "
        "share is 0 for want of a day; null: the share scales it."
    )
    price: dict[str, Any] = Field(description="As it applied, in the form of the catalog file.")
    meter: dict[str, Any] | None = Field(description="What is counted; null: a fee.")


class ExplainedUsageGroupAnswer(BaseModel):
    """Usage with one set of dimensions."""

    dimensions: dict[str, str] = Field(description="Of the events.")
    quantity: str = Field(description="In the meter's unit.")
    event_count: int = Field(description="Number of events.")


class ExplainedUsageAnswer(BaseModel):
    """What the usage of a line's period is made of."""

    quantity: str = Field(description="Counted by now, in the meter's unit.")
    note: str | None = Field(description="Why that is not what the line shows; null: it is.")
    event_count: int = Field(description="Number of events.")
    by_dimensions: list[ExplainedUsageGroupAnswer] = Field(description="At most 200.")
    not_listed_count: int = Field(description="Sets of dimensions beyond them.")


class ExplainedLineAnswer(InvoiceLineAnswer):
    """An invoice line with how its amount came about."""

    line: int = Field(description="Position on the invoice, from 0.")
    calculation: list[str] = Field(description="The arithmetic, a sentence a step.")
    terms: ExplainedTermsAnswer | None = Field(description="What it was charged by.")
    usage: ExplainedUsageAnswer | None = Field(description="What was used; null: a fee.")


class MarginAnswer(BaseModel):
    """Cost and margin of the usage whose `unit_cost` is known; for the operator alone."""

    model_config = ConfigDict(extra="allow")

    cost: str = Field(description="What the usage costs the seller.")
    charged: str = Field(description="What its lines charge.")
    margin: str = Field(description="charged − cost.")
    margin_rate: str | None = Field(
        description="margin / charged, 4 places; null: nothing charged."
    )
    lines_without_cost: int = Field(description="Usage lines that stand in none of the sums.")


class ExplainedInvoiceAnswer(BaseModel):
    """An invoice, issued or upcoming, with how each amount came about."""

    number: str | None = Field(description="Null on the upcoming invoice.")
    state: str = Field(description="`draft`, `finalized`, ….")
    reason: str = Field(description="`start`, `periodic`, ….")
    customer: str = Field(description="Id of the customer.")
    currency: str | None = Field(description="ISO 4217 code.")
    period: PeriodAnswer | None = Field(description="The billing period that made it due.")
    issue_time: str | None = Field(description="When it was finalized, UTC.")
    lines: list[ExplainedLineAnswer] = Field(description="In the order of the invoice.")
    subtotal: str = Field(description="Sum of the line amounts.")
    tax: list[InvoiceTaxAnswer] = Field(description="One entry a tax rate and behaviour.")
    tax_total: str = Field(description="Sum of the exclusive tax.")
    total: str = Field(description="subtotal − discount + tax_total.")
    amount_due: str = Field(description="What is left to pay.")
    margin: MarginAnswer | None = Field(description="Null where no cost is known.")


class LineEventAnswer(BaseModel):
    """An event that a line counts."""

    model_config = ConfigDict(extra="allow")

    event_id: str = Field(description="As it was sent.")
    event_time: str = Field(description="When it was used, UTC.")
    receive_time: str | None = Field(
        description="When an agent received it, UTC; null: an adjustment."
    )
    quantity: str = Field(description="What it brings the line's meter now.")
    state: str = Field(
        description="`counted`, `amended`, `voided` (kept, and counts nothing), `adjustment`."
    )
    reason: str | None = Field(description="Why it was corrected or added; null: it was not.")
    quantities: dict[str, str] = Field(description="As the event carries them.")
    dimensions: dict[str, str] = Field(description="As the event carries them.")


class ComparedDocumentAnswer(BaseModel):
    """One side of a comparison."""

    numbers: list[str] = Field(description="Of the invoices; empty: the upcoming one.")
    period: PeriodAnswer | None = Field(description="Of the first of them.")
    total: str = Field(description="Sum of their totals.")


class ComparedSideAnswer(BaseModel):
    """What one price charged in one period."""

    quantity: str = Field(description="Units used.")
    amount: str = Field(description="What was charged.")
    price_version: int = Field(description="Version of the plan.")


class ComparedLineAnswer(BaseModel):
    """One charge, beside what it was."""

    model_config = ConfigDict(extra="allow")

    price: str = Field(description="Key of the price.")
    description: str = Field(description="For people.")
    before: ComparedSideAnswer | None = Field(description="Null: it is new.")
    after: ComparedSideAnswer | None = Field(description="Null: it is gone.")
    difference: str = Field(description="after − before.")
    usage_effect: str = Field(description="Of more or less usage, at the old terms.")
    price_effect: str = Field(description="Of other terms; adds up to the difference.")
    method: str = Field(
        description="`rerated`: the new usage at the old terms; `average_price`; `new`; `gone`."
    )


class ComparisonAnswer(BaseModel):
    """Why an invoice is not what the one before was."""

    model_config = ConfigDict(extra="allow")

    currency: str = Field(description="ISO 4217 code.")
    before: ComparedDocumentAnswer | None = Field(description="Null: there is none.")
    after: ComparedDocumentAnswer = Field(description="The later one.")
    difference: str = Field(description="Of the totals.")
    usage_effect: str = Field(description="Sum over the lines.")
    price_effect: str = Field(description="Sum over the lines.")
    tax_effect: str = Field(description="Of the tax on top of the lines.")
    lines: list[ComparedLineAnswer] = Field(description="Those of the later one first.")

"""What correcting prices asks and answers, described for OpenAPI."""

from pydantic import BaseModel, ConfigDict, Field

from billing_server.edge.http.models import PeriodAnswer


class RepriceRequest(BaseModel):
    """Which prices are right, and since when."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, strict=True)

    start: str = Field(alias="from", description="RFC 3339 instant from which on.")
    version: int | None = Field(
        default=None, ge=1, description="Version whose prices are right; unset: the newest."
    )
    of_version: int | None = Field(
        default=None,
        ge=1,
        description="Only subscriptions that are on this version at some time since; unset: all.",
    )
    dry_run: bool = Field(default=False, description="Only tell; change nothing.")


class OpenPeriodAnswer(BaseModel):
    """A period without an invoice, as it is and as it would be."""

    period: PeriodAnswer = Field(description="Which one.")
    before: str = Field(description="What its invoice comes to so far.")
    after: str = Field(description="The same at the corrected prices.")
    difference: str = Field(description="after − before.")


class CorrectionAnswer(BaseModel):
    """A price that was invoiced wrongly in one period."""

    price: str = Field(description="Key of the price.")
    period: PeriodAnswer = Field(description="Which billing period.")
    invoices: list[str] = Field(description="Invoices that carry it; empty: none does.")
    invoiced: str = Field(description="What they charge.")
    late: str = Field(
        description="Late usage that the next invoice charges, at the prices of its period."
    )
    corrected: str = Field(description="What the corrected prices charge, late usage among it.")
    difference: str = Field(description="corrected − invoiced − late.")
    tax: str | None = Field(
        description="Of a credit note: tax that goes back on top of the difference, by the rates "
        "of the invoices; null: a charge, which is taxed on the invoice that carries it."
    )
    proposal: str = Field(
        description="`credit_note` on those invoices, or `charge` on the next one. Not issued."
    )


class RepricedSubscriptionAnswer(BaseModel):
    """What the corrected prices make of one subscription."""

    subscription: str = Field(description="Which one.")
    customer: str = Field(description="Whose.")
    currency: str = Field(description="ISO 4217 code.")
    to_version: int = Field(description="Version whose prices are right.")
    refusal: str | None = Field(description="Why it cannot be corrected; null: it can.")
    applied_from: str | None = Field(description="From when on it was applied; null: it was not.")
    open: list[OpenPeriodAnswer] = Field(description="Periods without an invoice.")
    invoiced: list[CorrectionAnswer] = Field(description="What would make invoices right.")


class RepriceAnswer(BaseModel):
    """What the corrected prices make of some subscriptions of a plan."""

    dry_run: bool = Field(description="Whether nothing was changed.")
    data: list[RepricedSubscriptionAnswer] = Field(description="By id of the subscription.")
    next_cursor: str | None = Field(description="Hand it in as `cursor`; null: these were all.")

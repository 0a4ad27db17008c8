"""What callers send and get about single events: corrections, adjustments, backfill, lists."""

from pydantic import BaseModel, Field

from billing_server.edge.http.models_requests import ID_LENGTH_MAX, RequestModel


class VoidUsageRequest(RequestModel):
    """An event that is to count nothing."""

    event_id: str = Field(min_length=1, max_length=ID_LENGTH_MAX, description="Which event.")
    customer: str | None = Field(
        default=None, description="Whose; needed only where several customers have this event id."
    )
    reason: str = Field(default="", description="For people; at most 256 bytes.")


class AmendUsageRequest(VoidUsageRequest):
    """An event that is to count other quantities."""

    quantities: dict[str, str] = Field(
        description="Name to decimal string: all that the event counts from now on.",
        examples=[{"input_tokens": "1200"}],
    )


class AdjustUsageRequest(RequestModel):
    """A signed quantity that is to be added to a meter."""

    customer: str = Field(description="Whose usage.", examples=["acme"])
    meter: str = Field(description="To which meter.", examples=["input_tokens"])
    quantity: str = Field(description="Signed plain decimal.", examples=["-1200"])
    reason: str = Field(description="Why, for people; 1 to 256 bytes.")
    event_time: str | None = Field(
        default=None, description="RFC 3339 instant at which it counts; unset: now."
    )
    dimensions: dict[str, str] = Field(
        default_factory=dict, description="With which dimensions it counts: they choose the price."
    )


class ImportedEventModel(RequestModel):
    """An event of a file."""

    event_id: str = Field(min_length=1, max_length=ID_LENGTH_MAX, description="Its unique id.")
    customer: str = Field(min_length=1, max_length=ID_LENGTH_MAX, description="Whose.")
    event_time: str = Field(description="RFC 3339 instant, however long ago.")
    quantities: dict[str, str] = Field(description="Name to decimal string.")
    dimensions: dict[str, str] = Field(default_factory=dict, description="Name to value.")


class ImportUsageRequest(RequestModel):
    """Events that no agent would accept any more."""

    events: list[ImportedEventModel] = Field(description="At most 5,000.")


class CorrectionAnswer(BaseModel):
    """A correction of an event."""

    event_id: str = Field(description="Which event.")
    customer: str = Field(description="Whose.")
    version: int = Field(description="From 1; the newest one counts.")
    kind: str = Field(description="`void` or `amend`.")
    quantities: dict[str, str] | None = Field(description="What counts; null for a void.")
    reason: str = Field(description="Why.")
    create_time: str = Field(description="When it was made.")


class AdjustmentAnswer(BaseModel):
    """An adjustment of a meter."""

    id: str = Field(description="Made by the server.")
    customer: str = Field(description="Whose.")
    meter: str = Field(description="Of which meter.")
    quantity: str = Field(description="Signed.")
    dimensions: dict[str, str] = Field(description="With which it counts.")
    event_time: str = Field(description="When it counts.")
    reason: str = Field(description="Why.")
    is_priced: bool = Field(
        description="Whether a price charges usage at that time with those dimensions."
    )


class ImportAnswer(BaseModel):
    """What became of imported events."""

    counted: int = Field(description="New and counted.")
    duplicates: int = Field(description="There already, with the same content.")
    conflicts: int = Field(description="There already with other content: the first one stands.")
    quarantined: int = Field(description="They wait for a customer or meter.")


class UsageEventAnswer(BaseModel):
    """An event that a meter counts."""

    event_id: str = Field(description="Its id.")
    event_time: str = Field(description="When it was used.")
    receive_time: str = Field(description="When it was first heard of.")
    quantity: str = Field(description="What it brings the meter now, after its corrections.")
    quantities: dict[str, str] = Field(description="As they were sent.")
    dimensions: dict[str, str] = Field(description="As they were sent.")
    correction: CorrectionAnswer | None = Field(description="The newest one; null: none.")

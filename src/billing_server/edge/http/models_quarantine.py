"""What callers send and get about usage that waits for an operator, and about conflicts."""

from pydantic import BaseModel, Field

from billing_server.edge.http.models_requests import RequestModel


class RedriveRequest(RequestModel):
    """Which waiting usage to try again."""

    customer: str | None = Field(default=None, description="Only that of one customer.")


class DiscardConflictsRequest(RequestModel):
    """Which conflicts somebody has looked at."""

    event_ids: list[str] = Field(
        default_factory=list, description="Up to 500; empty: all of the customer."
    )
    customer: str | None = Field(
        default=None, description="Whose; null: of every customer that has these ids."
    )
    reason: str = Field(description="Why, for people; 1 to 256 bytes. It stands in the audit.")


class DiscardRequest(RequestModel):
    """Which waiting events are never to be counted."""

    event_ids: list[str] = Field(
        default_factory=list,
        description="Up to 500; empty: all of the `customer`, with the `waiting_reason`, or both.",
    )
    customer: str | None = Field(
        default=None,
        description="Whose; with `event_ids` needed only where several customers have one of them.",
    )
    waiting_reason: str | None = Field(
        default=None,
        description="Only those that wait for this reason; never beside `event_ids`.",
        examples=["CUSTOMER_UNKNOWN"],
    )
    reason: str = Field(description="Why, for people; 1 to 256 bytes. It stands in the audit.")


class ReassignRequest(DiscardRequest):
    """Which waiting events are another customer's."""

    to_customer: str = Field(description="Whose usage they are.", examples=["acme"])


class DiscardAnswer(BaseModel):
    """What discarding came to."""

    discarded: int = Field(description="Those that were not discarded before.", ge=0)


class QuarantinedEventAnswer(BaseModel):
    """An event that waits for an operator."""

    event_id: str = Field(description="Id of the event.")
    customer: str = Field(description="Whose usage it says it is.")
    event_time: str = Field(description="When it was used, UTC.")
    receive_time: str = Field(description="When an agent received it, UTC.")
    reason: str = Field(description="Why it waits.", examples=["CUSTOMER_UNKNOWN"])
    detail: str = Field(description="For people.")
    quantities: dict[str, str] = Field(description="As the event carries them.")
    dimensions: dict[str, str] = Field(description="As the event carries them.")


class RedriveAnswer(BaseModel):
    """What trying waiting usage again came to."""

    counted: int = Field(description="Events that waited and are counted now.", ge=0)
    waiting: int = Field(description="Events that were tried and go on waiting.", ge=0)


class ConflictAnswer(BaseModel):
    """An event that came under a used id with other content; the first one stands."""

    event_id: str = Field(description="The id that was used twice.")
    customer: str = Field(description="Whose usage.")
    receive_time: str = Field(description="When an agent received it, UTC.")
    detect_time: str = Field(description="When the server saw it, UTC.")
    quantities: dict[str, str] = Field(description="What the second event carried.")
    dimensions: dict[str, str] = Field(description="What the second event carried.")

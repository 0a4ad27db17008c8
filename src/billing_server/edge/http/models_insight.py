"""Answers that explain and warn, described for OpenAPI."""

from pydantic import BaseModel, Field


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

"""What callers send. Unknown fields are refused, and numbers are decimal strings, never floats."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from billing_server.domain.catalog.read import QUANTITY_MAX

ID_LENGTH_MAX = 128
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class RequestModel(BaseModel):
    """A request body: an unknown field is a mistake, not a wish that is silently ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*")
    @classmethod
    def refuse_unstorable(cls, value: Any) -> Any:
        """Refuse text that no database keeps, by the name of its field."""
        if not _is_storable(value):
            raise ValueError("the text holds a NUL character or half of a surrogate pair")
        return value


def _is_storable(value: object) -> bool:
    match value:
        case str():
            return _UNSTORABLE.search(value) is None
        case dict():
            return all(_is_storable(name) and _is_storable(each) for name, each in value.items())
        case list():
            return all(map(_is_storable, value))
    return True


class CreateCustomerRequest(RequestModel):
    """A new customer."""

    id: str = Field(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        description="The customer id that usage events carry; 1 to 128 bytes.",
        examples=["acme"],
    )
    name: str = Field(default="", description="For people; the id where empty.", examples=["Acme"])
    currency: str | None = Field(
        default=None,
        description="ISO 4217 code; unset: that of the first plan subscribed to.",
        examples=["USD"],
    )
    timezone: str = Field(
        default="UTC",
        description="IANA name of the billing zone: period boundaries are computed in it.",
        examples=["Europe/Berlin"],
    )
    country: str = Field(
        default="", description="ISO 3166 code, copied onto invoices; its tax rates apply."
    )
    region: str = Field(default="", description="Part of the country, for tax rates of it.")
    tax_exempt: str = Field(default="", description="`none`, `exempt` or `reverse_charge`.")
    tax_id: str = Field(default="", description="Copied onto invoices.")
    email: str = Field(default="", description="Where documents go.")
    purchase_order: str = Field(default="", description="The customer's own reference.")


class CreateSubscriptionRequest(RequestModel):
    """A new subscription."""

    id: str = Field(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        description="Unique in the deployment; 1 to 128 bytes.",
        examples=["sub-1"],
    )
    customer: str = Field(description="Id of the customer.", examples=["acme"])
    plan: str = Field(description="Key of the plan; its newest version.", examples=["pro"])
    start: str | None = Field(
        default=None,
        description="RFC 3339 instant, floored to its minute; unset: now.",
        examples=["2026-01-31T10:00:00Z"],
    )
    anchor: str | None = Field(
        default=None,
        description="RFC 3339 instant from which periods are counted; unset: as the plan says.",
    )
    quantities: dict[str, int] = Field(default_factory=dict, description="Such as seats.")
    overrides: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="By price: the fields that differ."
    )
    addons: list[str] = Field(default_factory=list, description="Keys of add-ons to start with.")


class MoveVersionRequest(RequestModel):
    """Which plan version, and from when on."""

    version: int = Field(ge=1, le=2**31 - 1, description="Of the plan; may be an older one.")
    effective: str = Field(
        default="renewal", description="`now`, `renewal`, or an RFC 3339 instant."
    )
    dry_run: bool = Field(default=False, description="Tell what would be paid; change nothing.")


class MoveVersionsRequest(MoveVersionRequest):
    """Which subscriptions of a plan, onto which version, and from when on."""

    subscriptions: list[str] | None = Field(
        default=None, max_length=500, description="Only these; unset: all of the plan."
    )
    after: str | None = Field(default=None, description="`next_after` of the call before.")


class OverrideRequest(RequestModel):
    """Fields of a price that differ for a subscription."""

    price: str = Field(description="Key of the price.")
    set: dict[str, object] = Field(
        description="Fields as in a catalog file, in place of an earlier override; empty: none."
    )
    effective: str = Field(default="now", description="`now`, `renewal`, or an instant.")


class AddAddonRequest(RequestModel):
    """An add-on that is added."""

    addon: str = Field(description="Key of the add-on.")
    effective: str = Field(default="now", description="`now`, `renewal`, or an instant.")
    quantities: dict[str, Annotated[int, Field(ge=0, le=QUANTITY_MAX)]] = Field(
        default_factory=dict, description="That its fees are for each unit of, such as seats."
    )


class RemoveAddonRequest(RequestModel):
    """An add-on that is removed."""

    addon: str = Field(description="Key of the add-on.")
    effective: str = Field(default="renewal", description="`now`, `renewal`, or an instant.")


class EnrollAgentRequest(RequestModel):
    """A new agent."""

    name: str = Field(
        min_length=1,
        description="Unique; 1 to 64 letters, digits, dots, dashes and underscores.",
        examples=["gpu-host-1"],
    )
    is_ephemeral: bool = Field(
        default=False,
        description="Whether it comes and goes: it counts as lost after an hour of silence, not "
        "after seven days.",
    )


class CatalogSource(RequestModel):
    """One catalog file."""

    name: str = Field(default="catalog.yaml", description="Name of the file, for messages.")
    text: str = Field(description="The file's YAML text, at most 1 MiB.")


class ApplyCatalogRequest(RequestModel):
    """One catalog file in `text`, or several in `files`."""

    text: str | None = Field(default=None, description="YAML text of a single file.")
    name: str = Field(default="catalog.yaml", description="Name of that file, for messages.")
    files: list[CatalogSource] = Field(
        default_factory=list, max_length=100, description="Several files, applied as one."
    )
    dry_run: bool = Field(default=False, description="Tell what would change; change nothing.")


class AdvanceClockRequest(RequestModel):
    """Where the test clock is to go."""

    to: str = Field(
        description="RFC 3339 instant, not before the present one.",
        examples=["2026-04-01T02:00:00Z"],
    )


def given_fields(request: RequestModel) -> dict[str, object]:
    """Return what a request carries, in the form of a catalog file; empty fields are unset."""
    return {
        key: value for key, value in request.model_dump().items() if value not in ("", None, {}, [])
    }

"""What changed in a subscription, as plain values for storage and the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from billing_server.domain.subscription.model import (
    AttachedAddon,
    Override,
    Subscription,
    VersionMove,
)
from metering.clock import format_instant, parse_instant


class History(TypedDict):
    """The fields of a subscription that hold what changed in it."""

    moves: tuple[VersionMove, ...]
    overrides: tuple[Override, ...]
    addons: tuple[AttachedAddon, ...]
    price_starts: dict[str, datetime]


def history_to_dict(subscription: Subscription) -> dict[str, Any]:
    """Returns what changed in a subscription; what it does not have is left out."""
    parts: dict[str, Any] = {
        "moves": [
            {"start": format_instant(move.start), "version": move.version}
            for move in subscription.moves
        ],
        "overrides": [
            {
                "start": format_instant(override.start),
                "price": override.price,
                "set": dict(override.fields),
            }
            for override in subscription.overrides
        ],
        "addons": [
            {
                "addon": addon.key,
                "version": addon.version,
                "start": format_instant(addon.start),
                "end": None if addon.end is None else format_instant(addon.end),
            }
            for addon in subscription.addons
        ],
        "price_starts": {
            key: format_instant(value) for key, value in subscription.price_starts.items()
        },
    }
    return {name: value for name, value in parts.items() if value}


def history_from_dict(content: Mapping[str, Any]) -> History:
    """Returns the fields of `history_to_dict`."""
    return History(
        moves=tuple(
            VersionMove(start=parse_instant(move["start"]), version=move["version"])
            for move in content.get("moves", ())
        ),
        overrides=tuple(
            Override(
                start=parse_instant(override["start"]),
                price=override["price"],
                fields=override["set"],
            )
            for override in content.get("overrides", ())
        ),
        addons=tuple(
            AttachedAddon(
                key=addon["addon"],
                version=addon["version"],
                start=parse_instant(addon["start"]),
                end=None if addon["end"] is None else parse_instant(addon["end"]),
            )
            for addon in content.get("addons", ())
        ),
        price_starts={
            key: parse_instant(value) for key, value in content.get("price_starts", {}).items()
        },
    )

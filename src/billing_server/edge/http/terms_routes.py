"""Changes of running subscriptions: versions, overrides, add-ons."""

from decimal import Decimal
from typing import Any

from fastapi import APIRouter

from billing_server.domain.subscription.history import history_to_dict
from billing_server.domain.subscription.model import Subscription
from billing_server.edge.http.convert import instant_to_json
from billing_server.edge.http.models import VersionMovedAnswer, VersionsMovedAnswer
from billing_server.edge.http.models_requests import (
    AddAddonRequest,
    MoveVersionRequest,
    MoveVersionsRequest,
    OverrideRequest,
    RemoveAddonRequest,
)
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.change_addons import add_addon, remove_addon
from billing_server.services.change_terms import effective_from_text
from billing_server.services.move_version import (
    MoveMode,
    MoveWish,
    VersionMoved,
    move_version,
    move_versions,
)
from billing_server.services.override_price import override_price

router = APIRouter(route_class=ApiRoute, tags=["subscriptions"])


@router.post(
    "/subscriptions/{subscription_id:path}/move-version", response_model=VersionMovedAnswer
)
def post_move_version(subscription_id: str, request: MoveVersionRequest, context: Context) -> Any:
    """Move a subscription onto another version of its plan, or tell what it would pay."""
    moved = move_version(
        context, subscription_id=subscription_id, wish=_wish(request), mode=_mode(request)
    )
    return _moved(moved)


@router.post("/plans/{key}/move-version", response_model=VersionsMovedAnswer)
def post_move_versions(key: str, request: MoveVersionsRequest, context: Context) -> Any:
    """Move some or all subscriptions of a plan, or tell what each would pay.

    One that cannot move is told with the reason and holds up no other.
    """
    found = move_versions(
        context,
        plan_key=key,
        wish=_wish(request),
        mode=_mode(request),
        subscription_ids=request.subscriptions,
        after=request.after,
    )
    return {
        "dry_run": request.dry_run,
        "data": [_moved(each) for each in found.results],
        "next_after": found.next_after,
    }


@router.post("/subscriptions/{subscription_id:path}/override")
def post_override(subscription_id: str, request: OverrideRequest, context: Context) -> Any:
    """Let some fields of a price differ for a subscription, from an instant on."""
    changed = override_price(
        context,
        subscription_id=subscription_id,
        price=request.price,
        fields=request.set,
        effective=effective_from_text(request.effective),
    )
    return _changed(changed)


@router.post("/subscriptions/{subscription_id:path}/add-addon")
def post_add_addon(subscription_id: str, request: AddAddonRequest, context: Context) -> Any:
    """Give a subscription the prices of an add-on; what is left of the period is charged."""
    changed = add_addon(
        context,
        subscription_id=subscription_id,
        addon_key=request.addon,
        effective=effective_from_text(request.effective),
        quantities={key: Decimal(value) for key, value in request.quantities.items()},
    )
    return _changed(changed)


@router.post("/subscriptions/{subscription_id:path}/remove-addon")
def post_remove_addon(subscription_id: str, request: RemoveAddonRequest, context: Context) -> Any:
    """Take an add-on from a subscription; what was charged in advance is not given back."""
    changed = remove_addon(
        context,
        subscription_id=subscription_id,
        addon_key=request.addon,
        effective=effective_from_text(request.effective),
    )
    return _changed(changed)


def _wish(request: MoveVersionRequest) -> MoveWish:
    return MoveWish(version=request.version, effective=effective_from_text(request.effective))


def _mode(request: MoveVersionRequest) -> MoveMode:
    return MoveMode.PREVIEW if request.dry_run else MoveMode.MOVE


def _moved(moved: VersionMoved) -> dict[str, Any]:
    return {
        "subscription": moved.subscription_id,
        "customer": moved.customer_id,
        "from_version": moved.from_version,
        "to_version": moved.to_version,
        "effective": instant_to_json(moved.start),
        "before": None if moved.before is None else moved.before.decimal_string(),
        "after": None if moved.after is None else moved.after.decimal_string(),
        "currency": None if moved.after is None else moved.after.currency,
        "refusal": moved.refusal,
    }


def _changed(subscription: Subscription) -> dict[str, Any]:
    return {"id": subscription.id, "changes": history_to_dict(subscription)}

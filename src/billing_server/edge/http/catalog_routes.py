"""`/v1/meters`, `/v1/plans`, `/v1/addons`, `/v1/tax-rates` and `/v1/catalog/…`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.domain.catalog.serialize import (
    addon_to_dict,
    meter_to_dict,
    plan_to_dict,
    tax_rate_to_dict,
)
from billing_server.edge.http.convert import all_to_json
from billing_server.edge.http.models import (
    AddonAnswer,
    ApplyCatalogAnswer,
    ListAnswer,
    MeterAnswer,
    PlanAnswer,
    TaxRateAnswer,
)
from billing_server.edge.http.models_requests import ApplyCatalogRequest
from billing_server.edge.http.route import ApiRoute, Caller, Context
from billing_server.services.apply_catalog import ApplyMode, apply_catalog
from billing_server.services.export_catalog import export_catalog
from billing_server.services.list_catalog import (
    list_addons,
    list_meters,
    list_plans,
    list_tax_rates,
    show_addon,
    show_meter,
    show_plan,
    show_tax_rate,
)
from billing_server.services.plan_catalog import CatalogSource
from metering.errors import ValidationError

VERSION_MAX = 2**31 - 1
WantedVersion = Annotated[int | None, Query(ge=1, le=VERSION_MAX, description="Unset: the newest.")]

router = APIRouter(route_class=ApiRoute, tags=["catalog"])


@router.get("/meters", response_model=ListAnswer[MeterAnswer])
def get_meters(context: Context) -> Any:
    """List every meter by key."""
    return all_to_json(list_meters(context), show=meter_to_dict)


@router.get("/meters/{key}", response_model=MeterAnswer)
def get_meter(key: str, context: Context) -> Any:
    """Show a meter."""
    return meter_to_dict(show_meter(context, key=key))


@router.get("/plans", response_model=ListAnswer[PlanAnswer])
def get_plans(context: Context) -> Any:
    """List the newest version of every plan by key."""
    return all_to_json(list_plans(context), show=plan_to_dict)


@router.get("/plans/{key}", response_model=PlanAnswer)
def get_plan(key: str, context: Context, version: WantedVersion = None) -> Any:
    """Show a plan: its newest version, or the one that is asked for."""
    return plan_to_dict(show_plan(context, key=key, version=version))


@router.get("/addons", response_model=ListAnswer[AddonAnswer])
def get_addons(context: Context) -> Any:
    """List the newest version of every add-on by key."""
    return all_to_json(list_addons(context), show=addon_to_dict)


@router.get("/addons/{key}", response_model=AddonAnswer)
def get_addon(key: str, context: Context, version: WantedVersion = None) -> Any:
    """Show an add-on: its newest version, or the one that is asked for."""
    return addon_to_dict(show_addon(context, key=key, version=version))


@router.get("/tax-rates", response_model=ListAnswer[TaxRateAnswer])
def get_tax_rates(context: Context) -> Any:
    """List every tax rate by key."""
    return all_to_json(list_tax_rates(context), show=tax_rate_to_dict)


@router.get("/tax-rates/{key}", response_model=TaxRateAnswer)
def get_tax_rate(key: str, context: Context) -> Any:
    """Show a tax rate."""
    return tax_rate_to_dict(show_tax_rate(context, key=key))


@router.post("/catalog/apply", response_model=ApplyCatalogAnswer)
def post_apply(request: ApplyCatalogRequest, context: Context, caller: Caller) -> Any:
    """Make the catalog equal to its files: all of it or nothing, and nothing a second time.

    A mistake is answered with one violation for each place, naming file, line and field.
    """
    sources = [CatalogSource(name=each.name, text=each.text) for each in request.files]
    if request.text is not None:
        sources.insert(0, CatalogSource(name=request.name, text=request.text))
    if not sources:
        raise ValidationError(
            reason="CATALOG_MISSING", message="text: give the catalog's text, or files"
        )
    mode = ApplyMode.DRY_RUN if request.dry_run else ApplyMode.APPLY
    applied = apply_catalog(context, sources=sources, mode=mode, actor=caller)
    return {
        "dry_run": request.dry_run,
        "changes": [
            {
                "action": str(change.action),
                "kind": str(change.kind),
                "key": change.key,
                "description": change.description,
            }
            for change in applied.changes
        ],
        "unchanged": [{"kind": kind, "key": key} for kind, key in applied.unchanged],
    }


@router.get("/catalog/export")
def get_export(context: Context) -> Any:
    """Show meters, plans, add-ons and tax rates as one catalog: applied, it changes nothing."""
    return export_catalog(context)

"""Listing and showing meters, plans, add-ons and tax rates."""

from billing_server.domain.catalog.model import Addon, Meter, Plan
from billing_server.domain.tax.rate import TaxRate
from billing_server.services.context import ServiceContext
from billing_server.services.not_found import meter_not_found, plan_not_found
from metering.errors import NotFoundError


def list_meters(context: ServiceContext) -> tuple[Meter, ...]:
    """List every meter by key; a catalog file of at most 1 MiB bounds them."""
    with context.store.read() as unit:
        return unit.catalog.meters()


def show_meter(context: ServiceContext, *, key: str) -> Meter:
    """Return a meter.

    Raises:
        NotFoundError: METER_NOT_FOUND.
    """
    with context.store.read() as unit:
        found = unit.catalog.meter(key)
    if found is None:
        raise meter_not_found(key)
    return found


def list_plans(context: ServiceContext) -> tuple[Plan, ...]:
    """List the newest version of every plan by key."""
    with context.store.read() as unit:
        return unit.catalog.latest_plans()


def show_plan(context: ServiceContext, *, key: str, version: int | None = None) -> Plan:
    """Return a plan: one version of it, or the newest.

    Raises:
        NotFoundError: PLAN_NOT_FOUND.
    """
    with context.store.read() as unit:
        if version is None:
            found = unit.catalog.latest_plan(key)
        else:
            found = unit.catalog.plan(key, version=version)
    if found is None:
        raise plan_not_found(key, version=version)
    return found


def list_addons(context: ServiceContext) -> tuple[Addon, ...]:
    """List the newest version of every add-on by key."""
    with context.store.read() as unit:
        return unit.catalog.latest_addons()


def show_addon(context: ServiceContext, *, key: str, version: int | None = None) -> Addon:
    """Return an add-on: one version of it, or the newest.

    Raises:
        NotFoundError: ADDON_NOT_FOUND.
    """
    with context.store.read() as unit:
        if version is None:
            found = next((each for each in unit.catalog.latest_addons() if each.key == key), None)
        else:
            found = unit.catalog.addon(key, version=version)
    if found is None:
        named = repr(key) if version is None else f"{key!r} of version {version}"
        raise NotFoundError(reason="ADDON_NOT_FOUND", message=f"there is no add-on {named}")
    return found


def list_tax_rates(context: ServiceContext) -> tuple[TaxRate, ...]:
    """List every tax rate by key."""
    with context.store.read() as unit:
        return unit.catalog.tax_rates()


def show_tax_rate(context: ServiceContext, *, key: str) -> TaxRate:
    """Return a tax rate.

    Raises:
        NotFoundError: TAX_RATE_NOT_FOUND.
    """
    found = next((rate for rate in list_tax_rates(context) if rate.key == key), None)
    if found is None:
        raise NotFoundError(reason="TAX_RATE_NOT_FOUND", message=f"there is no tax rate {key!r}")
    return found

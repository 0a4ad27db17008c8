"""The applied catalog in the form of a catalog file."""

from typing import Any

from billing_server.domain.catalog.model import CatalogFile
from billing_server.domain.catalog.serialize import catalog_to_dict
from billing_server.services.context import ServiceContext

SECTIONS = ("meters", "plans", "addons")
"""What is exported: customers and subscriptions are data, not catalog."""


def export_catalog(context: ServiceContext) -> dict[str, Any]:
    """Return meters and the newest versions of plans and add-ons; applied, it changes nothing."""
    with context.store.read() as unit:
        catalog = CatalogFile(
            meters=unit.catalog.meters(),
            plans=unit.catalog.latest_plans(),
            addons=unit.catalog.latest_addons(),
        )
    written = catalog_to_dict(catalog)
    return {section: written[section] for section in SECTIONS}

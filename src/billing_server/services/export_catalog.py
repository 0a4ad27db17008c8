"""The applied catalog in the form of a catalog file."""

from typing import Any

from billing_server.domain.catalog.model import CatalogFile
from billing_server.domain.catalog.serialize import catalog_to_dict
from billing_server.services.context import ServiceContext

SECTIONS = ("meters", "plans", "addons", "tax_rates")
"""What is exported: customers and subscriptions are data, not catalog."""


def export_catalog(context: ServiceContext) -> dict[str, Any]:
    """Return meters, newest plans and add-ons, and tax rates; applied, they change nothing."""
    with context.store.read() as unit:
        catalog = CatalogFile(
            meters=unit.catalog.meters(),
            plans=unit.catalog.latest_plans(),
            addons=unit.catalog.latest_addons(),
            tax_rates=unit.catalog.tax_rates(),
        )
    written = catalog_to_dict(catalog)
    return {section: written[section] for section in SECTIONS}

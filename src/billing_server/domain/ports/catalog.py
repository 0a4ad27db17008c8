"""The port of the catalog: meters, plan versions and tax rates."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from billing_server.domain.catalog.model import Addon, Meter, Plan
from billing_server.domain.tax.rate import TaxRate


class CatalogRepository(Protocol):
    """Meters by key, plans by key and version. A plan version never changes once written."""

    def lock(self) -> None:
        """Hold the catalog exclusively until the end of the unit of work.

        Ingest reads the revision under a shared lock, so that no event is judged by half a change.
        """

    def revision(self) -> int:
        """Return how often the catalog has changed, >= 0; holds nothing."""

    def advance_revision(self) -> int:
        """Mark the catalog as changed, so that compiled copies are thrown away.

        Returns:
            The new revision, >= 1.
        """

    def meters(self) -> tuple[Meter, ...]:
        """Return every meter, by key."""

    def meter(self, key: str) -> Meter | None:
        """Return one meter."""

    def put_meter(self, meter: Meter, *, update_time: datetime) -> None:
        """Write a meter, new or changed."""

    def meters_with_usage(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of `keys` whose meter has counted at least one event."""

    def kept_by_event(self) -> dict[str, frozenset[str]]:
        """Return the meters that keep what each event brought, with the quantities that are money.

        Those on which some price was ever rated by event; time-weighted ones do so anyway.
        """

    def keep_by_event(self, meter_key: str, *, money_quantities: frozenset[str]) -> None:
        """Note that a meter keeps what each event brings from now on."""

    def latest_plans(self) -> tuple[Plan, ...]:
        """Return the newest version of every plan, by key."""

    def latest_plan(self, key: str) -> Plan | None:
        """Return the newest version of a plan."""

    def plan(self, key: str, *, version: int) -> Plan | None:
        """Return one version of a plan; versions count from 1."""

    def plan_versions(self, key: str) -> tuple[Plan, ...]:
        """Return every version of a plan, oldest first."""

    def add_plan_version(self, plan: Plan, *, create_time: datetime) -> None:
        """Write a new version of a plan."""

    def latest_addons(self) -> tuple[Addon, ...]:
        """Return the newest version of every add-on, by key."""

    def addon(self, key: str, *, version: int) -> Addon | None:
        """Return one version of an add-on; versions count from 1."""

    def add_addon_version(self, addon: Addon, *, create_time: datetime) -> None:
        """Write a new version of an add-on."""

    def tax_rates(self) -> tuple[TaxRate, ...]:
        """Return every tax rate, by key."""

    def put_tax_rate(self, rate: TaxRate, *, update_time: datetime) -> None:
        """Write a tax rate, new or changed; invoices keep copies."""

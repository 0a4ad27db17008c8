"""Meters, plan versions and tax rates in the database.

A document is read once however often it is asked for: what a text says never changes, so that what
was parsed is kept by the text itself, and no rollback or other server can make it wrong.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, Text, bindparam, func, select, type_coerce

from billing_server.domain.catalog.model import Addon, Meter, Plan
from billing_server.domain.catalog.serialize import (
    addon_from_dict,
    addon_to_dict,
    meter_from_dict,
    meter_to_dict,
    plan_from_dict,
    plan_to_dict,
    tax_rate_from_dict,
    tax_rate_to_dict,
)
from billing_server.domain.tax.rate import TaxRate
from billing_server.store.tables import (
    addon_version,
    catalog_state,
    meter,
    plan_version,
    tax_rate,
    usage_series,
)
from billing_server.store.upsert import conflict_insert

DOCUMENTS_CACHED_MAX: Final = 2_000
"""Parsed meters, and as many plan and add-on versions; a plan of 50 prices takes some 50 KiB."""
_METER_TEXT: Final = type_coerce(meter.c.content, Text)
_PLAN_TEXT: Final = type_coerce(plan_version.c.content, Text)
_RATE_TEXT: Final = type_coerce(tax_rate.c.content, Text)
_ADDON_TEXT: Final = type_coerce(addon_version.c.content, Text)
# Made once: building a statement costs more than running it.
_METERS: Final = select(_METER_TEXT).order_by(meter.c.key)
_RATES: Final = select(_RATE_TEXT).order_by(tax_rate.c.key)
_PLAN: Final = select(_PLAN_TEXT).where(
    plan_version.c.key == bindparam("key"), plan_version.c.version == bindparam("version")
)
_ADDON: Final = select(_ADDON_TEXT).where(
    addon_version.c.key == bindparam("key"), addon_version.c.version == bindparam("version")
)


class SqlCatalogRepository:
    """Meters by key, plans by key and version."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> None:
        """Holds the catalog until the end of the transaction."""
        self._connection.execute(select(catalog_state.c.revision).with_for_update()).one()

    def revision(self) -> int:
        """Returns how often the catalog has changed."""
        revision: int = self._connection.execute(select(catalog_state.c.revision)).scalar_one()
        return revision

    def advance_revision(self) -> int:
        """Marks the catalog as changed; returns the new revision."""
        changed = self._connection.execute(
            catalog_state.update()
            .values(revision=catalog_state.c.revision + 1)
            .returning(catalog_state.c.revision)
        )
        revision: int = changed.scalar_one()
        return revision

    def meters(self) -> tuple[Meter, ...]:
        """Returns every meter, by key."""
        return tuple(_meter(text) for text in self._connection.execute(_METERS).scalars())

    def meter(self, key: str) -> Meter | None:
        """Returns one meter."""
        text = self._connection.execute(select(_METER_TEXT).where(meter.c.key == key)).scalar()
        return None if text is None else _meter(text)

    def put_meter(self, wanted: Meter, *, update_time: datetime) -> None:
        """Writes a meter, new or changed."""
        content = meter_to_dict(wanted)
        insert = conflict_insert(self._connection, meter).values(
            key=wanted.key, content=content, create_time=update_time, update_time=update_time
        )
        self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=[meter.c.key],
                set_={"content": content, "update_time": update_time},
            )
        )

    def meters_with_usage(self, keys: Sequence[str]) -> frozenset[str]:
        """Returns those meters that have counted at least one event."""
        found = self._connection.execute(
            select(meter.c.key).where(
                meter.c.key.in_(keys),
                select(usage_series.c.series_id)
                .where(usage_series.c.meter_key == meter.c.key)
                .exists(),
            )
        )
        return frozenset(found.scalars())

    def kept_by_event(self) -> dict[str, frozenset[str]]:
        """Returns the meters that keep what each event brought, with what is money there."""
        rows = self._connection.execute(
            select(meter.c.key, meter.c.money_quantities).where(meter.c.keeps_readings)
        )
        return {row.key: frozenset(row.money_quantities) for row in rows}

    def keep_by_event(self, meter_key: str, *, money_quantities: frozenset[str]) -> None:
        """Notes that a meter keeps what each event brings from now on."""
        self._connection.execute(
            meter.update()
            .where(meter.c.key == meter_key)
            .values(keeps_readings=True, money_quantities=sorted(money_quantities))
        )

    def latest_plans(self) -> tuple[Plan, ...]:
        """Returns the newest version of every plan, by key."""
        newest = (
            select(plan_version.c.key, func.max(plan_version.c.version).label("version"))
            .group_by(plan_version.c.key)
            .subquery()
        )
        rows = self._connection.execute(
            select(_PLAN_TEXT)
            .join(
                newest,
                (plan_version.c.key == newest.c.key) & (plan_version.c.version == newest.c.version),
            )
            .order_by(plan_version.c.key)
        )
        return tuple(_plan(text) for text in rows.scalars())

    def latest_plan(self, key: str) -> Plan | None:
        """Returns the newest version of a plan."""
        versions = self.plan_versions(key)
        return versions[-1] if versions else None

    def plan(self, key: str, *, version: int) -> Plan | None:
        """Returns one version of a plan."""
        text = self._connection.execute(_PLAN, {"key": key, "version": version}).scalar()
        return None if text is None else _plan(text)

    def plan_versions(self, key: str) -> tuple[Plan, ...]:
        """Returns every version of a plan, oldest first."""
        rows = self._connection.execute(
            select(_PLAN_TEXT).where(plan_version.c.key == key).order_by(plan_version.c.version)
        )
        return tuple(_plan(text) for text in rows.scalars())

    def add_plan_version(self, plan: Plan, *, create_time: datetime) -> None:
        """Writes a new version of a plan."""
        self._connection.execute(
            plan_version.insert().values(
                key=plan.key,
                version=plan.version,
                effective_from=plan.effective_from or create_time,
                content=plan_to_dict(plan),
                create_time=create_time,
            )
        )

    def latest_addons(self) -> tuple[Addon, ...]:
        """Returns the newest version of every add-on, by key."""
        rows = self._connection.execute(
            select(addon_version.c.key, _ADDON_TEXT.label("text")).order_by(
                addon_version.c.key, addon_version.c.version
            )
        )
        newest = {row.key: row.text for row in rows}
        return tuple(_addon(text) for text in newest.values())

    def addon(self, key: str, *, version: int) -> Addon | None:
        """Returns one version of an add-on."""
        text = self._connection.execute(_ADDON, {"key": key, "version": version}).scalar()
        return None if text is None else _addon(text)

    def add_addon_version(self, addon: Addon, *, create_time: datetime) -> None:
        """Writes a new version of an add-on."""
        self._connection.execute(
            addon_version.insert().values(
                key=addon.key,
                version=addon.version,
                content=addon_to_dict(addon),
                create_time=create_time,
            )
        )

    def tax_rates(self) -> tuple[TaxRate, ...]:
        """Returns every tax rate, by key."""
        return tuple(_tax_rate(text) for text in self._connection.execute(_RATES).scalars())

    def put_tax_rate(self, wanted: TaxRate, *, update_time: datetime) -> None:
        """Writes a tax rate, new or changed."""
        content = tax_rate_to_dict(wanted)
        insert = conflict_insert(self._connection, tax_rate).values(
            key=wanted.key, content=content, create_time=update_time, update_time=update_time
        )
        self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=[tax_rate.c.key],
                set_={"content": content, "update_time": update_time},
            )
        )


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def _meter(text: str) -> Meter:
    return meter_from_dict(json.loads(text))


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def _plan(text: str) -> Plan:
    return plan_from_dict(json.loads(text))


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def _tax_rate(text: str) -> TaxRate:
    return tax_rate_from_dict(json.loads(text))


@lru_cache(maxsize=DOCUMENTS_CACHED_MAX)
def _addon(text: str) -> Addon:
    return addon_from_dict(json.loads(text))

"""Meters and plan versions in the database."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from billing_server.domain.catalog.model import Addon, Meter, Plan
from billing_server.domain.catalog.serialize import (
    addon_from_dict,
    addon_to_dict,
    meter_from_dict,
    meter_to_dict,
    plan_from_dict,
    plan_to_dict,
)
from billing_server.store.tables import (
    addon_version,
    catalog_state,
    meter,
    plan_version,
    usage_series,
)
from billing_server.store.upsert import conflict_insert


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
        rows = self._connection.execute(select(meter.c.content).order_by(meter.c.key))
        return tuple(meter_from_dict(row.content) for row in rows)

    def meter(self, key: str) -> Meter | None:
        """Returns one meter."""
        row = self._connection.execute(select(meter.c.content).where(meter.c.key == key)).first()
        return None if row is None else meter_from_dict(row.content)

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
            select(plan_version.c.content)
            .join(
                newest,
                (plan_version.c.key == newest.c.key) & (plan_version.c.version == newest.c.version),
            )
            .order_by(plan_version.c.key)
        )
        return tuple(plan_from_dict(row.content) for row in rows)

    def latest_plan(self, key: str) -> Plan | None:
        """Returns the newest version of a plan."""
        versions = self.plan_versions(key)
        return versions[-1] if versions else None

    def plan(self, key: str, *, version: int) -> Plan | None:
        """Returns one version of a plan."""
        row = self._connection.execute(
            select(plan_version.c.content).where(
                plan_version.c.key == key, plan_version.c.version == version
            )
        ).first()
        return None if row is None else plan_from_dict(row.content)

    def plan_versions(self, key: str) -> tuple[Plan, ...]:
        """Returns every version of a plan, oldest first."""
        rows = self._connection.execute(
            select(plan_version.c.content)
            .where(plan_version.c.key == key)
            .order_by(plan_version.c.version)
        )
        return tuple(plan_from_dict(row.content) for row in rows)

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
            select(addon_version.c.key, addon_version.c.content).order_by(
                addon_version.c.key, addon_version.c.version
            )
        )
        newest = {row.key: row.content for row in rows}
        return tuple(addon_from_dict(content) for content in newest.values())

    def addon(self, key: str, *, version: int) -> Addon | None:
        """Returns one version of an add-on."""
        row = self._connection.execute(
            select(addon_version.c.content).where(
                addon_version.c.key == key, addon_version.c.version == version
            )
        ).first()
        return None if row is None else addon_from_dict(row.content)

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

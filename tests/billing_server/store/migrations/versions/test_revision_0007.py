"""A database of the revision before gains the versions of add-ons."""

from billing_server.domain.catalog.model import Addon
from billing_server.store.migrations.versions import revision_0007
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant


def test_it_follows_the_sixth() -> None:
    assert (revision_0007.revision, revision_0007.down_revision) == ("0007", "0006")


def test_versions_of_an_add_on_are_kept(store: SqlStore) -> None:
    now = parse_instant("2026-02-01T00:00:00Z")
    first = Addon(key="help", version=1, name="Help", currency="USD")
    second = Addon(key="help", version=2)
    with store.write() as unit:
        unit.catalog.add_addon_version(first, create_time=now)
        unit.catalog.add_addon_version(second, create_time=now)
    with store.read() as unit:
        assert unit.catalog.latest_addons() == (second,)
        assert unit.catalog.addon("help", version=1) == first
        assert unit.catalog.addon("help", version=3) is None

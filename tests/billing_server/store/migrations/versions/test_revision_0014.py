"""A database of the revision before gets a table of tax rates."""

from billing_server.store.migrations.versions import revision_0014


def test_it_follows_the_thirteenth() -> None:
    assert (revision_0014.revision, revision_0014.down_revision) == ("0014", "0013")

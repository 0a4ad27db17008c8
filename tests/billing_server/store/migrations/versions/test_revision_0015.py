"""A database of the revision before counts the answers of its agents from nothing."""

from billing_server.store.migrations.versions import revision_0015


def test_it_follows_the_fourteenth() -> None:
    assert (revision_0015.revision, revision_0015.down_revision) == ("0015", "0014")

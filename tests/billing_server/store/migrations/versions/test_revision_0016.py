"""A database of the revision before has no join tokens."""

from billing_server.store.migrations.versions import revision_0016


def test_it_follows_the_fifteenth() -> None:
    assert (revision_0016.revision, revision_0016.down_revision) == ("0016", "0015")

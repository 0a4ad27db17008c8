"""A database of the revision before gains the states of ratings by event."""

from billing_server.store.migrations.versions import revision_0010


def test_it_follows_the_ninth() -> None:
    assert (revision_0010.revision, revision_0010.down_revision) == ("0010", "0009")

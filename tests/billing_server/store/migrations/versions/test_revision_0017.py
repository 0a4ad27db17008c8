"""A database of the revision before keeps what waits; nothing is discarded yet."""

from billing_server.store.migrations.versions import revision_0017


def test_it_follows_the_sixteenth() -> None:
    assert (revision_0017.revision, revision_0017.down_revision) == ("0017", "0016")

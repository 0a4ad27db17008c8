"""A database of the revision before gains the late facts."""

from billing_server.store.migrations.versions import revision_0009


def test_it_follows_the_eighth() -> None:
    assert (revision_0009.revision, revision_0009.down_revision) == ("0009", "0008")

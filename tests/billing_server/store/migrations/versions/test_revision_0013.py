"""A database of the revision before gets the narrower index of leases."""

from billing_server.store.migrations.versions import revision_0013


def test_it_follows_the_twelfth() -> None:
    assert (revision_0013.revision, revision_0013.down_revision) == ("0013", "0012")

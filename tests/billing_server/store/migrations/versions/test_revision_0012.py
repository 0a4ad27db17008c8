"""A database of the revision before learns which debits of repeated events were taken back."""

from billing_server.store.migrations.versions import revision_0012


def test_it_follows_the_eleventh() -> None:
    assert (revision_0012.revision, revision_0012.down_revision) == ("0012", "0011")

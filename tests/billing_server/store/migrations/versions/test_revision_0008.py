"""A database of the revision before gains the use of offline allowances."""

from billing_server.store.migrations.versions import revision_0008
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.limit_rows import DAY


def test_it_follows_the_seventh() -> None:
    assert (revision_0008.revision, revision_0008.down_revision) == ("0008", "0007")


def test_use_of_allowances_is_kept(store: SqlStore) -> None:
    with store.write() as unit:
        unit.limits.add_allowance_use(DAY, amounts={1: 5})
    with store.read() as unit:
        assert unit.limits.allowance_uses([DAY]) == {DAY: {1: 5}}

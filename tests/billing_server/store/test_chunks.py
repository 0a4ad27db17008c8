"""Long lists of keys in runs."""

from billing_server.store.chunks import chunks


def test_values_come_in_runs_of_at_most_five_hundred_in_their_order() -> None:
    assert list(chunks([])) == []
    runs = list(chunks(range(1_001)))
    assert [len(run) for run in runs] == [500, 500, 1]
    assert [value for run in runs for value in run] == list(range(1_001))

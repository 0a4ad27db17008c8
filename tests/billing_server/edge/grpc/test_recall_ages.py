"""A recall is waited for once: whoever asks later waits for what is left of that time."""

import pytest

from billing_server.edge.grpc.recall_ages import RECALL_COUNT_MAX, RECALL_SECONDS, RecallAges
from billing_server.services.acquire_leases import Recall

ONE, OTHER = Recall(b"1" * 16, 1), Recall(b"2" * 16, 1)


def test_a_recall_is_waited_for_from_when_it_was_first_seen() -> None:
    ages = RecallAges()
    assert ages.seconds_left([ONE], now=10.0) == RECALL_SECONDS
    assert ages.seconds_left([ONE], now=10.2) == pytest.approx(RECALL_SECONDS - 0.2)
    assert ages.seconds_left([ONE], now=99.0) == 0.0
    assert ages.seconds_left([], now=99.0) == 0.0


def test_the_freshest_of_several_decides_how_long() -> None:
    ages = RecallAges()
    ages.seconds_left([ONE], now=10.0)
    assert ages.seconds_left([ONE, OTHER], now=10.4) == pytest.approx(RECALL_SECONDS)


def test_a_lease_that_did_not_answer_in_time_was_waited_for_in_vain_until_the_next_recall() -> None:
    ages = RecallAges()
    ages.seconds_left([ONE], now=10.0)
    ages.seconds_left([OTHER], now=10.4)
    assert ages.in_vain(now=10.0) == frozenset()
    assert ages.in_vain(now=10.5) == {ONE.lease_id}
    ages.seconds_left([Recall(ONE.lease_id, 2)], now=20.0)
    assert ages.in_vain(now=20.0) == {OTHER.lease_id}


def test_only_so_many_are_remembered() -> None:
    ages = RecallAges()
    ages.seconds_left([ONE], now=10.0)
    recalls = [Recall(number.to_bytes(16), 1) for number in range(RECALL_COUNT_MAX)]
    ages.seconds_left(recalls, now=20.0)
    assert ages.seconds_left([ONE], now=20.0) == RECALL_SECONDS

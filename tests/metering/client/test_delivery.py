"""What becomes of requests: kept, halved, given up; one culprit never spoils the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.client.delivery import (
    Delivery,
    Failure,
    FailureKind,
    GivenUp,
    Rejection,
    pack_frames,
)
from metering.client.event import EventFrame, Refusal

AWAY = Failure(kind=FailureKind.TRANSIENT, code="UNAVAILABLE", message="away")
REFUSED = Failure(kind=FailureKind.REFUSED, code="INVALID_ARGUMENT", message="bad request")
INTERNAL = Failure(kind=FailureKind.INTERNAL, code="INTERNAL", message="bug 17")


def _frames(count: int, *, size: int = 1) -> list[EventFrame]:
    return [EventFrame(str(number), "acme", b"x" * size) for number in range(count)]


def _names(frames: tuple[EventFrame, ...]) -> str:
    return "".join(frame.event_id for frame in frames)


def _started(count: int) -> Delivery:
    delivery = Delivery(isolation_attempt_count_max=4)
    delivery.start([tuple(_frames(count))])
    return delivery


def test_frames_are_packed_within_the_count() -> None:
    packed = pack_frames(_frames(5), event_count_max=2, bytes_max=100)
    assert [_names(frames) for frames in packed] == ["01", "23", "4"]


def test_frames_are_packed_within_the_bytes() -> None:
    # 3 frames of 4 bytes are 12; a fourth would make 16 > 15.
    packed = pack_frames(_frames(7, size=4), event_count_max=100, bytes_max=15)
    assert [_names(frames) for frames in packed] == ["012", "345", "6"]


def test_a_frame_larger_than_the_bound_travels_alone() -> None:
    packed = pack_frames(_frames(2, size=9), event_count_max=100, bytes_max=5)
    assert [_names(frames) for frames in packed] == ["0", "1"]


def test_no_frames_are_no_request() -> None:
    assert pack_frames([], event_count_max=1, bytes_max=1) == []


def test_an_answer_settles_the_whole_request() -> None:
    delivery = _started(3)
    progress = delivery.answered(())
    assert (progress.accepted, progress.given_up) == (3, ())
    assert delivery.is_idle


def test_a_rejected_event_is_given_up_and_the_others_are_accepted() -> None:
    delivery = _started(3)
    refusal = Refusal(reason="EVENT_TIME_TOO_OLD", message="too old")
    progress = delivery.answered([Rejection(index=1, refusal=refusal)])
    assert progress.accepted == 2
    assert [(one.frame.event_id, one.refusal) for one in progress.given_up] == [("1", refusal)]


def test_rejections_that_name_no_event_are_passed_over() -> None:
    delivery = _started(2)
    nonsense = [Rejection(index=index, refusal=Refusal("R", "m")) for index in (-1, 2, 99)]
    assert delivery.answered(nonsense).accepted == 2


def test_the_same_request_is_kept_for_as_long_as_the_agent_is_away() -> None:
    delivery = _started(3)
    for count in range(1, 1_000):
        assert delivery.failed(AWAY).given_up == ()
        assert delivery.failure_count == count
    assert _names(delivery.current) == "012"
    delivery.answered(())
    assert delivery.failure_count == 0


def test_a_refused_request_is_halved_in_order() -> None:
    delivery = _started(5)
    delivery.failed(REFUSED)
    assert _names(delivery.current) == "01"
    delivery.answered(())
    assert _names(delivery.current) == "234"


def test_an_event_refused_alone_is_given_up_with_the_reason() -> None:
    delivery = _started(1)
    (given_up,) = delivery.failed(REFUSED).given_up
    assert given_up.refusal.reason == "REQUEST_INVALID_ARGUMENT"
    assert "bad request" in given_up.refusal.message
    assert delivery.is_idle


def test_an_internal_error_is_tried_again_before_anything_is_suspected() -> None:
    delivery = _started(4)
    delivery.failed(INTERNAL)
    delivery.failed(INTERNAL)
    assert _names(delivery.current) == "0123"
    delivery.failed(INTERNAL)
    assert _names(delivery.current) == "01"


def test_an_event_alone_is_kept_for_as_long_as_the_agent_fails_for_all() -> None:
    delivery = _started(1)
    delivery.start([tuple(_frames(1))])
    for _ in range(1_000):
        assert delivery.failed(INTERNAL).given_up == ()
    assert delivery.answered(()).accepted == 1
    assert delivery.answered(()).accepted == 1
    assert delivery.is_idle


def test_an_event_alone_makes_way_and_is_given_up_once_others_pass_between_its_errors() -> None:
    delivery = _started(1)
    passed: list[str] = []
    given_up: list[GivenUp] = []
    while not given_up:
        if delivery.is_stuck:
            delivery.start([(EventFrame(f"good-{len(passed)}", "acme", b"x"),)])
        if _names(delivery.current) == "0":
            given_up += delivery.failed(INTERNAL).given_up
        else:
            passed.append(_names(delivery.current))
            delivery.answered(())
    assert given_up[0].refusal.reason == "REQUEST_INTERNAL"
    # Four faults make it the event's; before each of them another request has passed.
    assert passed == ["good-0", "good-1", "good-2", "good-3"]


@pytest.mark.parametrize("failure", [REFUSED, INTERNAL])
@given(culprits=st.sets(st.integers(0, 49)), count=st.integers(1, 50))
def test_only_the_culprits_are_given_up_and_all_others_arrive_in_order(
    failure: Failure, culprits: set[int], count: int
) -> None:
    delivery = _started(count)
    arrived: list[str] = []
    given_up: list[str] = []
    while not delivery.is_idle:
        if delivery.is_stuck:
            delivery.start([(EventFrame("99", "acme", b"x"),)])
        names = [frame.event_id for frame in delivery.current]
        if any(int(name) in culprits for name in names):
            progress = delivery.failed(failure)
        else:
            arrived += names
            progress = delivery.answered(())
        given_up += [one.frame.event_id for one in progress.given_up]
    expected = [str(number) for number in range(count)]
    assert sorted(given_up, key=int) == [name for name in expected if int(name) in culprits]
    others = [name for name in arrived if name != "99"]
    assert others == [name for name in expected if int(name) not in culprits]

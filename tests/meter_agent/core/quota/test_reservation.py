"""The life of a reservation, and the defined answer to every way of asking wrongly."""

from dataclasses import replace
from decimal import Decimal

import pytest

from meter_agent.core.quota.decide import Take
from meter_agent.core.quota.reservation import (
    REMEMBERED_EXTENSIONS_MAX,
    Content,
    EndCase,
    Ending,
    EndKind,
    Reservation,
    ReservationState,
    case_of_ending,
    content_of,
    ended,
    expired,
    extended,
    held_for_extension,
    is_due_to_expire,
    is_due_to_return,
    is_repeated_extension,
    reloaded,
    renewed,
    repeated_reserve,
    returned,
    ttl_of,
    unknown_reservation,
)
from metering.errors import (
    AlreadyExistsError,
    InvalidStateError,
    MeteringError,
    NotFoundError,
    ValidationError,
)

SECOND = 1_000_000
ASKED = content_of(quantities={"output": Decimal(100)}, dimensions={"model": "large"})
HELD = Reservation(
    customer_id="acme",
    reservation_id="r-1",
    content=ASKED,
    granted={"output": Decimal(100)},
    takes=(Take("tokens", b"a" * 16, 100),),
    boot_id="boot-1",
    reserve_time_us=1,
    expires_at_us=120 * SECOND,
)
USED = content_of(quantities={"output": Decimal(60)})
SETTLED = ended(HELD, ending=Ending(kind=EndKind.SETTLE, content=USED, event_id="e-1"))


def end(found: Reservation | None, kind: EndKind = EndKind.SETTLE, used: Content = USED) -> EndCase:
    return case_of_ending(found, kind=kind, content=used, reservation_id="r-1")


def test_a_reservation_is_held_then_settled() -> None:
    assert end(HELD) is EndCase.IN_TIME
    assert (SETTLED.state, SETTLED.holds) == (ReservationState.SETTLED, False)


def test_a_reservation_is_held_then_released() -> None:
    done = ended(HELD, ending=Ending(kind=EndKind.RELEASE, content=Content()))
    assert (done.state, done.holds) == (ReservationState.RELEASED, False)


def test_an_expired_hold_is_presumed_used_until_it_is_settled_late() -> None:
    assert not is_due_to_expire(HELD, now_us=120 * SECOND - 1)
    assert is_due_to_expire(HELD, now_us=120 * SECOND)
    over = expired(HELD)
    assert (over.state, over.holds, end(over)) == (ReservationState.EXPIRED, True, EndCase.LATE)
    late = ended(over, ending=Ending(kind=EndKind.SETTLE, content=USED))
    assert (late.state, late.holds) == (ReservationState.LATE_SETTLED, False)


def test_an_expired_hold_goes_back_after_t_late_and_is_still_settled_late() -> None:
    over = expired(HELD)
    assert not is_due_to_return(over, now_us=(120 + 900) * SECOND - 1)
    assert is_due_to_return(over, now_us=(120 + 900) * SECOND)
    back = returned(over)
    assert (back.holds, is_due_to_return(back, now_us=10**12)) == (False, False)
    assert end(back) is EndCase.LATE


def test_a_repeated_settlement_is_answered_the_same() -> None:
    assert end(SETTLED) is EndCase.REPEATED


@pytest.mark.parametrize(
    ("kind", "used"),
    [
        (EndKind.SETTLE, content_of(quantities={"output": Decimal(61)})),
        (EndKind.SETTLE, content_of(quantities={"output": Decimal(60)}, event_time_ns=5)),
        (EndKind.RELEASE, USED),
    ],
)
def test_a_settlement_with_other_numbers_is_refused_and_the_first_stands(
    kind: EndKind, used: Content
) -> None:
    with pytest.raises(AlreadyExistsError, match="the first stands") as caught:
        end(SETTLED, kind, used)
    assert caught.value.reason == "SETTLEMENT_CONFLICT"


def test_a_reservation_that_is_not_known_here_is_settled_all_the_same() -> None:
    assert end(None) is EndCase.ELSEWHERE


def test_a_repeated_request_is_answered_by_the_reservation_that_it_made() -> None:
    assert repeated_reserve(None, content=ASKED) is None
    same = content_of(quantities={"output": Decimal("100.0")}, dimensions={"model": "large"})
    assert repeated_reserve(HELD, content=same) == HELD


@pytest.mark.parametrize(
    "content",
    [
        content_of(quantities={"output": Decimal(101)}, dimensions={"model": "large"}),
        content_of(quantities={"output": Decimal(100)}),
        content_of(
            quantities={"output": Decimal(100)},
            dimensions={"model": "large"},
            minimum_quantities={"output": Decimal(1)},
        ),
    ],
)
def test_the_same_id_with_other_content_is_refused(content: Content) -> None:
    with pytest.raises(AlreadyExistsError) as caught:
        repeated_reserve(HELD, content=content)
    assert caught.value.reason == "RESERVATION_ID_REUSED"


@pytest.mark.parametrize(
    "over",
    [
        SETTLED,
        ended(HELD, ending=Ending(kind=EndKind.RELEASE, content=Content())),
        expired(HELD),
        ended(expired(HELD), ending=Ending(kind=EndKind.SETTLE, content=USED)),
    ],
)
def test_the_id_of_a_reservation_that_has_ended_grants_nothing(over: Reservation) -> None:
    with pytest.raises(InvalidStateError) as caught:
        repeated_reserve(over, content=ASKED)
    assert (caught.value.reason, caught.value.metadata) == (
        "RESERVATION_ENDED",
        {"state": str(over.state)},
    )
    assert "make a new id" in caught.value.message


def test_only_a_held_reservation_is_extended() -> None:
    assert held_for_extension(HELD, reservation_id="r-1") == HELD
    for found in (SETTLED, expired(HELD)):
        with pytest.raises(InvalidStateError) as caught:
            held_for_extension(found, reservation_id="r-1")
        assert (caught.value.reason, caught.value.metadata["state"]) == (
            "RESERVATION_ENDED",
            str(found.state),
        )
    with pytest.raises(NotFoundError):
        held_for_extension(None, reservation_id="r-1")


def test_an_extension_adds_to_what_is_granted_and_to_its_takes() -> None:
    more = extended(
        HELD,
        granted={"output": Decimal(20), "images": Decimal(1)},
        takes=(Take("tokens", b"a" * 16, 20), Take("images", b"b" * 16, 1)),
        request_id="x-1",
        content=USED,
    )
    assert more.granted == {"output": Decimal(120), "images": Decimal(1)}
    assert more.takes == (Take("tokens", b"a" * 16, 120), Take("images", b"b" * 16, 1))
    assert is_repeated_extension(more, request_id="x-1", content=USED)
    assert not is_repeated_extension(more, request_id="x-2", content=USED)
    assert not is_repeated_extension(more, request_id="", content=USED)
    with pytest.raises(AlreadyExistsError) as caught:
        is_repeated_extension(more, request_id="x-1", content=ASKED)
    assert caught.value.reason == "EXTENSION_ID_REUSED"


def test_a_reservation_remembers_a_bounded_number_of_extensions() -> None:
    found = HELD
    for number in range(REMEMBERED_EXTENSIONS_MAX + 1):
        found = extended(found, granted={}, takes=(), request_id=f"x-{number}", content=USED)
    assert len(found.extensions) == REMEMBERED_EXTENSIONS_MAX
    assert not is_repeated_extension(found, request_id="x-0", content=USED)


def test_a_renewal_starts_the_time_anew_and_keeps_what_was_used_so_far() -> None:
    again = renewed(HELD, now_us=100 * SECOND, ttl_us=60 * SECOND, used_so_far={"output": "30"})
    assert (again.expires_at_us, again.ttl_us) == (160 * SECOND, 60 * SECOND)
    silent = renewed(again, now_us=150 * SECOND, ttl_us=60 * SECOND, used_so_far={})
    assert silent.used_so_far == {"output": "30"}


def test_a_restart_in_the_same_boot_keeps_the_remaining_time_and_another_boot_starts_it_anew() -> (
    None
):
    assert reloaded(HELD, boot_id="boot-1", now_us=50 * SECOND) == HELD
    anew = reloaded(HELD, boot_id="boot-2", now_us=5 * SECOND)
    assert anew == replace(
        HELD, boot_id="boot-2", reserved_at_us=5 * SECOND, expires_at_us=125 * SECOND
    )
    # Where the machine tells no boot id nobody knows whether its clock went on.
    unnamed = reloaded(replace(HELD, boot_id=""), boot_id="", now_us=5 * SECOND)
    assert unnamed.expires_at_us == 125 * SECOND


def test_a_time_to_live_lies_between_a_second_and_an_hour() -> None:
    assert (ttl_of(None), ttl_of(SECOND), ttl_of(3600 * SECOND)) == (
        120 * SECOND,
        SECOND,
        3600 * SECOND,
    )
    for wrong in (0, -1, SECOND - 1, 3600 * SECOND + 1):
        with pytest.raises(ValidationError, match="give 1 s to 1 h"):
            ttl_of(wrong)


def test_an_unknown_reservation_says_what_to_do() -> None:
    error: MeteringError = unknown_reservation("r-9")
    assert error.reason == "RESERVATION_UNKNOWN"
    assert "name the customer_id" in error.message

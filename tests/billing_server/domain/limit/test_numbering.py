"""Which calls about leases count: one numbering of sessions and syncs for each disk."""

import pytest

from billing_server.domain.limit.numbering import SyncState, decide_acquire, decide_sync
from billing_server.domain.session.opening import Stream, synced

OPENED = Stream(disk_id=b"d" * 16, session_no=3, session_nonce=b"open", sync_no=7, applied_seq=0)
SYNCED = synced(OPENED, sync_no=8, nonce=b"sync")


def sync(
    stream: Stream | None, sync_no: int, nonce: bytes, *, named: tuple[str, int] = ("i", 3)
) -> SyncState:
    return decide_sync(stream, server_incarnation="i", named=named, sync_no=sync_no, nonce=nonce)


def acquire(
    stream: Stream | None, sync_no: int, nonce: bytes, *, named: tuple[str, int] = ("i", 3)
) -> SyncState:
    return decide_acquire(stream, server_incarnation="i", named=named, sync_no=sync_no, nonce=nonce)


def test_the_next_number_is_accepted_and_the_same_call_again_is_a_repeat() -> None:
    assert sync(OPENED, 8, b"sync") is SyncState.ACCEPTED
    assert sync(SYNCED, 8, b"sync") is SyncState.REPEATED
    assert synced(SYNCED, sync_no=8, nonce=b"sync") == SYNCED


@pytest.mark.parametrize(
    ("sync_no", "nonce"),
    [
        (8, b"other"),  # A copy of the disk used the number.
        (7, b"open"),  # The disk went back to before its last sync.
        (6, b"x"),
    ],
)
def test_a_number_that_lies_behind_or_was_used_is_another_copy_of_the_disk(
    sync_no: int, nonce: bytes
) -> None:
    assert sync(SYNCED, sync_no, nonce) is SyncState.IDENTITY_TAKEN


def test_a_number_that_this_server_never_answered_shows_that_it_went_back() -> None:
    assert sync(SYNCED, 10, b"x") is SyncState.FENCED
    assert acquire(SYNCED, 9, b"x") is SyncState.FENCED


@pytest.mark.parametrize("named", [("other", 3), ("i", 2), ("i", 4)])
def test_a_call_of_another_session_or_incarnation_is_fenced(named: tuple[str, int]) -> None:
    assert sync(SYNCED, 9, b"n", named=named) is SyncState.FENCED
    assert acquire(SYNCED, 8, b"sync", named=named) is SyncState.FENCED


def test_a_disk_that_is_not_known_is_fenced() -> None:
    assert sync(None, 1, b"n") is SyncState.FENCED
    assert acquire(None, 1, b"n") is SyncState.FENCED


def test_an_acquisition_names_the_last_answered_sync() -> None:
    assert acquire(SYNCED, 8, b"sync") is SyncState.ACCEPTED
    assert acquire(OPENED, 7, b"open") is SyncState.ACCEPTED


def test_an_acquisition_goes_beside_a_sync_that_still_hangs() -> None:
    assert acquire(SYNCED, 7, b"open") is SyncState.ACCEPTED


@pytest.mark.parametrize(("sync_no", "nonce"), [(8, b"other"), (7, b"other"), (6, b"open")])
def test_an_acquisition_of_a_copy_of_the_disk_is_refused(sync_no: int, nonce: bytes) -> None:
    assert acquire(SYNCED, sync_no, nonce) is SyncState.IDENTITY_TAKEN

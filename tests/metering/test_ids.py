"""Tests of ids: form, order, uniqueness over threads and forks, derived settlement ids."""

import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from uuid import UUID

from metering.ids import (
    SETTLEMENT_NAMESPACE,
    UuidV7Generator,
    prefixed_id,
    settlement_event_id,
    uuid7,
)

UUID7_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def make_generator(
    milliseconds: list[int], random_bytes: Callable[[int], bytes] = os.urandom
) -> UuidV7Generator:
    """Returns a generator whose clock reads the listed milliseconds, then the last for ever."""

    def now_ms() -> int:
        return milliseconds.pop(0) if len(milliseconds) > 1 else milliseconds[0]

    return UuidV7Generator(now_ms=now_ms, random_bytes=random_bytes)


def test_an_id_has_the_form_of_rfc_9562_version_7() -> None:
    assert UUID7_FORM.fullmatch(uuid7())
    assert UUID(uuid7()).version == 7


def test_an_id_begins_with_its_millisecond() -> None:
    # 2022-02-22T19:22:22Z, the example of RFC 9562 appendix A.6: 0x017F22E279B0.
    identifier = make_generator([1_645_557_742_000])()
    assert identifier.startswith("017f22e2-79b0-7")


def test_every_random_bit_but_the_counters_topmost_comes_from_the_source() -> None:
    ones = make_generator([0], lambda size: b"\xff" * size)
    assert ones() == "00000000-0000-7fff-bfff-7fffffffffff"
    zeros = make_generator([0], lambda size: b"\0" * size)
    assert zeros() == "00000000-0000-7000-8000-000000000000"


def test_ids_of_one_millisecond_count_up() -> None:
    generator = make_generator([5], lambda size: b"\0" * size)
    assert [generator()[-2:] for _ in range(3)] == ["00", "01", "02"]


def test_ids_rise_while_the_clock_stands_goes_and_steps_back() -> None:
    generator = make_generator([1000, 1000, 1001, 900, 1001, 1002, 3])
    made = [generator() for _ in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000


def test_a_full_counter_moves_on_to_the_next_millisecond() -> None:
    generator = make_generator([7], lambda size: b"\xff" * size)
    first = generator()
    # Counting up 2^47 ids would take days: the counter is set next to its end.
    generator._run = generator._run._replace(counter=itertools.count(1 << 48))
    second = generator()
    assert first.startswith("00000000-0007")
    assert second == "00000000-0008-7fff-bfff-7fffffffffff"


def test_an_id_can_be_minted_by_a_signal_handler_that_interrupts_the_minting() -> None:
    # What a handler does while its thread reads the randomness; the second time a run is there.
    inner: list[str] = []
    depth = 0

    def interrupted(size: int) -> bytes:
        nonlocal depth
        depth += 1
        if depth == 1:
            inner.append(generator())
        depth -= 1
        return os.urandom(size)

    generator = make_generator([1000, 1000, 1001, 1001, 1001], interrupted)
    outer: list[str] = []
    minting = threading.Thread(
        target=lambda: outer.extend(generator() for _ in range(3)), daemon=True
    )
    minting.start()
    minting.join(10)
    assert not minting.is_alive()
    assert len({*inner, *outer}) == 5
    assert all(UUID7_FORM.fullmatch(identifier) for identifier in inner + outer)
    assert outer == sorted(outer)


def test_threads_never_share_an_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    gate = threading.Barrier(4)

    def mint(mine: list[str]) -> None:
        gate.wait(timeout=10)
        mine.extend(uuid7() for _ in range(5000))

    threads = [threading.Thread(target=mint, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len({identifier for mine in made for identifier in mine}) == 20_000
    assert all(mine == sorted(mine) for mine in made)


def test_a_forked_child_parts_ways_with_its_parent() -> None:
    generator = make_generator([42])
    parent_first = generator()
    head = parent_first[:24]
    generator.reset_after_fork()
    # The same frozen millisecond, as after a fork, and another random seed.
    child_first = generator()
    assert child_first[:14] == parent_first[:14]
    assert (
        child_first[:24] != head or abs(int(child_first[24:], 16) - int(parent_first[24:], 16)) > 9
    )


FORK_PROGRAM = """
import os
from metering.ids import uuid7
uuid7()
child = os.fork()
made = [uuid7() for _ in range(50)]
if child:
    os.waitpid(child, 0)  # Both write to one pipe: one after the other.
print(*made, flush=True)
"""


def test_a_real_fork_makes_other_ids_than_its_parent() -> None:
    # In a program of its own: a test process has threads, and those must not be forked.
    program = subprocess.run(
        [sys.executable, "-c", FORK_PROGRAM], capture_output=True, text=True, timeout=30, check=True
    )
    made = program.stdout.split()
    assert len(made) == 100
    assert len(set(made)) == 100


def test_a_settlement_has_one_event_id_whoever_derives_it() -> None:
    assert str(SETTLEMENT_NAMESPACE) == "8f0c2f62-5d0e-5a53-9d0b-5b0b8a1d7c11"
    identifier = settlement_event_id("acme", "r-1")
    assert identifier == settlement_event_id("acme", "r-1")
    assert UUID(identifier).version == 5
    assert identifier == "d0e3e0f9-9b94-574f-aa76-8e6a9c2a05e3"


def test_settlements_of_two_reservations_never_share_an_id() -> None:
    # The NUL keeps ("a", "bc") apart from ("ab", "c").
    assert settlement_event_id("a", "bc") != settlement_event_id("ab", "c")


def test_a_prefixed_id_has_24_base32_characters() -> None:
    assert prefixed_id("inv", lambda size: b"\0" * size) == "inv_" + "a" * 24
    assert re.fullmatch(r"inv_[a-z2-7]{24}", prefixed_id("inv", os.urandom))

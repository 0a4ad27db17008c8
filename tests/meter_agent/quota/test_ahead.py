"""How far ahead of its prices a customer may be: what is held, and used and not yet heard of."""

from decimal import Decimal

from meter_agent.quota.ahead import ENTRY_COUNT_MAX, UNKNOWN, Ahead

NAMES = {"output": 1}


def test_what_is_held_and_used_adds_up() -> None:
    ahead = Ahead()
    ahead.hold({"output": Decimal(100), "input": Decimal(5)})
    ahead.use({"output": Decimal(7)}, seq=3)
    assert ahead.quantities(NAMES) == {"output": Decimal(107)}
    ahead.unhold({"output": Decimal(100), "input": Decimal(5)})
    assert ahead.quantities({"output": 1, "input": 1}) == {
        "output": Decimal(7),
        "input": Decimal(0),
    }


def test_what_the_server_has_heard_of_is_no_longer_ahead() -> None:
    ahead = Ahead()
    for seq in (3, 3, 5, 8):
        ahead.use({"output": Decimal(10)}, seq=seq)
    ahead.told(applied_seq=5)
    assert ahead.quantities(NAMES) == {"output": Decimal(10)}
    ahead.told(applied_seq=8)
    assert ahead.quantities(NAMES) == {"output": Decimal(0)}


def test_after_a_restart_nobody_knows_until_prices_are_told_anew() -> None:
    ahead = Ahead()
    ahead.forget_place()
    assert ahead.quantities(NAMES) == {"output": UNKNOWN}
    ahead.told(applied_seq=0)
    assert ahead.quantities(NAMES) == {"output": Decimal(0)}


def test_the_entries_are_bounded_and_nothing_is_forgotten_too_early() -> None:
    ahead = Ahead()
    for seq in range(1, 3 * ENTRY_COUNT_MAX):
        ahead.use({"output": Decimal(1)}, seq=seq)
    ahead.told(applied_seq=3 * ENTRY_COUNT_MAX - 2)
    left = ahead.quantities(NAMES)["output"]
    assert left == 2 * ENTRY_COUNT_MAX
    ahead.told(applied_seq=3 * ENTRY_COUNT_MAX)
    assert ahead.quantities(NAMES) == {"output": Decimal(0)}

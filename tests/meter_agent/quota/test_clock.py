"""The clock of leases never goes back, and names the boot that it counts from."""

from meter_agent.quota.clock import BootClock


def test_the_clock_of_this_machine_moves_on_and_names_its_boot() -> None:
    clock = BootClock.of_this_machine()
    first = clock.now_us()
    assert clock.now_us() >= first > 0
    assert clock == BootClock.of_this_machine()
    assert clock.wall_us() > 1_700_000_000_000_000

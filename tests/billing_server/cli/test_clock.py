"""`billing-server clock`."""

from tests.billing_server.cli.runner import Commands


def test_the_clock_is_shown_and_moved_forward_only(commands: Commands) -> None:
    assert commands.output("clock", "show") == "2026-01-31T10:00:00Z (test clock)\n"
    moved = commands.output("clock", "advance-to", "2026-02-01T00:00:00+01:00")
    assert moved == "the clock stands at 2026-01-31T23:00:00Z\n"
    back = commands.run("clock", "advance-to", "2026-01-31T00:00:00Z")
    assert back.exit_code == 1
    assert "never goes back" in back.stderr
    assert commands.json("clock", "show")["is_test_clock"] is True

"""The command `meter-agent`; also `python -m meter_agent`."""

from metering.extras import run_program


def main() -> None:
    """Runs the command."""
    run_program("meter_agent.cli", extra="agent")


if __name__ == "__main__":
    main()

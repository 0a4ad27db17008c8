"""The command `meter`; also `python -m metering`."""

from metering.extras import run_program


def main() -> None:
    """Runs the command."""
    run_program("metering.cli.app", extra="cli")


if __name__ == "__main__":
    main()

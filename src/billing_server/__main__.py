"""The command `billing-server`; also `python -m billing_server`."""

from metering.extras import run_program


def main() -> None:
    """Runs the command."""
    run_program("billing_server.cli.app", extra="server")


if __name__ == "__main__":
    main()

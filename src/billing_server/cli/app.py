"""The `billing-server` command: the server, its catalog, and a look at everything it holds."""

from importlib.metadata import version
from typing import Annotated

import typer

from billing_server.cli import (
    agents,
    clock,
    conflicts,
    customers,
    invoices,
    limits,
    model_prices,
    quarantine,
    subscriptions,
    usage,
)
from billing_server.cli.alerts import alerts_command
from billing_server.cli.catalog import apply_command, export_command, list_command, show_command
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.join_tokens import join_tokens_command, revoke_join_token_command
from billing_server.cli.quote import quote_command
from billing_server.cli.reprice import reprice_command
from billing_server.cli.serve import serve_command
from billing_server.cli.simulate import simulate_command
from billing_server.cli.terms import (
    add_addon_command,
    move_version_command,
    override_command,
    remove_addon_command,
)
from billing_server.cli.verify import verify_command

app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turns usage into exact invoices. 'serve' starts the server; the other commands talk to "
    "it over HTTP, except quote and simulate, which need no server, and verify, which opens the "
    "database itself.",
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the form that typer calls back
    if asked:
        typer.echo(version("meter-agent"))
        raise typer.Exit


@app.callback()
def billing_server_group(
    *,
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


app.command("serve")(serve_command)
app.command("apply")(apply_command)
app.command("quote")(quote_command)
app.command("simulate")(simulate_command)
app.command("verify")(verify_command)
app.command("alerts")(alerts_command)
app.command("reprice")(reprice_command)
model_prices.app.command("export")(export_command)
model_prices.app.command("list")(list_command)
model_prices.app.command("show")(show_command)
app.add_typer(model_prices.app, name="catalog")
app.add_typer(invoices.app, name="invoices")
app.add_typer(customers.app, name="customers")
subscriptions.app.command("move-version")(move_version_command)
subscriptions.app.command("override")(override_command)
subscriptions.app.command("add-addon")(add_addon_command)
subscriptions.app.command("remove-addon")(remove_addon_command)
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(agents.agents_app, name="agents")
agents.agent_app.command("join-tokens")(join_tokens_command)
agents.agent_app.command("revoke-join-token")(revoke_join_token_command)
app.add_typer(agents.agent_app, name="agent")
app.add_typer(limits.limits_app, name="limits")
app.add_typer(limits.balance_app, name="balance")
app.command("audit")(limits.audit_command)
app.add_typer(clock.app, name="clock")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(conflicts.app, name="conflicts")
app.add_typer(usage.app, name="usage")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()

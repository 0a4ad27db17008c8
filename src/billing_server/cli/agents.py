"""`billing-server agents …` and `billing-server agent …`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from billing_server.cli.client import (
    URL_DEFAULT,
    ApiKeyOption,
    DataDirOption,
    JsonOption,
    UrlOption,
    open_client,
    path_of,
)
from billing_server.cli.errors import ReportingGroup
from billing_server.cli.join_tokens import seconds_of
from billing_server.cli.output import print_json, print_table
from metering.errors import AlreadyExistsError, ValidationError

agents_app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="List agents and show one, or declare one lost.",
    rich_markup_mode=None,
)
agent_app = typer.Typer(
    cls=ReportingGroup,
    no_args_is_help=True,
    help="Enroll agents and fleets: make, rotate and revoke their tokens.",
    rich_markup_mode=None,
)
LIMIT_DEFAULT = 50
TOKEN_FILE_MODE = 0o600
CAUSES = {
    "declared": "no longer kept by the agent when the server asked",
    "disk_lost": "unshipped by its last report when it came back without its buffer",
}


@agents_app.command("list")
def list_command(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List agents and how far each has shipped.

    Example: billing-server agents list
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/agents", limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        "agents",
        columns=(
            "name",
            "id",
            "version",
            "session",
            "applied",
            "unshipped",
            "lost",
            "last seen",
            "oldest unshipped",
        ),
        right=("session", "applied", "unshipped", "lost"),
        rows=(
            (
                each["name"],
                each["id"],
                each["version"],
                each["session_no"],
                each["applied_seq"],
                each["reported_unshipped_count"],
                each["lost_count"],
                each["last_seen"],
                each["oldest_unshipped_event_time"],
            )
            for each in found
        ),
    )


@agents_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name or id.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show an agent with what was lost on its way.

    Example: billing-server agents show gpu-host-1
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = client.get(path_of("agents", name))
    if as_json:
        print_json(found)
        return
    losses = found.pop("losses")
    for key, value in found.items():
        print(f"{key.replace('_', ' '):<28} {'-' if value in (None, '') else value}")
    for loss in losses:
        print(
            f"{'lost':<28} {loss['event_count']:,} events, positions {loss['from_seq']} to "
            f"{loss['to_seq']}, {CAUSES.get(loss['cause'], loss['cause'])}; "
            f"found {loss['declare_time']}"
        )


@agents_app.command("forget")
def forget_command(
    name: Annotated[str, typer.Argument(help="Name or id of the agent or of its further disk.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Declare an agent lost: what its leases hold of limits is presumed used, and never billed.

    Example: billing-server agents forget gpu-host-1
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    forgotten = client.post(path_of("agents", name, "forget"), body={})
    if as_json:
        print_json(forgotten)
        return
    count = forgotten["lease_count"]
    print(
        f"agent {forgotten['name']} is forgotten; {count} of its leases are presumed used: see "
        "`billing-server limits show CUSTOMER`, and `billing-server limits release LEASE` to give "
        "one back"
    )


@agent_app.callback()
def agent_group() -> None:
    """Tokens of agents: enroll, rotate, revoke; join tokens of fleets."""


@agent_app.command("enroll")
def enroll_command(
    name: Annotated[str, typer.Argument(help="Unique name, such as the host's; or the fleet's.")],
    *,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Write the token here, mode 0600, instead of printing it."),
    ] = None,
    ephemeral: Annotated[
        bool,
        typer.Option(
            "--ephemeral",
            help="It comes and goes: after an hour of silence, not seven days, it counts as lost.",
        ),
    ] = False,
    fleet: Annotated[
        bool,
        typer.Option(
            "--fleet", help="Make a join token, which each host exchanges for a token of its own."
        ),
    ] = False,
    expires: Annotated[
        str | None,
        typer.Option(
            help="With --fleet: how long hosts may join by it, such as 30d, 12h or 90m.  "
            "[default: 30d]"
        ),
    ] = None,
    max_agents: Annotated[
        int | None,
        typer.Option(min=1, help="With --fleet: most agents that may join by it.  [default: 100]"),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make an agent's token, or a fleet's join token. It is shown once: only its hash is kept.

    Example: billing-server agent enroll gpu-host-1 --token-file /etc/meter-agent/token
    """
    if not fleet and (expires is not None or max_agents is not None):
        raise ValidationError(
            reason="OPTION_WITHOUT_FLEET",
            message="--expires and --max-agents are of join tokens: add --fleet, or leave them out",
        )
    body: dict[str, object] = {"fleet": name} if fleet else {"name": name}
    if ephemeral:
        body["is_ephemeral"] = True
    if expires is not None:
        body["ttl_seconds"] = seconds_of(expires)
    if max_agents is not None:
        body["max_agents"] = max_agents
    if token_file is not None:
        _refuse_existing(token_file)
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    enrolled = client.post("/v1/join-tokens" if fleet else "/v1/agents", body=body)
    if token_file is not None:
        _write_token(token_file, token=enrolled.pop("token"))
    if as_json:
        print_json(enrolled)
    elif token_file is None:
        print(enrolled["token"])
    elif fleet:
        print(
            f"up to {enrolled['max_agents']:,} agents may join {name} until "
            f"{enrolled['expire_time']}; the join token {enrolled['id']} is in {token_file}"
        )
    else:
        print(f"agent {name} enrolled; its token is in {token_file}")


@agent_app.command("rotate")
def rotate_command(
    name: Annotated[str, typer.Argument(help="Name of the agent, as enrolled.")],
    *,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Write the token to this new file, mode 0600, instead of printing it."),
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give an agent another token. The old one is refused at once; nothing is lost meanwhile.

    Example: billing-server agent rotate gpu-host-1 --token-file token.new
    """
    if token_file is not None:
        _refuse_existing(token_file)
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    rotated = client.post(path_of("agents", name, "rotate"), body={})
    if token_file is not None:
        _write_token(token_file, token=rotated.pop("token"))
    if as_json:
        print_json(rotated)
    elif token_file is not None:
        print(f"agent {name} has another token, in {token_file}; the old one is refused")
    else:
        print(rotated["token"])


@agent_app.command("revoke")
def revoke_command(
    name: Annotated[str, typer.Argument(help="Name of the agent, as enrolled.")],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Refuse an agent's token from now on, until it is rotated. What it shipped stays counted.

    Example: billing-server agent revoke gpu-host-1
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    revoked = client.post(path_of("agents", name, "revoke"), body={})
    if as_json:
        print_json(revoked)
        return
    print(f"agent {name} is revoked since {revoked['revoke_time']}")


def _refuse_existing(path: Path) -> None:
    # Before the agent is enrolled: a token that cannot be written would be lost.
    if path.exists():
        raise AlreadyExistsError(
            reason="TOKEN_FILE_EXISTS",
            message=f"--token-file: {path} is there already and may be the token of a live agent; "
            "name another file, or remove it first",
        )
    if not os.access(path.parent, os.W_OK):
        raise ValidationError(
            reason="TOKEN_FILE_UNWRITABLE",
            message=f"--token-file: {path.parent} is not a directory that you may write to",
        )


def _write_token(path: Path, *, token: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, TOKEN_FILE_MODE)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")

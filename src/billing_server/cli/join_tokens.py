"""`billing-server agent join-tokens` and `agent revoke-join-token`."""

import re
from datetime import timedelta
from typing import Annotated, Final

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
from billing_server.cli.output import print_json, print_table
from metering.errors import ValidationError

LIMIT_DEFAULT: Final = 50
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def seconds_of(text: str) -> int:
    """Return the seconds of `30d`, `12h`, `90m` or `600s`.

    Raises:
        ValidationError: DURATION_MALFORMED.
    """
    found = re.fullmatch(r"([0-9]{1,9})([dhms])", text.strip())
    if found is None:
        raise ValidationError(
            reason="DURATION_MALFORMED",
            message=f"--expires: {text!r} is no time span: write a whole number and a unit, such "
            "as 30d, 12h, 90m or 600s",
        )
    return int(found[1]) * round(_UNITS[found[2]].total_seconds())


def join_tokens_command(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LIMIT_DEFAULT,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List join tokens of fleets and how many agents have joined by each; never the tokens.

    Example: billing-server agent join-tokens
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    found = list(client.entries("/v1/join-tokens", limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        "join tokens",
        columns=("id", "fleet", "state", "joined", "at most", "expires"),
        right=("joined", "at most"),
        rows=(
            (
                each["id"],
                each["fleet"],
                each["state"],
                each["joined"],
                each["max_agents"],
                each["expire_time"],
            )
            for each in found
        ),
    )


def revoke_join_token_command(
    join_token_id: Annotated[
        str, typer.Argument(metavar="ID", help="As `agent join-tokens` lists it; no token.")
    ],
    *,
    as_json: JsonOption = False,
    url: UrlOption = URL_DEFAULT,
    api_key: ApiKeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let nobody join by a join token from now on. Agents that have joined by it stay.

    Example: billing-server agent revoke-join-token jtk_5xf363xrhklrfktouywp7azb
    """
    client = open_client(url=url, api_key=api_key, data_dir=data_dir)
    revoked = client.post(path_of("join-tokens", join_token_id, "revoke"), body={})
    if as_json:
        print_json(revoked)
        return
    print(
        f"the join token {join_token_id} of {revoked['fleet']} is revoked since "
        f"{revoked['revoke_time']}; {revoked['joined']:,} agents have joined by it and stay"
    )

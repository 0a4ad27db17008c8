"""Options of the command line that say how the server is reached."""

from pathlib import Path
from typing import Annotated

import typer

ServerOption = Annotated[
    list[str] | None,
    typer.Option(
        help="HOST:PORT of the billing server; may be repeated: where one does not answer, the "
        "next is called.  [default: none, buffer only]"
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        help="File with the agent's token (see `billing-server agent enroll`); mode 0600. "
        "The token itself may be given as METER_AGENT_TOKEN."
    ),
]
JoinTokenFileOption = Annotated[
    Path | None,
    typer.Option(
        help="File with a fleet's join token (see `billing-server agent enroll --fleet`): an agent "
        "without a token gets one of its own by it, and keeps it in the data directory."
    ),
]
TlsOption = Annotated[
    str | None,
    typer.Option(
        help="auto, on or off. auto speaks TLS to every server that is not on this host; off sends "
        "the token in plain text.  [default: auto]"
    ),
]
ServerCaOption = Annotated[
    Path | None,
    typer.Option(
        help="PEM file of the authority that signed the server's certificate.  [default: those "
        "that the system trusts]"
    ),
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option(help="PEM file of the agent's own certificate, where the server wants one."),
]
TlsKeyOption = Annotated[Path | None, typer.Option(help="PEM file of that certificate's key.")]

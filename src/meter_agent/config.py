"""Settings of the agent: flags over METER_AGENT_* variables over a TOML file over defaults."""

import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic import ValidationError as PydanticValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from meter_agent.edge.addresses import (
    Address,
    default_addresses,
    is_directory_usable,
    parse_address,
)
from meter_agent.uplink.client import CALL_SECONDS
from meter_agent.uplink.connector import split_servers
from meter_agent.uplink.joining import Joining
from meter_agent.uplink.tls import TlsMode, TlsSettings
from meter_agent.uplink.token import TokenSource
from metering.errors import FieldViolation, ValidationError

DISK_BUDGET_BYTES_DEFAULT: Final = 1024 * 1024 * 1024
BALLAST_BYTES_DEFAULT: Final = 16 * 1024 * 1024
DISK_BUDGET_BYTES_MIN: Final = 1024 * 1024
SYSTEM_DATA_DIRECTORY: Final = Path("/var/lib/meter-agent")
INSTANCE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$|^$"
ENV_PREFIX: Final = "METER_AGENT_"
OWN_TOKEN_NAME: Final = "agent.token"  # noqa: S105 - a name of a file


class AgentSettings(BaseSettings):
    """Everything that can be set; each is a flag of `serve` as well."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        # As compose files and units write what is not set: "" is no path, and no choice.
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    listen: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses, unix:/path or HOST:PORT; empty: the default socket and loopback port 4270."""
    data_dir: Path | None = None
    """Directory of the buffer; None: /var/lib/meter-agent where writable, else a user's own."""
    server: str = ""
    """HOST:PORT of the billing server, or several, separated by commas; empty: buffer only."""
    tls: TlsMode = TlsMode.AUTO
    """auto, on or off; auto: on for a server that is not on this host, or where a file is given."""
    server_ca: Path | None = None
    """PEM file of the authorities that may sign the server's certificate; None: the system's."""
    tls_cert: Path | None = None
    """PEM file of the agent's own certificate, for servers that want one."""
    tls_key: Path | None = None
    """PEM file of its key."""
    token_file: Path | None = None
    """File that holds the agent's token."""
    token: SecretStr | None = None
    """The token itself; only ever by METER_AGENT_TOKEN, never by a flag (process lists show it)."""
    join_token_file: Path | None = None
    """File that holds a fleet's join token, used while the agent has no token of its own."""
    host_name: str = Field(default="", max_length=253)
    """What the name of an agent that joins is made of; empty: what the host calls itself."""
    instance: str = Field(default="", pattern=INSTANCE_PATTERN)
    """Name where several agents run on a host; 1 to 63 letters, digits, - and _."""
    disk_budget_bytes: int = Field(default=DISK_BUDGET_BYTES_DEFAULT, ge=DISK_BUDGET_BYTES_MIN)
    """Bytes that buffered events may take, >= 1 MiB."""
    ballast_bytes: int = Field(default=BALLAST_BYTES_DEFAULT, ge=0)
    """Bytes of the file that is given up when the disk is full; 0: none."""
    replay_retention_seconds: int = Field(default=86_400, ge=0, le=35 * 86_400)
    """How long applied events are kept for a server that is restored, seconds, 0 to 35 days."""
    socket_group: str = ""
    """Group that may use the sockets; empty: that of the process."""
    retry_seconds_max: float = Field(default=60.0, ge=0.5, le=3600.0)
    """Cap of the waits between tries to reach the server, seconds, 0.5 to 3,600."""
    call_seconds_max: float = Field(default=CALL_SECONDS, ge=1.0, le=300.0)
    """How long a call to the server may take before it is tried again, seconds, 1 to 300."""
    admin_listen: str = ""
    """HOST:PORT of metrics and probes; empty: none."""
    pre_stop_seconds: float = Field(default=0.0, ge=0.0, le=300.0)
    """How long health says NOT_SERVING before a stop begins, seconds, 0 to 300."""
    reservation_late_seconds: float = Field(default=900.0, ge=0.0, le=86_400.0)
    """How long the hold of a reservation that expired is presumed used before it goes back,
    seconds, 0 to 86,400."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""

    @field_validator("listen", mode="before")
    @classmethod
    def _split_addresses(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("server", mode="before")
    @classmethod
    def _join_servers(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return ",".join(str(part) for part in value)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts flags before variables; `load_settings` puts the file below both."""
        return (init_settings, env_settings)

    @property
    def data_directory(self) -> Path:
        """Directory of the buffer, absolute."""
        if self.data_dir is not None:
            return self.data_dir.expanduser().absolute()
        system = SYSTEM_DATA_DIRECTORY / self.instance if self.instance else SYSTEM_DATA_DIRECTORY
        if is_directory_usable(system):
            return system
        own = Path.home() / ".local" / "state" / "meter-agent"
        return own / self.instance if self.instance else own

    @property
    def own_token_file(self) -> Path:
        """Where the agent keeps the token that it got by joining a fleet."""
        return self.data_directory / OWN_TOKEN_NAME

    @property
    def tokens(self) -> TokenSource:
        """Where the agent's token comes from; joins no fleet."""
        return self._tokens(joining=None)

    @property
    def joining_tokens(self) -> TokenSource:
        """The same for the one thread that joins a fleet where there is no token yet."""
        if self.join_token_file is None:
            return self._tokens(joining=None)
        return self._tokens(
            joining=Joining(
                token_file=self.own_token_file,
                join_token_file=self.join_token_file.expanduser().absolute(),
                host_name=self.host_name or socket.gethostname(),
            )
        )

    def _tokens(self, *, joining: Joining | None) -> TokenSource:
        return TokenSource(
            token_file=self.token_file,
            token=None if self.token is None else self.token.get_secret_value(),
            own_file=self.own_token_file,
            joining=joining,
        )

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses of the server, in order of preference."""
        return split_servers(self.server)

    @property
    def tls_settings(self) -> TlsSettings:
        """What is said about TLS.

        Raises:
            ValidationError: TLS_CONTRADICTORY.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValidationError(
                reason="TLS_CONTRADICTORY",
                message="--tls-cert and --tls-key belong together: give both, or neither",
            )
        if self.tls is TlsMode.OFF and (self.server_ca is not None or self.tls_cert is not None):
            raise ValidationError(
                reason="TLS_CONTRADICTORY",
                message="--tls off speaks no TLS, so --server-ca, --tls-cert and --tls-key mean "
                "nothing: leave them out, or leave out --tls off",
            )
        return TlsSettings(
            mode=self.tls, server_ca=self.server_ca, cert=self.tls_cert, key=self.tls_key
        )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to listen.

        Raises:
            ValidationError: ADDRESS_MALFORMED.
        """
        texts = self.listen or default_addresses(
            data_dir=self.data_directory, instance=self.instance
        )
        return tuple(parse_address(text) for text in texts)


def load_settings(
    *, config_file: Path | None = None, flags: dict[str, Any] | None = None
) -> AgentSettings:
    """Returns the settings from all sources.

    Args:
        config_file: TOML file; None: METER_AGENT_CONFIG, else none.
        flags: What was given on the command line; None values count as not given.

    Raises:
        ValidationError: CONFIG_NOT_READABLE, CONFIG_MALFORMED or SETTINGS_INVALID; each wrong
            setting is a violation that names it and where it was set.
    """
    if config_file is None and os.environ.get(f"{ENV_PREFIX}CONFIG"):
        config_file = Path(os.environ[f"{ENV_PREFIX}CONFIG"])
    given = {name: value for name, value in (flags or {}).items() if value not in (None, [], ())}
    from_file = _read_file(config_file) if config_file is not None else {}
    for name in AgentSettings.model_fields:
        if os.environ.get(f"{ENV_PREFIX}{name.upper()}"):
            from_file.pop(name, None)
    try:
        return AgentSettings(**{**from_file, **given})
    except PydanticValidationError as error:
        violations = tuple(
            _violation(item["loc"], item["msg"], given=given, config_file=config_file)
            for item in error.errors(include_url=False, include_input=False)
        )
        raise ValidationError(
            reason="SETTINGS_INVALID",
            message="; ".join(f"{item.field}: {item.description}" for item in violations),
            violations=violations,
        ) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValidationError(
            reason="CONFIG_NOT_READABLE",
            message=f"--config {path}: {error.strerror}; give the path of a TOML file",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValidationError(
            reason="CONFIG_MALFORMED",
            message=f'{path}: {error}; write it as TOML, e.g. server = "billing:4280"',
        ) from error


def _violation(
    location: tuple[int | str, ...],
    description: str,
    *,
    given: dict[str, Any],
    config_file: Path | None,
) -> FieldViolation:
    """Returns a wrong setting under the name it has where it was set."""
    name = str(location[0]) if location else ""
    variable = f"{ENV_PREFIX}{name.upper()}"
    if name in given:
        field = f"--{name.replace('_', '-')}"
    elif variable in os.environ:
        field = variable
    else:
        field = f"{config_file} {name}"
    if name not in AgentSettings.model_fields:
        known = ", ".join(AgentSettings.model_fields)
        description = f"no such setting; known are {known}"
    return FieldViolation(field, description)

"""Configuration of the server: arguments, then BILLING_SERVER_* variables, then a TOML file.

Nothing has to be configured: every setting has a default that works on one machine.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field
from pydantic import ValidationError as PydanticValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from metering.clock import parse_duration, parse_instant
from metering.errors import FieldViolation, MeteringError, ValidationError

ENV_PREFIX = "BILLING_SERVER_"
"""What the name of every environment variable of the server begins with."""

SYSTEM_DATA_DIR = Path("/var/lib/billing-server")
"""Where the data lives when the server may write there."""

GRPC_LISTEN_DEFAULT = "127.0.0.1:4280"
HTTP_LISTEN_DEFAULT = "127.0.0.1:8080"
GRACE_DEFAULT = timedelta(hours=1)
"""How long after a period's end its invoice waits for late usage (R75)."""

Parsed = TypeVar("Parsed")

PORT_MAX = 65_535
DATABASE_FILE_NAME = "billing.db"
ADMIN_KEY_FILE_NAME = "admin.key"
SQLITE_FILE_PREFIX = "sqlite:///"


def default_data_dir() -> Path:
    """Return the data directory that is used where none is named.

    The local commands look for the admin key in the same place, so that they need no settings.
    """
    probe = SYSTEM_DATA_DIR if SYSTEM_DATA_DIR.exists() else SYSTEM_DATA_DIR.parent
    if os.access(probe, os.W_OK | os.X_OK):
        return SYSTEM_DATA_DIR
    state_home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state_home) / "billing-server"


def parse_listen(value: str) -> tuple[str, int]:
    """Split an address `HOST:PORT`.

    Args:
        value: such as `127.0.0.1:8080` or `[::1]:8080`; port 0 lets the system choose.

    Raises:
        ValueError: the address has no port, or the port is outside 0..65,535.
    """
    host, separator, port_text = value.rpartition(":")
    if not separator or not host or not port_text.isdecimal() or int(port_text) > PORT_MAX:
        message = f"{value!r} is not an address: write HOST:PORT, such as 127.0.0.1:8080"
        raise ValueError(message)
    return host.strip("[]"), int(port_text)


def _checked_listen(value: object) -> object:
    if isinstance(value, str):
        parse_listen(value)
    return value


def _from_text(parse: Callable[[str], Parsed]) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except MeteringError as error:
            raise ValueError(str(error)) from error

    return read


Listen = Annotated[str, BeforeValidator(_checked_listen)]
InstantText = Annotated[datetime, BeforeValidator(_from_text(parse_instant))]
DurationText = Annotated[timedelta, BeforeValidator(_from_text(parse_duration))]


class ServerSettings(BaseSettings):
    """Everything that `billing-server serve` can be told."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    """Directory of the database, the admin key and the lock; made with mode 0700."""

    database_url: str | None = None
    """SQLAlchemy address of the database; unset: `billing.db` in the data directory."""

    grpc_listen: Listen = GRPC_LISTEN_DEFAULT
    """Where agents push usage, `HOST:PORT`."""

    grpc_reflection: Literal["off", "on"] = "off"
    """Whether the gRPC port describes its services to tools that ask."""

    http_listen: Listen = HTTP_LISTEN_DEFAULT
    """Where the HTTP API listens, `HOST:PORT`."""

    tls_cert: Path | None = None
    """PEM file of the gRPC port's certificate and its chain; unset: plain text."""

    tls_key: Path | None = None
    """PEM file of that certificate's key."""

    tls_client_ca: Path | None = None
    """PEM file of the authorities that sign agents' certificates; unset: agents need none."""

    test_clock: InstantText | None = None
    """First instant of a test database, whose time moves only when told; unset: real time."""

    grace: DurationText = GRACE_DEFAULT
    """How long after a period's end its invoice waits for late usage (R75). >= 0."""

    def resolved_database_url(self) -> str:
        """Return the address of the database, the default one where none was given."""
        return self.database_url or f"sqlite:///{self.data_dir / DATABASE_FILE_NAME}"

    @property
    def admin_key_path(self) -> Path:
        """Return where the key of the local commands is kept, mode 0600."""
        return self.data_dir / ADMIN_KEY_FILE_NAME

    @property
    def lock_path(self) -> Path:
        """Return the file that a running server holds locked: beside the SQLite database."""
        database = self.resolved_database_url().removeprefix(SQLITE_FILE_PREFIX)
        return Path(f"{database}.lock")

    @property
    def incarnation_path(self) -> Path | None:
        """Return the file by which a restored SQLite database is noticed; None on PostgreSQL."""
        url = self.resolved_database_url()
        if not url.startswith(SQLITE_FILE_PREFIX):
            return None
        return Path(f"{url.removeprefix(SQLITE_FILE_PREFIX)}.incarnation")


def load_settings(
    *, config: Path | None = None, overrides: Mapping[str, object] | None = None
) -> ServerSettings:
    """Read the settings: overrides win over the environment, which wins over the file.

    Args:
        config: a TOML file whose keys are the fields of ServerSettings.
        overrides: what was given on the command line; entries that are None are left out.

    Raises:
        ValidationError: CONFIG_INVALID, one violation a field.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    if config is not None:
        _check_readable_toml(config)

    class Configured(ServerSettings):
        """The settings, with the file that was named as their weakest source."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            if config is None:
                return init_settings, env_settings
            file = TomlConfigSettingsSource(settings_cls, toml_file=config)
            return init_settings, env_settings, file

    try:
        settings = Configured(**given)  # type: ignore[arg-type]
    except PydanticValidationError as error:
        raise _config_error(error) from error
    if settings.grace < timedelta(0):
        raise _single_error("grace", "must not be negative")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise _single_error("tls-cert", "give --tls-cert and --tls-key together, or neither")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise _single_error(
            "tls-client-ca", "agents show certificates only where --tls-cert and --tls-key are set"
        )
    return settings


def _check_readable_toml(path: Path) -> None:
    try:
        with path.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        message = f"cannot read the configuration file {path}: {error.strerror}"
        raise ValidationError(reason="CONFIG_UNREADABLE", message=message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not TOML: {error}"
        raise ValidationError(reason="CONFIG_UNREADABLE", message=message) from error


def _config_error(error: PydanticValidationError) -> ValidationError:
    violations = tuple(
        FieldViolation(
            field=".".join(str(part) for part in entry["loc"]),
            description=str(entry["msg"]).removeprefix("Value error, "),
            reason="CONFIG_INVALID",
        )
        for entry in error.errors()
    )
    listed = "; ".join(f"{each.field}: {each.description}" for each in violations)
    return ValidationError(
        reason="CONFIG_INVALID", message=f"wrong settings: {listed}", violations=violations
    )


def _single_error(field: str, description: str) -> ValidationError:
    return ValidationError(
        reason="CONFIG_INVALID",
        message=f"wrong settings: {field}: {description}",
        violations=(FieldViolation(field=field, description=description, reason="CONFIG_INVALID"),),
    )

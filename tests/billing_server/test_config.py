"""Settings: arguments, then the environment, then a file, then defaults."""

from datetime import timedelta
from pathlib import Path

import pytest

from billing_server import config as module
from billing_server.config import default_data_dir, load_settings, parse_listen
from metering.clock import parse_instant
from metering.errors import ValidationError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in module.ServerSettings.model_fields:
        monkeypatch.delenv(module.ENV_PREFIX + field.upper(), raising=False)


def test_nothing_has_to_be_configured() -> None:
    settings = load_settings()
    assert (settings.grpc_listen, settings.http_listen) == ("127.0.0.1:4280", "127.0.0.1:8080")
    assert (settings.grace, settings.test_clock) == (timedelta(hours=1), None)
    assert settings.resolved_database_url() == f"sqlite:///{default_data_dir()}/billing.db"


def test_arguments_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(
        'grace = "PT3H"\nhttp_listen = "127.0.0.1:3"\ngrpc_listen = "127.0.0.1:3"\n'
        'test_clock = "2026-03-01T00:00:00Z"\n'
    )
    monkeypatch.setenv("BILLING_SERVER_HTTP_LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("BILLING_SERVER_GRPC_LISTEN", "127.0.0.1:2")
    settings = load_settings(
        config=file, overrides={"grpc_listen": "127.0.0.1:1", "data_dir": None}
    )
    assert (settings.grpc_listen, settings.http_listen) == ("127.0.0.1:1", "127.0.0.1:2")
    assert settings.grace == timedelta(hours=3)
    assert settings.test_clock == parse_instant("2026-03-01T00:00:00Z")


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"http_listen": "8080"}, "http_listen"),
        ({"grpc_listen": "127.0.0.1:70000"}, "grpc_listen"),
        ({"grpc_reflection": "maybe"}, "grpc_reflection"),
        ({"grace": "1 hour"}, "grace"),
        ({"test_clock": "2026-03-01"}, "test_clock"),
    ],
)
def test_a_wrong_setting_is_named(overrides: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_settings(overrides=overrides)
    assert [violation.field for violation in refused.value.violations] == [field]


def test_an_unknown_key_of_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('grase = "PT1H"\n')
    with pytest.raises(ValidationError, match="grase"):
        load_settings(config=file)


@pytest.mark.parametrize("content", [None, "grace ="])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "server.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValidationError, match=r"server\.toml") as refused:
        load_settings(config=file)
    assert refused.value.reason == "CONFIG_UNREADABLE"


def test_the_data_directory_is_the_system_s_where_it_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYSTEM_DATA_DIR", tmp_path / "lib" / "billing-server")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_data_dir() == tmp_path / "state" / "billing-server"
    (tmp_path / "lib").mkdir()
    assert default_data_dir() == tmp_path / "lib" / "billing-server"


def test_an_address_is_split_also_with_ipv6() -> None:
    assert parse_listen("[::1]:8080") == ("::1", 8080)
    assert parse_listen("localhost:0") == ("localhost", 0)


def test_certificates_of_the_grpc_port_are_given_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    with pytest.raises(ValidationError, match="--tls-cert and --tls-key together"):
        load_settings(overrides={"tls_cert": file})
    with pytest.raises(ValidationError, match="only where --tls-cert and --tls-key are set"):
        load_settings(overrides={"tls_client_ca": file})
    settings = load_settings(overrides={"tls_cert": file, "tls_key": file, "tls_client_ca": file})
    assert settings.tls_client_ca == file

"""Settings: where they come from, which one wins, what is told where one is wrong."""

from pathlib import Path

import pytest

from meter_agent import config as module
from meter_agent.config import load_settings
from metering.errors import ValidationError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*module.AgentSettings.model_fields, "config", "address"):
        monkeypatch.delenv(f"METER_AGENT_{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        'server = "from-file:4280"\ninstance = "from-file"\nlog_level = "error"\n'
        'listen = ["unix:/tmp/a.sock", "127.0.0.1:1"]\n'
    )
    return path


def test_flags_win_over_variables_and_these_over_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METER_AGENT_SERVER", "from-env:4280")
    monkeypatch.setenv("METER_AGENT_INSTANCE", "from-env")
    settings = load_settings(config_file=file, flags={"instance": "from-flag", "server": None})
    assert settings.instance == "from-flag"
    assert settings.server == "from-env:4280"
    assert settings.log_level == "error"
    assert settings.listen == ("unix:/tmp/a.sock", "127.0.0.1:1")


def test_the_file_may_be_named_by_a_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METER_AGENT_CONFIG", str(file))
    assert load_settings().server == "from-file:4280"


def test_a_variable_lists_addresses_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METER_AGENT_LISTEN", "unix:/tmp/a.sock, 127.0.0.1:1,")
    assert [item.target for item in load_settings().addresses] == [
        "unix:/tmp/a.sock",
        "127.0.0.1:1",
    ]


def test_the_token_comes_from_the_environment_and_never_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("METER_AGENT_TOKEN", "very-secret")
    settings = load_settings()
    assert settings.token is not None
    assert settings.token.get_secret_value() == "very-secret"
    assert "very-secret" not in repr(settings)


def test_the_sdks_address_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METER_AGENT_ADDRESS", "127.0.0.1:4270")
    assert load_settings().listen == ()


def test_the_default_directory_is_the_systems_where_writable_else_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYSTEM_DATA_DIRECTORY", tmp_path / "var")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load_settings().data_directory == tmp_path / "var"
    assert load_settings(flags={"instance": "b"}).data_directory == tmp_path / "var" / "b"
    (tmp_path / "var").write_text("")
    own = tmp_path / "home" / ".local" / "state" / "meter-agent"
    assert load_settings().data_directory == own
    assert load_settings(flags={"instance": "b"}).data_directory == own / "b"


def test_each_wrong_setting_is_named_where_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('retry_seconds_max = 0\nserfer = "x:1"\n')
    monkeypatch.setenv("METER_AGENT_LOG_LEVEL", "loud")
    with pytest.raises(ValidationError) as caught:
        load_settings(config_file=path, flags={"disk_budget_bytes": 5, "instance": "a/b"})
    assert caught.value.reason == "SETTINGS_INVALID"
    fields = [item.field for item in caught.value.violations]
    assert sorted(fields) == sorted(
        [
            "--instance",
            "--disk-budget-bytes",
            "METER_AGENT_LOG_LEVEL",
            f"{path} retry_seconds_max",
            f"{path} serfer",
        ]
    )
    assert "no such setting" in caught.value.message


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--config") as caught:
        load_settings(config_file=tmp_path / "missing.toml")
    assert caught.value.reason == "CONFIG_NOT_READABLE"
    broken = tmp_path / "broken.toml"
    broken.write_text("server = nonsense")
    with pytest.raises(ValidationError, match="line 1") as caught:
        load_settings(config_file=broken)
    assert caught.value.reason == "CONFIG_MALFORMED"


def test_an_empty_variable_is_as_good_as_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATA_DIR", "TOKEN_FILE", "DISK_BUDGET_BYTES", "SERVER"):
        monkeypatch.setenv(f"METER_AGENT_{name}", "")
    settings = load_settings()
    assert (settings.data_dir, settings.token_file) == (None, None)
    file = tmp_path / "agent.toml"
    file.write_text('data_dir = "/from-file"\n')
    assert load_settings(config_file=file).data_dir == Path("/from-file")


def test_servers_come_as_a_list_or_with_commas(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('server = ["a:4280", "b:4280"]\n')
    assert load_settings(config_file=file).servers == ("a:4280", "b:4280")
    assert load_settings(flags={"server": "a:1, b:2"}).servers == ("a:1", "b:2")
    assert load_settings().servers == ()


def test_tls_that_contradicts_itself_is_refused_with_the_flags(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--tls-cert and --tls-key belong together"):
        _ = load_settings(flags={"tls_cert": tmp_path / "a"}).tls_settings
    with pytest.raises(ValidationError, match="--tls off speaks no TLS"):
        _ = load_settings(flags={"tls": "off", "server_ca": tmp_path / "a"}).tls_settings
    with pytest.raises(ValidationError, match="--tls: "):
        load_settings(flags={"tls": "maybe"})
    assert load_settings(flags={"tls": "off"}).tls_settings.mode == "off"


def test_a_join_token_is_used_only_where_no_token_is_given(tmp_path: Path) -> None:
    flags = {"data_dir": tmp_path, "join_token_file": tmp_path / "join"}
    settings = load_settings(flags=flags)
    assert settings.own_token_file == tmp_path / "agent.token"
    assert settings.joining_tokens.joining is not None
    assert settings.tokens.joining is None
    given = load_settings(flags={**flags, "token_file": tmp_path / "token"})
    assert given.joining_tokens.joining is None
    assert load_settings(flags={"data_dir": tmp_path}).joining_tokens.joining is None

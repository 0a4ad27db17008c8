"""How the server is put together: data directory, lock, clock, key."""

import socket
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from billing_server.bootstrap import (
    counted_bytes,
    ensure_admin_key,
    listening_socket,
    make_data_dir,
    opened_server,
    settle_clock,
    simulate,
    warn_of_plain_text,
)
from billing_server.config import ServerSettings, load_settings
from billing_server.services.api_keys import authenticate_api_key
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, SystemClock, parse_instant
from metering.errors import InvalidStateError, MeteringError, UnavailableError, ValidationError
from tests.billing_server.world import make_context

MARCH = parse_instant("2026-03-01T00:00:00Z")
APRIL = parse_instant("2026-04-01T00:00:00Z")


def _settings(data_dir: Path, **more: object) -> ServerSettings:
    return load_settings(overrides={"data_dir": data_dir, **more})


def test_a_first_start_makes_directory_schema_and_a_private_key(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with opened_server(_settings(data_dir)) as context:
        key_file = data_dir / "admin.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        key = key_file.read_text().strip()
        assert authenticate_api_key(context, key=key).name.startswith("admin-")
    with opened_server(_settings(data_dir)) as again:
        assert authenticate_api_key(again, key=key)
        assert key_file.read_text().strip() == key


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with (
        opened_server(_settings(tmp_path)),
        pytest.raises(InvalidStateError, match="--data-dir") as refused,
        opened_server(_settings(tmp_path)),
    ):
        pass
    assert refused.value.reason == "SERVER_RUNNING"


def test_a_test_database_goes_on_from_where_its_clock_stands(store: SqlStore) -> None:
    """R12: and a test database stays one, as a real one does."""
    assert settle_clock(store, test_clock=MARCH).now() == MARCH
    with store.write() as unit:
        unit.clock.set_test_clock(APRIL)
    clock = settle_clock(store, test_clock=MARCH)
    assert isinstance(clock, ManualClock)
    assert clock.now() == APRIL
    with pytest.raises(InvalidStateError, match="--test-clock"):
        settle_clock(store, test_clock=None)


def test_a_database_on_real_time_refuses_a_test_clock(store: SqlStore) -> None:
    assert isinstance(settle_clock(store, test_clock=None), SystemClock)
    with pytest.raises(InvalidStateError, match="--data-dir") as refused:
        settle_clock(store, test_clock=MARCH)
    assert refused.value.reason == "CLOCK_KIND_MISMATCH"
    assert isinstance(settle_clock(store, test_clock=None), SystemClock)


def test_replicas_on_one_database_have_a_key_each(store: SqlStore, tmp_path: Path) -> None:
    context = make_context(store)
    for name in ("a.key", "b.key"):
        ensure_admin_key(context, path=tmp_path / name)
    keys = [(tmp_path / name).read_text().strip() for name in ("a.key", "b.key")]
    names = {authenticate_api_key(context, key=key).name for key in keys}
    assert len(names) == 2


@pytest.mark.postgresql
def test_several_servers_share_one_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    first = _settings(tmp_path / "a", database_url=postgresql_url)
    second = _settings(tmp_path / "b", database_url=postgresql_url)
    with opened_server(first) as one, opened_server(second) as other:
        key = second.admin_key_path.read_text().strip()
        assert authenticate_api_key(one, key=key) == authenticate_api_key(other, key=key)


def test_two_data_directories_do_not_share_one_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    with (
        opened_server(_settings(tmp_path / "a", database_url=url)),
        pytest.raises(InvalidStateError, match=r"shared\.db\.lock"),
        opened_server(_settings(tmp_path / "b", database_url=url)),
    ):
        pass


def test_a_port_in_use_names_the_flag_and_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(UnavailableError, match="--http-listen") as refused,
            listening_socket(address),
        ):
            pass
    assert refused.value.reason == "PORT_IN_USE"


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValidationError, match="--data-dir") as refused:
        make_data_dir(file / "data")
    assert refused.value.reason == "DATA_DIR_UNWRITABLE"


def test_a_database_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/no/such/directory.db"
    damaged = tmp_path / "damaged.db"
    damaged.write_text("this is no database, however long it is read" * 100)
    (tmp_path / "b" / "admin.key").mkdir(parents=True)
    for settings, reason in (
        (_settings(tmp_path / "a", database_url=missing), "DATABASE_UNWRITABLE"),
        (_settings(tmp_path / "a", database_url=f"sqlite:///{damaged}"), "DATABASE_DAMAGED"),
        (_settings(tmp_path / "b"), "ADMIN_KEY_UNREADABLE"),
    ):
        with pytest.raises(MeteringError) as refused, opened_server(settings):
            pass
        assert refused.value.reason == reason


def test_a_simulation_tells_how_far_it_has_come() -> None:
    seen = []
    text = 'timeline: [{at: "2026-03-01T00:00:00Z", do: create_customer, customer: acme}]\n'
    text += 'until: "2026-04-01T00:00:00Z"\n'
    simulate(text, name="s.yaml", on_progress=lambda at, _: seen.append(at))
    assert seen == [MARCH, APRIL]


def test_counted_bytes_are_the_same_in_every_run_and_never_repeat() -> None:
    first, second = counted_bytes(), counted_bytes()
    assert [first(15), first(15)] == [second(15), second(15)]
    assert first(15) != first(15)


def test_plain_text_for_other_hosts_is_warned_of_with_the_flags(tmp_path: Path) -> None:
    def warned(**settings: object) -> list[str]:
        with capture_logs() as logs:
            warn_of_plain_text(load_settings(overrides={"data_dir": tmp_path, **settings}))
        return [line["remedy"] for line in logs]

    assert warned() == []
    (remedy,) = warned(grpc_listen="0.0.0.0:4280")
    assert "--tls-cert" in remedy
    files = {"tls_cert": tmp_path / "c", "tls_key": tmp_path / "k"}
    assert warned(grpc_listen="0.0.0.0:4280", **files) == []

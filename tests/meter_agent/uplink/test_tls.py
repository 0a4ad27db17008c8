"""When TLS is spoken, and what is said of files that cannot be used."""

from pathlib import Path

import pytest

from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.tls import TlsMode, TlsSettings, TlsSource, is_loopback
from tests.support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("mode", "server", "is_spoken"),
    [
        (TlsMode.AUTO, "127.0.0.1:4280", False),
        (TlsMode.AUTO, "127.8.0.1:4280", False),
        (TlsMode.AUTO, "[::1]:4280", False),
        (TlsMode.AUTO, "localhost:4280", False),
        (TlsMode.AUTO, "unix:/run/server.sock", False),
        (TlsMode.AUTO, "10.0.0.1:4280", True),
        (TlsMode.AUTO, "billing.internal:4280", True),
        (TlsMode.AUTO, "127.0.0.1.example.com:4280", True),
        (TlsMode.OFF, "billing.internal:4280", False),
        (TlsMode.ON, "127.0.0.1:4280", True),
        (TlsMode.ON, "unix:/run/server.sock", False),
    ],
)
def test_plain_text_leaves_the_host_only_where_the_operator_says_off(
    mode: TlsMode, server: str, is_spoken: bool
) -> None:
    assert TlsSettings(mode=mode).is_spoken_to(server) is is_spoken


def test_a_file_of_tls_means_that_it_is_wanted_on_loopback_too() -> None:
    assert TlsSettings(server_ca=Path("ca.pem")).is_spoken_to("127.0.0.1:4280")
    assert TlsSettings(cert=Path("a"), key=Path("b")).is_spoken_to("127.0.0.1:4280")


def test_an_address_without_a_host_is_not_loopback() -> None:
    assert not is_loopback(":4280")


def test_the_fingerprint_changes_with_each_file_and_is_calm_otherwise(authority: Authority) -> None:
    pair = authority.sign("agent")
    source = TlsSource(TlsSettings(server_ca=authority.ca, cert=pair.cert, key=pair.key))
    before = source.fingerprint()
    assert source.fingerprint() == before
    pair.replace_by(authority.sign("renewed"))
    assert source.fingerprint() != before
    pair.key.unlink()
    assert source.fingerprint()[2] == ()


def test_what_is_read_is_never_shown(authority: Authority) -> None:
    pair = authority.sign("agent")
    material = TlsSource(TlsSettings(cert=pair.cert, key=pair.key)).material()
    assert material.key == pair.key.read_bytes()
    assert "KEY" not in repr(material)


@pytest.mark.parametrize(
    ("ca", "cert", "key", "named"),
    [
        ("missing.pem", "good.crt", "good.key", r"--server-ca .*missing.pem cannot be read"),
        ("empty.pem", "good.crt", "good.key", r"--server-ca .*empty.pem holds no certificate"),
        ("ca.pem", "missing.crt", "good.key", r"--tls-cert .*missing.crt cannot be read"),
        ("ca.pem", "good.crt", "other.key", r"--tls-cert .*good.crt and --tls-key .* no pair"),
        ("ca.pem", "empty.pem", "good.key", r"--tls-cert .*empty.pem and --tls-key .* no pair"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_flag(
    authority: Authority, tmp_path: Path, ca: str, cert: str, key: str, named: str
) -> None:
    authority.ca.rename(tmp_path / "ca.pem")
    authority.ca.write_bytes((tmp_path / "ca.pem").read_bytes())
    for name, pair in (("good", authority.sign("agent")), ("other", authority.sign("other"))):
        pair.cert.rename(tmp_path / f"{name}.crt")
        pair.key.rename(tmp_path / f"{name}.key")
    (tmp_path / "empty.pem").write_text("")
    source = TlsSource(
        TlsSettings(server_ca=tmp_path / ca, cert=tmp_path / cert, key=tmp_path / key)
    )
    with pytest.raises(UplinkError, match=named) as caught:
        source.material()
    # A person must act: it is tried seldom, and at once when the file changes.
    assert caught.value.is_refused

"""Certificates for tests, made by the openssl of the host; nothing secret is kept in the tree."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOPBACK_NAMES = "IP:127.0.0.1,DNS:localhost"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path

    def replace_by(self, other: Self) -> None:
        """Puts another pair in this one's place, as a renewal does: by renaming."""
        for mine, its in ((self.cert, other.cert), (self.key, other.key)):
            fresh = mine.with_suffix(".new")
            fresh.write_bytes(its.read_bytes())
            fresh.rename(mine)


class Authority:
    """A private authority that signs certificates."""

    def __init__(self, directory: Path, *, name: str = "authority") -> None:
        self._directory = directory
        self._name = name
        self.ca = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        _openssl(
            *("req", "-x509", *_KEY, "-subj", f"/CN={name}", "-days", "2"),
            *("-keyout", self._key, "-out", self.ca),
        )

    def sign(self, name: str, *, names: str = LOOPBACK_NAMES, days: int = 2) -> Pair:
        """Signs a certificate; negative days: one that has expired."""
        stem = self._directory / f"{self._name}-{name}"
        pair = Pair(cert=stem.with_suffix(".crt"), key=stem.with_suffix(".key"))
        request, names_file = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        names_file.write_text(f"subjectAltName={names}\n")
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key),
            *("-CAcreateserial", "-days", str(days), "-extfile", names_file, "-out", pair.cert),
        )
        return pair


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *(os.fspath(word) for word in words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

#!/usr/bin/env bash
# Makes the virtual environment with the locked dependencies and the project itself in it.
# Usage: setup.sh VENV   (PYTHON names the interpreter, default python3)
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "setup: '$python' is missing or older than Python 3.11; install Python 3.11 or newer, or run: make setup PYTHON=/path/to/python" >&2
  exit 1
fi

has_pip() { "$venv/bin/python" -m pip --version >/dev/null 2>&1; }
make_venv() { "$python" -m venv --clear "$venv" 2>/dev/null && has_pip; }

if ! has_pip && ! make_venv; then
  # Debian and Ubuntu ship Python without venv's installer; it is one small package away.
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  as_root=""
  [ "$(id -u)" -eq 0 ] || as_root="sudo"
  echo "setup: $python cannot make virtual environments; installing the package python${version}-venv"
  if ! { command -v apt-get >/dev/null && $as_root apt-get -qq update && $as_root apt-get -qq install -y "python${version}-venv" >/dev/null; } || ! make_venv; then
    echo "setup: no virtual environment could be made; install your system's package for 'python3 -m venv' and run make again" >&2
    exit 1
  fi
fi

echo "setup: installing the locked dependencies into $venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
"$venv/bin/python" -m pip install -qq --require-hashes -r requirements/dev.lock
"$venv/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable .

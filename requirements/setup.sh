#!/usr/bin/env bash
# Puts everything csched needs into .venv, the command as .venv/bin/csched. Quick where nothing has changed.
# On a bare Debian 12 it first installs what Python needs to make a virtual environment (root or sudo).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_PROGRESS=1
python=.venv/bin/python
stamp=.venv/setup.sha256
pins=(requirements/runtime.txt requirements/test.txt requirements/lint.txt requirements/build.txt)

state=$(cat "${pins[@]}" requirements/uv.txt requirements/setup.sh pyproject.toml | sha256sum)
state+=$(pwd)
if [ -x .venv/bin/csched ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    exit 0
fi

python3=$(command -v python3 || true)
if [ -z "$python3" ] || ! "$python3" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: csched needs python3, version 3.11 or later, on the PATH" >&2
    exit 1
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf .venv
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$python3" .venv
    else
        if ! "$python3" -c 'import ensurepip, venv' 2>/dev/null; then
            bash requirements/debian.sh python3-venv ca-certificates
        fi
        "$python3" -m venv .venv
    fi
fi
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=.venv/bin/uv
    if ! "$uv" --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --require-hashes --requirement requirements/uv.txt
    fi
fi

echo "installing the pinned requirements into .venv"
options=()
for file in "${pins[@]}"; do
    options+=(--requirement "$file")
done
"$uv" pip install --quiet --python "$python" --require-hashes --only-binary :all: "${options[@]}"
"$uv" pip install --quiet --python "$python" --no-deps --no-build-isolation --editable .
printf '%s' "$state" >"$stamp"

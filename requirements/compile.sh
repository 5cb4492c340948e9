#!/usr/bin/env bash
# Pins what pyproject.toml asks for, by version and hash, for every Python from 3.11 on.
# The files record no address: where the packages come from is the business of the machine that installs them.
# With UPGRADE=1 every pin moves to the newest version; otherwise a pin stays while it still fits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export UV_PYTHON_DOWNLOADS=never UV_CUSTOM_COMPILE_COMMAND="make requirements"
compile() { # FILE, then what it pins
    local file=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
        --no-annotate --no-emit-index-url --no-emit-find-links ${UPGRADE:+--upgrade} \
        --output-file "requirements/$file" "$@"
}

compile runtime.txt --all-extras pyproject.toml
compile test.txt --group test --constraint requirements/runtime.txt
compile lint.txt --group lint --constraint requirements/runtime.txt --constraint requirements/test.txt
compile build.txt --group build --constraint requirements/runtime.txt --constraint requirements/test.txt \
    --constraint requirements/lint.txt
compile uv.txt - <<<uv

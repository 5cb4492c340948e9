#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing: requirements/debian.sh PACKAGE...
# Needs root or sudo only if something is missing.
set -euo pipefail

missing=()
for package in "$@"; do
    if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing+=("$package")
    fi
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "error: these packages are missing, and this machine has no apt-get: ${missing[*]}" >&2
    exit 1
fi
as_root=(env)
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "error: these packages are missing: ${missing[*]}" >&2
        echo "hint: there is neither root nor sudo here; let an administrator run: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo env)
fi

echo "installing from Debian: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    if ! "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        "$@" </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        echo "error: apt-get $1 failed; its own words are above" >&2
        exit 1
    fi
}
apt update
apt install --yes --no-install-recommends "${missing[@]}"

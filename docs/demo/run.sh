#!/usr/bin/env bash
# The main job once, on this machine alone: from four scripts to a carbon report. Takes about a minute and leaves
# nothing behind. Everything is csched's embedded default: SQLite, the local dispatcher (it runs job scripts as
# processes here), the shipped demo fleet, policies and carbon climatology. The fleet's operators are fictional.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH="$PWD/../../.venv/bin:$PATH"

unset "${!CSCHED_@}" # the reader's own settings stay out of it
desk=$(mktemp -d)
cp -r jobs "$desk"
cd "$desk"
export CSCHED_HOME=$desk/home CSCHED_PLAN_EVERY=2s CSCHED_BUDGET=5s
port=$(python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
server=
leave() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    cd /
    rm -rf "$desk"
}
trap leave EXIT

await_server() {
    local address="http://127.0.0.1:$port/healthz"
    for _ in $(seq 60); do
        if python -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=1)' "$address" 2>/dev/null; then
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.5
    done
    cat serve.log >&2
    echo "error: the daemon did not start; its own words are above" >&2
    exit 1
}

bold='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi
heading() { printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"; }
show() { # prints a command as a user would type it, then runs it
    echo "\$ $*"
    "$@"
}

heading "1. Four sites in four countries. The same GPU-hour costs different carbon at each, and not every job may go everywhere."
show csched site list

heading "2. Where could a job with health data run? Nothing is handed in yet; the rules speak for each site."
show csched submit --test-only jobs/oncology.sh

heading "3. The daemon starts. It plans all waiting jobs together and starts those whose time has come, as processes here."
echo "\$ csched serve --port $port &"
csched serve --port "$port" >serve.log 2>&1 &
server=$!
await_server

heading "4. Four jobs are handed in: health data, a long training that must end within a day, an urgent one, and one that no site may run."
for job in oncology training release registry; do
    show csched submit "jobs/$job.sh"
done
show csched wait --timeout 90s 1 3

heading "5. The two short jobs have run. The training waits for its planned start; the last one waits because no site may run it."
show csched queue
show csched history

heading "6. Why does job 4 not run? One line for each site: the rule, what it saw and what it needed."
show csched explain 4

heading "7. What did job 1 print?"
show csched logs 1

heading "8. What did it all cost, and what was saved against running at once at each job's home site?"
show csched report

printf '\nThat was the way of a job. Read on in README.md, or try: csched plan --help\n'

#!/usr/bin/env bash
# Runs a command beside a throw-away PostgreSQL: tests/with-postgres.sh COMMAND ARGUMENTS…
#
# The command finds the server's URL in TANDEM_TEST_POSTGRES. The cluster lies in a temporary folder, listens on a free
# port of 127.0.0.1 and on a socket in that folder, and is stopped and removed however the command ends.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 COMMAND ARGUMENTS…" >&2; exit 2; }

# Debian keeps the server's programs outside of PATH, one folder per version; the newest wins.
initdb=$(command -v initdb || find /usr/lib/postgresql/*/bin -maxdepth 1 -name initdb 2>/dev/null | sort -V | tail -n 1)
[ -n "$initdb" ] || { echo "$0: PostgreSQL is missing: run make setup-test, or apt-get install postgresql" >&2; exit 1; }
bin=$(dirname "$(readlink -f "$initdb")")

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then as=(runuser -u postgres --); fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/tandem-postgres.XXXXXX")
running=""
cleanup() {
    # What a caller interrupts twice must still not be left behind.
    trap '' INT TERM HUP
    if [ -n "$running" ]; then (cd / && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null) || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(umask 077 && printf '%s\n' "$password" >"$dir/password")
if [ ${#as[@]} -gt 0 ]; then chown -R postgres "$dir"; fi

# The locale sorts unlike SQLite does, so that no test passes by the order of bytes alone.
locale=(--locale-provider=icu --icu-locale=en-US --locale=C.UTF-8)
"$bin/initdb" --help | grep -q -e --icu-locale || locale=(--locale=C.UTF-8)
# pg_ctl and initdb look into the working directory, which the other user may not enter.
(cd / && "${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" \
    --encoding=UTF8 "${locale[@]}" --no-sync >"$dir/log" 2>&1) || { cat "$dir/log" >&2; exit 1; }
# Nothing of it outlives the command, so nothing need reach the disk. Every test brings a pool or two of its own.
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 500
shared_buffers = 64MB
log_min_messages = fatal
CONF

# Below the ports that Linux gives out by itself; somebody may be there all the same.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    port=$(shuf -i 15000-31999 -n 1)
    if (cd / && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -o "-p $port" -l "$dir/data/server.log" -w start >/dev/null 2>&1); then
        running=yes
        break
    fi
done
[ -n "$running" ] || { echo "$0: PostgreSQL does not start:" >&2; tail -n 20 "$dir/data/server.log" >&2; exit 1; }

export TANDEM_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
"$@"

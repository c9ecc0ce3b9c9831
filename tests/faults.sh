#!/usr/bin/env bash
# What calls notice when something behind the bridge breaks: a worker that stops, a full disk, a store that hangs, a dead
# recogniser. Each fault meets running calls half-way, which are measured before and after; then it is mended, and calls
# that follow must be recorded without anybody restarting the gateway.
# Usage: tests/faults.sh [CALLS] [SECONDS] [FAULT …]. Needs root for a small file system. Non-zero when calls noticed.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-50} seconds=${2:-20}
shift $(($# < 2 ? $# : 2))
faults=("$@")
[ ${#faults[@]} -gt 0 ] || faults=(worker-stops worker-dies disk-full store-hangs recogniser-hangs recogniser-dies)
cargo build --release --locked --package tandem --package tandem-loadtest
top=$(mktemp -d)
started=()
# Ends what was started, by id, and waits: a memory limit or a port must be free for the next fault.
stop() {
  for pid in "$@"; do kill -CONT "$pid" 2>/dev/null || true; kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "$@"; do wait "$pid" 2>/dev/null || true; done
}
cleanup() {
  stop ${started[@]+"${started[@]}"}
  started=()
  if mountpoint -q "$top/small"; then umount "$top/small"; fi
}
trap 'cleanup; rm -rf "$top"' EXIT

# A server that takes every connection and everything that is sent, and never says a word.
mute() {
  python3 - "$1" <<'PY' &
import asyncio, sys
async def take(reader, writer):
    while await reader.read(65536):
        pass
async def main():
    await (await asyncio.start_server(take, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
PY
  started+=($!)
}

until_ready() {
  for _ in $(seq 150); do
    curl -fsS "http://127.0.0.1:$1/readyz" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "the gateway is not ready" >&2
  return 1
}

load() {
  target/release/tandem-loadtest run --gateway http://127.0.0.1:18480 --admin-key-file "$dir/data/admin.key" \
    --listen 127.0.0.1:18490 --gateway-pid "$gateway" --ramp 10 "$@"
}

metric() { curl -fsS http://127.0.0.1:18464/metrics | awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }'; }

states() {
  curl -fsS -H "Authorization: Bearer $(cat "$dir/data/admin.key")" "http://127.0.0.1:18480/v1/calls?limit=$1" |
    jq -c '[.items[].recording.state] | group_by(.) | map({(.[0]): length}) | add'
}

# $1: the fault. Returns what the load run says.
try() {
  dir=$top/$1 extra="" before="" disturb="" mend=""
  mkdir -p "$dir/data"
  case $1 in
    worker-*)
      mkdir -p "$dir/worker"
      head -c 24 /dev/urandom | base64 > "$dir/token"
      printf '[data]\ndir = "%s"\n[worker]\nlisten = "127.0.0.1:18433"\ntoken_file = "%s"\n[asr]\nengine = "off"\n' "$dir/worker" "$dir/token" > "$dir/worker.toml"
      run_worker() { target/release/tandem worker --config "$dir/worker.toml" >> "$dir/worker.log" 2>&1 & worker=$!; started+=("$worker"); }
      # Both sign with one key.
      target/release/tandem key generate > "$dir/site.key"
      printf '[recording]\nsigning_key_file = "%s"\n' "$dir/site.key" >> "$dir/worker.toml"
      run_worker
      for _ in $(seq 100); do grep -qE '[0-9a-f]{64}' "$dir/worker.log" && break; sleep 0.1; done
      pin=$(grep -oE '[0-9a-f]{64}' "$dir/worker.log" | head -1)
      extra=$(printf '[fork]\nworkers = ["127.0.0.1:18433"]\npins = ["%s"]\ntoken_file = "%s"\n[recording]\nsigning_key_file = "%s"\n' "$pin" "$dir/token" "$dir/site.key")
      if [ "$1" = worker-stops ]; then disturb="kill -STOP $worker" mend="kill -CONT $worker"; else disturb="kill -KILL $worker" mend=run_worker; fi
      ;;
    disk-full)
      mkdir -p "$top/small"
      mountpoint -q "$top/small" || mount -t tmpfs -o size=1g tmpfs "$top/small"
      rm -rf "$dir/data" && mkdir -p "$top/small/data" && ln -s "$top/small/data" "$dir/data"
      # Less than recordings leave to the database (recording.reserve_mb).
      disturb="fallocate -l \$((\$(df --output=avail -B1 $top/small | tail -1) - 100000000)) $top/small/ballast"
      mend="rm $top/small/ballast"
      ;;
    store-hangs)
      mute 18491
      extra=$(printf '[recording]\nstore = "s3://tandem"\n[archive]\nendpoint = "http://127.0.0.1:18491"\nallow_http = true\naccess_key_id = "k"\n')
      # Recordings that are to be sent while others are made.
      before="load --calls 10 --seconds 3" disturb="kill -TERM ${started[-1]}" mend=true
      ;;
    recogniser-*)
      mute 18492
      extra=$(printf '[asr]\nengine = "wyoming"\nurl = "tcp://127.0.0.1:18492"\n')
      if [ "$1" = recogniser-hangs ]; then disturb="kill -STOP ${started[-1]}" mend="kill -CONT ${started[-1]}"; else disturb="kill -TERM ${started[-1]}" mend="mute 18492"; fi
      ;;
    *) echo "unknown fault $1" >&2; return 1 ;;
  esac
  case $extra in *'[asr]'*) ;; *) extra+=$'\n[asr]\nengine = "off"\n' ;; esac
  cat > "$dir/tandem.toml" <<TOML
[http]
listen = "127.0.0.1:18480"
metrics_listen = "127.0.0.1:18464"
[media]
listen = "127.0.0.1:44000"
whatsapp_ports = "44100-45999"
[data]
dir = "$dir/data"
[whatsapp]
graph_url = "http://127.0.0.1:18490"
$extra
TOML
  TANDEM_ARCHIVE__SECRET_ACCESS_KEY=s TANDEM_WHATSAPP__APP_SECRET=sandbox-app-secret TANDEM_WHATSAPP__VERIFY_TOKEN=sandbox-verify-token RUST_LOG=warn \
    target/release/tandem serve --config "$dir/tandem.toml" >> "$dir/gateway.log" 2>&1 &
  gateway=$!
  started+=("$gateway")
  until_ready 18464
  [ -z "$before" ] || $before > "$dir/before.txt"
  status=0
  load --calls "$calls" --seconds "$seconds" --disturb "$disturb" --json "$dir/report.json" > "$dir/load.txt" || status=$?
  eval "$mend"
  sleep 3
  load --calls 5 --seconds 3 > "$dir/after.txt" || status=$?
  sleep 3
  recorded=$(states 5)
  jq -r --arg fault "$1" --arg recorded "$recorded" '
    def ms: . * 10 | round / 10 | tostring;
    def lost: "\(.to_agent.lost + .to_customer.lost) of \(.to_agent.packets + .to_agent.lost + .to_customer.packets + .to_customer.lost)";
    "| \($fault) | \(.calls_up) / \(.calls_lost) | \(lost) → \(.disturbed | lost) | \(.to_agent.delay.p99_ms | ms) → \(.disturbed.to_agent.delay.p99_ms | ms) ms | \(.to_customer.delay.p99_ms | ms) → \(.disturbed.to_customer.delay.p99_ms | ms) ms | \($recorded) | \(.verdict.result) |"' "$dir/report.json"
  [ "$status" = 0 ] || { tail -1 "$dir/load.txt"; tail -1 "$dir/after.txt"; }
  echo "    tap dropped $(metric tandem_tap_dropped_total), recording errors $(metric tandem_recording_write_errors_total); the log: $(sed 's/.*\(WARN\|ERROR\) *//' "$dir/gateway.log" | cut -c1-150 | sort | uniq -c | sort -rn | head -${LOG_LINES:-2} | tr -s ' ' | paste -sd';')"
  cleanup
  return $status
}

echo "| fault | calls up / lost | packets lost before → with the fault | p99 to the agent | p99 to the customer | calls after it | |"
echo "|---|---|---|---|---|---|---|"
failed=0
for fault in "${faults[@]}"; do
  try "$fault" || failed=1
done
exit $failed

#!/usr/bin/env bash
# 100 bridged, recorded calls for a minute: the gateway as operators run it, a fake WhatsApp and fake agents beside it.
# Usage: tests/load.sh [CALLS] [SECONDS] [ENGINE]: what listens to the calls, "off" or "builtin" (make model). Prints a
# table; exits non-zero when a goal is missed or a copy for the recorder was lost.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-100} seconds=${2:-60} engine=${3:-off}
cargo build --release --locked --package tandem --package tandem-loadtest
dir=$(mktemp -d)
gateway=""
cleanup() {
  if [ -n "$gateway" ]; then kill -TERM "$gateway" 2>/dev/null || true; wait "$gateway" 2>/dev/null || true; fi
  rm -rf "$dir"
}
trap cleanup EXIT

cat > "$dir/tandem.toml" <<TOML
[http]
listen = "127.0.0.1:18480"
metrics_listen = "127.0.0.1:18464"
[media]
listen = "127.0.0.1:44000"
whatsapp_ports = "44100-45999"
[data]
dir = "$dir/data"
# What the media costs; a recogniser takes what is left of the cores.
[asr]
engine = "$engine"
[whatsapp]
graph_url = "http://127.0.0.1:18490"
TOML
TANDEM_WHATSAPP__APP_SECRET=sandbox-app-secret TANDEM_WHATSAPP__VERIFY_TOKEN=sandbox-verify-token RUST_LOG=warn \
  target/release/tandem serve --config "$dir/tandem.toml" &
gateway=$!
for _ in $(seq 100); do
  curl -fsS http://127.0.0.1:18464/readyz >/dev/null 2>&1 && break
  sleep 0.1
done
status=0
target/release/tandem-loadtest run --gateway http://127.0.0.1:18480 --admin-key-file "$dir/data/admin.key" \
  --listen 127.0.0.1:18490 --gateway-pid "$gateway" --calls "$calls" --seconds "$seconds" --json "$dir/report.json" || status=$?
# What is there when the last calls have ended.
metric() { curl -fsS http://127.0.0.1:18464/metrics | awk -v name="$1" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }'; }
for _ in $(seq 50); do
  recordings=$(find "$dir/data/recordings" -name '*.manifest.json' | wc -l)
  [ "$recordings" = "$calls" ] && break
  sleep 0.2
done
dropped=$(metric tandem_tap_dropped_total)
echo "recordings           $recordings of $calls signed; $dropped copies dropped before the recorder"
[ "$recordings" = "$calls" ] && [ "$dropped" = 0 ] || status=2
exit "$status"

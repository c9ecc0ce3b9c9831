#!/usr/bin/env bash
# 100 bridged, recorded calls for a minute: the gateway as operators run it, a fake WhatsApp and fake agents beside it.
# Usage: tests/load.sh [CALLS] [SECONDS]. Prints a table; exits non-zero when a goal is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
calls=${1:-100} seconds=${2:-60}
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
# What the media costs; a recogniser would take what is left of the cores.
[asr]
engine = "off"
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
recordings=$(find "$dir/data/recordings" -name '*.wav' | wc -l)
echo "recordings kept: $recordings"
exit "$status"

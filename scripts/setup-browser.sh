#!/usr/bin/env bash
# Installs Debian's Chromium and the fonts of what reports may hold; a second run takes no time.
# Called by `make setup-browser`. Playwright, which steers it, is of the locked environment.
set -euo pipefail

if command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1; then
    exit 0
fi
packages=(chromium fonts-dejavu-core fonts-noto-color-emoji)
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "set-up: installing Chromium with apt-get"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
else
    echo "set-up: Chromium is missing, in which the reports are tested. Install it with:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y ${packages[*]}" >&2
    exit 1
fi

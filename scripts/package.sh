#!/usr/bin/env bash
# Builds the wheel, and a copy of it named .zip, because spark-submit's --py-files accepts no wheel. The
# copy has the package's metadata too. Usage: scripts/package.sh DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-dist}
for uv in "$(command -v uv || true)" "$HOME/.local/bin/uv" .tools/uv/bin/uv; do
    [ -x "$uv" ] && break
done
# The times in the archive are those of the last commit: the same files give the same bytes.
epoch=$(git log -1 --format=%ct 2>/dev/null || true)
[ -z "$epoch" ] || export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$epoch}
"$uv" build --wheel --quiet --out-dir "$out"
for wheel in "$out"/headrace-*.whl; do
    cp "$wheel" "${wheel%.whl}.zip"
done

#!/usr/bin/env bash
# Packs the locked environment with Headrace for spark-submit --archives (HEADRACE_ARCHIVE).
#
#   deploy/spark/pack.sh FILE.tar.gz [options of venv-pack]
#
# HEADRACE_GROUPS="" packs what prepare needs and no more: a third of the size. By default it is
# "all": training on executors and scoring need it.
#
# The archive links to the interpreter that it was packed with: the hosts need the same version of
# /usr/bin/python3.11, or --python-prefix gives the path of theirs.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:?the file to write}")
shift
for uv in "$(command -v uv || true)" "$HOME/.local/bin/uv" .tools/uv/bin/uv; do
    [ -x "$uv" ] && break
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
groups=${HEADRACE_GROUPS-all}
# Not editable: the hosts don't have this checkout.
# shellcheck disable=SC2086  # one word per group
UV_PROJECT_ENVIRONMENT=$folder/environment "$uv" sync --locked --no-default-groups \
    --no-editable --quiet ${groups:+$(printf -- '--group %s ' $groups)}
"$uv" tool run venv-pack -p "$folder/environment" -o "$out" --force "$@"

#!/usr/bin/env bash
# Compares the stream with readers of other projects, which are installed into an environment of their
# own, some 7 GB of it PyTorch:
#     scripts/bench-peers.sh [options of benchmarks.stream]
set -euo pipefail
cd "$(dirname "$0")/.."

for uv in "$(command -v uv || true)" "$HOME/.local/bin/uv" .tools/uv/bin/uv; do
    [ -x "$uv" ] && break
done
env=.tools/peers
[ -x "$env/bin/python" ] || "$uv" venv --quiet --python .venv/bin/python "$env"
"$uv" pip install --quiet --python "$env/bin/python" -r benchmarks/peers/requirements.txt
exec .venv/bin/python -m benchmarks.stream --kind table --reader pyarrow --reader numpy --peers "$env/bin/python" "$@"

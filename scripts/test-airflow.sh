#!/usr/bin/env bash
# Installs Airflow's own locked environment (deploy/airflow/.venv) and runs the tests that need it:
#     scripts/test-airflow.sh [pytest options]
#     scripts/test-airflow.sh --environment       # the environment alone
# The tests need the project's environment as well; `make setup` installs it.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || ls "${HOME:-}/.local/bin/uv" .tools/uv/bin/uv 2>/dev/null | head -n 1 || true)
if [ -z "$uv" ]; then
    echo "uv is missing; \`make setup\` installs it" >&2
    exit 1
fi
# With compiled byte-code, because every task starts a process that imports Airflow.
env -u VIRTUAL_ENV UV_COMPILE_BYTECODE=1 "$uv" sync --project deploy/airflow --locked --extra s3 --quiet
if [ "${1:-}" = --environment ]; then
    exit 0
fi
exec .venv/bin/pytest tests/deploy/test_airflow_*.py "$@"

#!/usr/bin/env bash
# Tests the Spark stages through Spark Connect: the tests of prepare, score and source have a session of
# a server in place of one of their own; those that ask the JVM (marker `classic`) are left out:
#     scripts/test-connect.sh [pytest options]
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- tests/prepare tests/score tests/source tests/test_spark_catalog.py
exec .venv/bin/python -m tests.e2e.with_connect_server \
    .venv/bin/python -m pytest -m "spark and not long and not classic" "$@"

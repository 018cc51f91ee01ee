#!/usr/bin/env bash
# Tests the Spark stages and the Spark launcher on an older pyspark, in an environment of its own that
# shares everything else with the project's:
#     scripts/test-spark.sh 3.5|4.0 [pytest options]
set -euo pipefail
cd "$(dirname "$0")/.."

release=${1:?which pyspark: 3.5 or 4.0}
shift
case $release in
    3.5) py4j=0.10.9.7 ;;
    4.0) py4j=0.10.9.9 ;;
    *)
        echo "no tests for pyspark $release: 3.5 or 4.0 (the locked one is tested by \`make test\`)" >&2
        exit 2
        ;;
esac
for uv in "$(command -v uv || true)" "$HOME/.local/bin/uv" .tools/uv/bin/uv; do
    [ -x "$uv" ] && break
done
env=.tools/spark${release/./}
[ -x "$env/bin/python" ] || "$uv" venv --quiet --python .venv/bin/python "$env"
# The environment's own packages take precedence over those that a .pth file names.
"$uv" pip install --quiet --python "$env/bin/python" --no-deps "pyspark==$release.*" "py4j==$py4j" -e .
here=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
there=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$here" > "$there/shared.pth"
ln -sf "$PWD/.venv/bin/mlflow" "$env/bin/mlflow"
"$env/bin/python" - "$release" <<'CHECK'
import sys
import pyspark
print("pyspark", pyspark.__version__)
assert pyspark.__version__.startswith(sys.argv[1] + ".")
CHECK
if [ $# -gt 0 ]; then
    exec "$env/bin/python" -m pytest "$@"
fi
"$env/bin/python" -m pytest -m "not long" tests/prepare tests/score tests/source tests/e2e/test_tiny_road.py
"$env/bin/python" -m pytest tests/e2e/test_launchers.py::test_on_spark_executors \
    tests/e2e/test_standalone.py::test_the_first_day

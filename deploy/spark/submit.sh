#!/usr/bin/env bash
# Runs one stage with spark-submit.
#
#   deploy/spark/submit.sh MASTER STAGE [spark-submit options] -- RECIPE [options of the stage]
#
#   MASTER  yarn, spark://HOST:7077 or k8s://https://HOST:6443
#   STAGE   prepare, train, evaluate, score or pipeline: a file of jobs/
#
# For example, with environments installed on the hosts, and with one that is shipped:
#
#   HEADRACE_PYTHON=/opt/headrace/bin/python \
#     deploy/spark/submit.sh spark://master:7077 prepare -- conf/flights.yaml --workdir /shared/var
#   HEADRACE_ARCHIVE=hdfs:///apps/headrace-env.tar.gz HEADRACE_GPUS=1 \
#     deploy/spark/submit.sh yarn train --num-executors 4 -- conf/flights.yaml --launcher spark --ranks 4
#
# Environment:
#   HEADRACE_PACKAGE  zip of the package for the executors; dist/headrace-*.zip (`make package`)
#   HEADRACE_PYTHON   Python of the executors, with Headrace's dependencies (the package is shipped)
#   HEADRACE_ARCHIVE  instead: environment packed by deploy/spark/pack.sh, unpacked on every executor
#   HEADRACE_IMAGE    image of drivers and executors, on Kubernetes (deploy/docker)
#   HEADRACE_GPUS     GPUs per task of train and evaluate; 0
#   SPARK_SUBMIT      spark-submit of the cluster's Spark; by default that of this checkout's .venv
#
# Ends with the stage's exit code: 0 done, 1 failed, 2 bad recipe or options, 3 a gate failed. On a
# cluster's own driver (--deploy-mode cluster) spark-submit only knows 0 and 1.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)

[ $# -ge 2 ] || { sed -n '2,/^set /s/^#\( \|$\)//p' "$0" >&2; exit 2; }
master=$1 stage=$2
shift 2
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
[ $# -gt 0 ] || { echo "submit.sh: -- and the recipe are missing" >&2; exit 2; }
shift

job=$here/jobs/$stage.py
[ -f "$job" ] || { echo "submit.sh: there is no stage $stage (jobs/$stage.py)" >&2; exit 2; }

package=${HEADRACE_PACKAGE:-}
if [ -z "$package" ] && [ -z "${HEADRACE_IMAGE:-}" ]; then
    package=$(find "$here/dist" -name 'headrace-*.zip' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$package" ] || { echo "submit.sh: no dist/headrace-*.zip; run make package" >&2; exit 2; }
fi

conf=()
set_conf() { conf+=(--conf "$1"); }

[ -z "$package" ] || conf+=(--py-files "$package")
if [ -n "${HEADRACE_ARCHIVE:-}" ]; then
    conf+=(--archives "$HEADRACE_ARCHIVE#environment")
    set_conf spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python
    set_conf spark.pyspark.python=./environment/bin/python
elif [ -n "${HEADRACE_PYTHON:-}" ]; then
    set_conf "spark.pyspark.python=$HEADRACE_PYTHON"
fi
[ -x "$here/.venv/bin/python" ] && set_conf "spark.pyspark.driver.python=$here/.venv/bin/python"

case $master in
    k8s://*)
        : "${HEADRACE_IMAGE:?of drivers and executors: see deploy/docker}"
        set_conf "spark.kubernetes.container.image=$HEADRACE_IMAGE"
        ;;
esac

# Ranks are tasks: one per GPU, which Spark assigns. The discovery script has to be on the hosts, or
# is shipped; `gpus.sh` prints a host's GPUs.
if [ "${HEADRACE_GPUS:-0}" -gt 0 ] && { [ "$stage" = train ] || [ "$stage" = evaluate ]; }; then
    set_conf "spark.task.resource.gpu.amount=$HEADRACE_GPUS"
    set_conf "spark.executor.resource.gpu.amount=$HEADRACE_GPUS"
    case $master in
        spark://*) ;; # workers have their own setting: spark.worker.resource.gpu.*
        *)
            conf+=(--files "$here/deploy/spark/gpus.sh")
            set_conf spark.executor.resource.gpu.discoveryScript=./gpus.sh
            ;;
    esac
    case $master in k8s://*) set_conf spark.executor.resource.gpu.vendor=nvidia.com ;; esac
fi

exec "${SPARK_SUBMIT:-$here/.venv/bin/spark-submit}" --master "$master" --name "headrace $stage" \
    "${conf[@]}" "${options[@]}" "$job" "$@"

"""Check Java, Spark, TensorFlow, Horovod, GPUs and what reads files by starting them for real.

All but Java and Spark run in a process of their own: a library that crashes at import takes down
that process and not this one.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec

from headrace.commands.doctor.finding import Finding, report_failure, report_ok, report_warning
from headrace.distributed import installed
from headrace.errors import HeadraceError, get_first_line
from headrace.processes import build_python_command
from headrace.recipe import Recipe
from headrace.recipe.sections import Spark, Stream
from headrace.recipe.spark_settings import PINNED, find_unpinned
from headrace.spark_engine.find_engine import find_engine

_TIMEOUT = 180  # seconds
_SETUP = "run make setup, or reinstall headrace[train] and run headrace install-horovod"
_TENSORFLOW = """
import json, headrace
import tensorflow as tf
from headrace.extras import find_horovod_obstacle
facts = {
    "tensorflow": tf.__version__,
    "cuda": tf.test.is_built_with_cuda(),
    "gpus": [d.name for d in tf.config.list_physical_devices("GPU")],
}
if not find_horovod_obstacle():
    import horovod, horovod.tensorflow as hvd
    hvd.init()
    facts.update({
        "horovod": horovod.__version__,
        "total": float(hvd.allreduce(tf.constant([2.0]), op=hvd.Sum)[0]),
        "gloo": hvd.gloo_built(), "nccl": bool(hvd.nccl_built()), "mpi": hvd.mpi_built(),
    })
print(json.dumps(facts))
"""
_ENGINE = """
import json, sys
from importlib.metadata import version
from headrace.errors import StreamError
from headrace.stream.block_reader import load_reader
try:
    load_reader(sys.argv[1])
except StreamError as error:
    sys.exit(str(error))
print(json.dumps({name: version(name) for name in dict.fromkeys((sys.argv[1], "pyarrow"))}))
"""
# What the process of TensorFlow and Horovod printed; `check_gpus` compares it with the driver.
_facts: dict[str, object] = {}


def check_java(recipe: Recipe | None = None) -> list[Finding]:
    """Check that there is a Java that Spark can run on, unless Spark runs elsewhere."""
    from headrace import spark_session

    try:
        if not spark_session.starts_java(recipe.spark if recipe else Spark()):
            return [report_ok("java", "not needed here: Spark runs elsewhere")]
        spark_session.check_java()
    except HeadraceError as error:
        return [report_failure("java", *_split_message(str(error)))]
    home = os.environ.get("JAVA_HOME")
    path = f"{home}/bin/java" if home else shutil.which("java")
    done = subprocess.run([str(path), "-version"], capture_output=True, text=True, check=False)
    return [report_ok("java", f"{(done.stderr + done.stdout).splitlines()[0]}, {path}")]


def check_spark(recipe: Recipe | None, workdir: str) -> list[Finding]:
    """Check that a session starts and counts, with the recipe's settings where there is one."""
    import pyspark

    from headrace.spark_session import (
        read_cluster_settings,
        spark_session,
        stop_own_session_afterwards,
    )

    findings = []
    home = os.environ.get("SPARK_HOME")
    if home and not os.path.samefile(home, os.path.dirname(pyspark.__file__)):  # noqa: PTH120, PTH121
        release = _read_spark_release(home)
        if release and release.split(".")[:2] != pyspark.__version__.split(".")[:2]:
            findings.append(
                report_warning(
                    "spark home",
                    f"SPARK_HOME={home} is Spark {release}, the Python package is "
                    f"{pyspark.__version__}",
                    "unset SPARK_HOME, or make them the same release",
                )
            )
    settings = recipe.spark if recipe else Spark()
    start = time.monotonic()
    try:
        with stop_own_session_afterwards():
            session = spark_session(
                settings, app_name="headrace doctor", scratch=f"{workdir}/spark"
            )
            rows = session.range(1000).selectExpr("sum(id)").first()
            engine = find_engine(session)
            master = engine.get_master()
            encoding = engine.get_java_property("sun.jnu.encoding")
    except HeadraceError as error:
        return [*findings, report_failure("spark", *_split_message(str(error)))]
    except Exception as error:
        return [
            *findings,
            report_failure(
                "spark",
                get_first_line(error) or type(error).__name__,
                f"see {workdir}/spark/spark.log",
            ),
        ]
    assert rows is not None and rows[0] == 499_500
    answer = f"a session on {master} answered in {time.monotonic() - start:.1f} s"
    findings.append(report_ok("spark", f"{pyspark.__version__}, {answer}"))
    return [*findings, *_check_settings(read_cluster_settings()), *_check_encoding(encoding)]


def _check_settings(cluster: Mapping[str, str]) -> list[Finding]:
    """Tell which of a cluster's settings have no effect here, because rows depend on them."""
    unpinned = find_unpinned(cluster)
    if not unpinned:
        return [report_ok("spark settings", f"{len(PINNED)} that rows depend on are pinned")]
    listed = "; ".join(
        f"{key} = {cluster[key]} ({pinned} here)" for key, pinned in unpinned.items()
    )
    return [
        report_warning(
            "spark settings",
            f"spark-defaults.conf sets what rows depend on: {listed}",
            "nothing to do for Headrace; other jobs of this cluster read by these settings",
        )
    ]


def _check_encoding(encoding: str) -> list[Finding]:
    """Check that Java can name every file."""
    if encoding.upper() == "UTF-8":
        return [report_ok("java's encoding", encoding)]
    return [
        report_warning(
            "java's encoding",
            f"{encoding}: files with other letters in their names cannot be opened",
            "set LC_ALL=C.UTF-8 where Spark's processes start",
        )
    ]


def check_tensorflow() -> list[Finding]:
    """Check that one rank reduces a number, and how Horovod was built, where they are installed."""
    if find_spec("tensorflow") is None:
        return []
    done = subprocess.run(
        build_python_command("-c", _TENSORFLOW),
        capture_output=True, text=True, check=False, timeout=_TIMEOUT,
    )  # fmt: skip
    if done.returncode:
        last_line = ([*done.stderr.strip().splitlines(), "no message"])[-2:][0]
        outcome = f"exit code {done.returncode}" if done.returncode > 0 else "a crash"
        return [report_failure("tensorflow and horovod", f"{outcome}: {last_line}", _SETUP)]
    _facts.update(json.loads(done.stdout.splitlines()[-1]))
    built = ", ".join(name for name in ("gloo", "nccl", "mpi", "cuda") if _facts.get(name))
    findings = [
        report_ok(
            "tensorflow",
            f"{_facts['tensorflow']}{', with CUDA' if _facts['cuda'] else ''}",
        )
    ]
    if "horovod" not in _facts:
        pass  # `check_extras` tells it
    elif _facts["total"] != 2.0:
        findings.append(
            report_failure(
                "horovod", f"one rank's sum of 2 is {_facts['total']}, expected 2.0", _SETUP
            )
        )
    elif not _facts["gloo"]:
        fix = "Headrace's launchers use Gloo: build with HOROVOD_WITH_GLOO=1"
        findings.append(report_failure("horovod", f"{_facts['horovod']}, built with {built}", fix))
    else:
        findings.append(report_ok("horovod", f"{_facts['horovod']}, built with {built}"))
    if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
        findings.append(
            report_failure(
                "keras", "TF_USE_LEGACY_KERAS=1 is set", "unset it: Headrace works with Keras 3"
            )
        )
    return findings


def check_stream(recipe: Recipe | None) -> list[Finding]:
    """Check that the engine that reads files, the recipe's where there is one, can be imported.

    Where nothing can train, nothing reads them.
    """
    if find_spec("tensorflow") is None:
        return []
    engine = (recipe.stream if recipe else Stream()).engine
    done = subprocess.run(
        build_python_command("-c", _ENGINE, engine),
        capture_output=True, text=True, check=False, timeout=_TIMEOUT,
    )  # fmt: skip
    if done.returncode:
        last_line = ["no message", *done.stderr.strip().splitlines()][-1]
        return [report_failure("stream", *_split_message(last_line))]
    versions = json.loads(done.stdout.splitlines()[-1])
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [report_ok("stream", f"stream.engine is {engine}: {text}")]


def check_collectives(recipe: Recipe | None) -> list[Finding]:
    """Check that what the recipe's ranks communicate by is installed."""
    if recipe is None:
        return []
    train = recipe.train
    ranks = max(train.rank_count, train.max_ranks or 0)
    if ranks == 1:
        return [report_ok("collectives", "train.ranks is 1, which needs none")]
    try:
        installed.check_collectives(train.collectives, ranks)
    except HeadraceError as error:
        text, _, fix = str(error).partition("; ")
        return [report_failure("collectives", text, fix)]
    return [report_ok("collectives", f"{ranks} ranks communicate by {train.collectives}")]


def check_gpus() -> list[Finding]:
    """Check that TensorFlow sees all GPUs that the driver shows."""
    smi = shutil.which("nvidia-smi")
    driver_gpus: list[str] = []
    if smi:
        done = subprocess.run(
            [smi, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        driver_gpus = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if done.returncode:
            reason = (done.stdout + done.stderr).strip().splitlines()[0]
            return [report_failure("gpus", f"nvidia-smi fails: {reason}", "check the driver")]
    tensorflow_gpus = _facts.get("gpus", [])
    assert isinstance(tensorflow_gpus, list)
    if not driver_gpus:
        return [report_ok("gpus", "none; ranks compute on the CPU")]
    if (
        _facts
        and len(tensorflow_gpus) < len(driver_gpus)
        and "CUDA_VISIBLE_DEVICES" not in os.environ
    ):
        fix = "pip install 'headrace[gpu]'; TensorFlow 2.21 needs CUDA 12 from 12.5 on, and cuDNN 9"
        text = f"the driver shows {len(driver_gpus)}, TensorFlow sees {len(tensorflow_gpus)}"
        return [report_failure("gpus", text, fix)]
    findings = [report_ok("gpus", "; ".join(driver_gpus))]
    if len(tensorflow_gpus) > 1 and _facts.get("nccl") is False:
        findings.append(
            report_warning(
                "nccl",
                "Horovod was built without it, so GPUs reduce through the host",
                "build it with HOROVOD_GPU_OPERATIONS=NCCL, see deploy/docker",
            )
        )
    return findings


def _split_message(message: str) -> tuple[str, str]:
    """Split the message of an error into its text and its fix."""
    text, _, fix = message.rpartition("; ")
    return (text, fix) if text else (fix, "")


def _read_spark_release(home: str) -> str:
    """Read the version of a Spark distribution; "" where it does not say."""
    try:
        with open(f"{home}/RELEASE", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().split()[1]
    except (OSError, IndexError):
        return ""

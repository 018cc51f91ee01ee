"""Java, Spark, TensorFlow, Horovod, GPUs: started for real, the last three in a process apart.

A library that crashes at import takes that process with it and not this one.
"""

import json
import os
import shutil
import subprocess
import time

from headrace.commands.doctor.finding import Finding, fail, ok, warn
from headrace.errors import HeadraceError
from headrace.processes import python_command
from headrace.recipe import Recipe
from headrace.recipe.sections import Spark

_SECONDS = 180
_SETUP = "run make setup, or install headrace anew"
_TENSORFLOW = """
import json, headrace
import tensorflow as tf
import horovod, horovod.tensorflow as hvd
hvd.init()
total = float(hvd.allreduce(tf.constant([2.0]), op=hvd.Sum)[0])
print(json.dumps({
    "tensorflow": tf.__version__, "horovod": horovod.__version__, "total": total,
    "gloo": hvd.gloo_built(), "nccl": bool(hvd.nccl_built()), "mpi": hvd.mpi_built(),
    "cuda": tf.test.is_built_with_cuda(),
    "gpus": [d.name for d in tf.config.list_physical_devices("GPU")],
}))
"""
_told: dict[str, object] = {}


def java() -> list[Finding]:
    from headrace.spark_session import check_java

    try:
        check_java()
    except HeadraceError as error:
        return [fail("java", *_split(str(error)))]
    home = os.environ.get("JAVA_HOME")
    path = f"{home}/bin/java" if home else shutil.which("java")
    done = subprocess.run([str(path), "-version"], capture_output=True, text=True, check=False)
    return [ok("java", f"{(done.stderr + done.stdout).splitlines()[0]}, {path}")]


def spark(recipe: Recipe | None, workdir: str) -> list[Finding]:
    """Starts a session and has it count: the recipe's own settings, where there is a recipe."""
    import pyspark

    from headrace.spark_session import spark_session, stop_own_session

    found = []
    home = os.environ.get("SPARK_HOME")
    if home and not os.path.samefile(home, os.path.dirname(pyspark.__file__)):  # noqa: PTH120, PTH121
        release = _release(home)
        if release and release.split(".")[:2] != pyspark.__version__.split(".")[:2]:
            found.append(
                warn("spark home", f"SPARK_HOME={home} is Spark {release}, the Python package is "
                     f"{pyspark.__version__}", "unset SPARK_HOME, or make them the same release")
            )  # fmt: skip
    settings = recipe.spark if recipe else Spark()
    began = time.monotonic()
    try:
        session = spark_session(settings, app_name="headrace doctor", scratch=f"{workdir}/spark")
        rows = session.range(1000).selectExpr("sum(id)").first()
        master = session.sparkContext.master
    except HeadraceError as error:
        return [*found, fail("spark", *_split(str(error)))]
    except Exception as error:
        return [*found, fail("spark", str(error).splitlines()[0], f"see {workdir}/spark/spark.log")]
    finally:
        stop_own_session()
    assert rows is not None and rows[0] == 499_500
    took = f"a session on {master} answered in {time.monotonic() - began:.1f} s"
    return [*found, ok("spark", f"{pyspark.__version__}, {took}")]


def tensorflow() -> list[Finding]:
    """One rank reduces a number, with Horovod as it was built."""
    done = subprocess.run(
        python_command("-c", _TENSORFLOW),
        capture_output=True, text=True, check=False, timeout=_SECONDS,
    )  # fmt: skip
    if done.returncode:
        last = ([*done.stderr.strip().splitlines(), "no message"])[-2:][0]
        how = f"exit code {done.returncode}" if done.returncode > 0 else "a crash"
        return [fail("tensorflow and horovod", f"{how}: {last}", _SETUP)]
    _told.update(json.loads(done.stdout.splitlines()[-1]))
    built = ", ".join(w for w in ("gloo", "nccl", "mpi", "cuda") if _told[w])
    found = [ok("tensorflow", f"{_told['tensorflow']}{', with CUDA' if _told['cuda'] else ''}")]
    if _told["total"] != 2.0:
        found.append(fail("horovod", f"one rank's sum of 2 is {_told['total']}", _SETUP))
    elif not _told["gloo"]:
        fix = "Headrace's launchers use Gloo: build with HOROVOD_WITH_GLOO=1"
        found.append(fail("horovod", f"{_told['horovod']}, built with {built}", fix))
    else:
        found.append(ok("horovod", f"{_told['horovod']}, built with {built}"))
    if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
        found.append(
            fail("keras", "TF_USE_LEGACY_KERAS=1 is set", "unset it: Headrace works with Keras 3")
        )
    return found


def gpus() -> list[Finding]:
    """What the driver shows beside what TensorFlow sees."""
    smi = shutil.which("nvidia-smi")
    shown: list[str] = []
    if smi:
        done = subprocess.run(
            [smi, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        shown = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if done.returncode:
            why = (done.stdout + done.stderr).strip().splitlines()[0]
            return [fail("gpus", f"nvidia-smi fails: {why}", "see the driver")]
    seen = _told.get("gpus", [])
    assert isinstance(seen, list)
    if not shown:
        return [ok("gpus", "none; ranks compute on the CPU")]
    if _told and len(seen) < len(shown) and "CUDA_VISIBLE_DEVICES" not in os.environ:
        fix = "uv sync --extra gpu; TensorFlow 2.21 wants CUDA 12.5 or newer 12, and cuDNN 9"
        what = f"the driver shows {len(shown)}, TensorFlow sees {len(seen)}"
        return [fail("gpus", what, fix)]
    found = [ok("gpus", "; ".join(shown))]
    if len(seen) > 1 and not _told.get("nccl"):
        found.append(
            warn("nccl", "Horovod was built without it, so GPUs reduce through the host",
                 "build it with HOROVOD_GPU_OPERATIONS=NCCL, see deploy/docker")
        )  # fmt: skip
    return found


def _split(message: str) -> tuple[str, str]:
    """An error's text as what and fix."""
    what, _, fix = message.rpartition("; ")
    return (what, fix) if what else (fix, "")


def _release(home: str) -> str:
    """Version of a Spark distribution."""
    try:
        with open(f"{home}/RELEASE", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().split()[1]
    except (OSError, IndexError):
        return ""

"""What the containers run: the entry point under a real Spark, and the ranks of pods."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.deploy.dockerfile import FOLDER
from tests.deploy.manifests import one, rendered
from tests.e2e.running import BIN, headrace, prepared_tiny, run
from tests.tiny import tiny_tree

ENTRYPOINT, JUDGE, RANKS = (str(FOLDER / f"{name}.sh") for name in ("entrypoint", "judge", "ranks"))
SPARK_HOME = str(Path(pyspark.__file__).parent)
JOB = """
from pyspark.sql import SparkSession
context = SparkSession.builder.getOrCreate().sparkContext
print("sum", context.parallelize(range(10), 2).map(lambda number: 2 * number).sum())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pod(index: int, pods: int, count: int, *command: str, **environment: str) -> subprocess.Popen:
    place = {"POD_INDEX": str(index), "PODS": str(pods), **environment}
    return subprocess.Popen(
        [RANKS, str(count), *command],
        env={**os.environ, **place},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_pod_runs_its_own_ranks() -> None:
    say = pod(1, 3, 2, "bash", "-c", "echo $RANK of $WORLD_SIZE, $LOCAL_WORLD_SIZE here")
    out, _ = say.communicate(timeout=30)
    assert sorted(out.splitlines()) == ["2 of 6, 2 here", "3 of 6, 2 here"]
    assert say.returncode == 0


def test_a_pod_fails_as_a_whole_with_the_code_of_who_failed_first() -> None:
    what = "[ $RANK = 1 ] && sleep 0.5 && exit 3; sleep 60 & trap 'kill $!; exit 143' TERM; wait"
    failed = pod(0, 1, 3, "bash", "-c", what)
    failed.communicate(timeout=30)
    assert failed.returncode == 3


def test_a_pod_that_is_told_to_end_waits_for_its_ranks() -> None:
    what = "trap 'sleep 1; echo checkpoint; exit 143' TERM; echo up; while true; do sleep 0.1; done"
    told = pod(0, 1, 2, "bash", "-c", what)
    assert told.stdout is not None
    assert [told.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    told.send_signal(signal.SIGTERM)
    out, _ = told.communicate(timeout=30)
    assert out.splitlines() == ["checkpoint"] * 2
    assert told.returncode == 143


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `tiny.yaml` and its dataset."""
    tree = tiny_tree()
    tree["train"] |= {"epochs": 2, "ranks": 2}
    return prepared_tiny(tmp_path_factory.mktemp("pods"), tree)


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    """In the workdir `local`, by ranks of this machine."""
    done = headrace("train", f"{folder}/tiny.yaml", "--workdir", f"{folder}/local", "--json")
    assert done.code == 0, done.err
    return done.result


@pytest.mark.e2e
@pytest.mark.long
def test_the_pods_of_an_mpijob_train(folder: Path, trained: dict[str, Any]) -> None:
    """Every pod with the words and variables of the manifest; the operator's part is made up."""
    job = one(rendered("local/train"), "MPIJob", "headrace-train")
    port = str(free_port())
    started = []
    for index, role in ((1, "Worker"), (0, "Launcher")):
        (container,) = job["spec"]["mpiReplicaSpecs"][role]["template"]["spec"]["containers"]
        values = {v["name"]: v.get("value", "") for v in container["env"]}
        words = container["args"]
        assert words[:4] == ["/opt/headrace/ranks.sh", "$(RANKS_PER_POD)", "headrace", "train"]
        values |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "HEADRACE_SECRET": "hush"}
        values["HEADRACE_WORKDIR"] = f"{folder}/pods"
        command = [str(BIN / "headrace"), "train", f"{folder}/tiny.yaml", *words[5:], "--json"]
        pods, count = int(values.pop("PODS")), int(values["RANKS_PER_POD"])
        del values["POD_INDEX"]
        started.append(pod(index, pods, count, *command, **values))
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert trained["weights_checksum"][0] in said[1][0]


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--set", "evaluate.gates=[{kind: size, at_most_megabytes: 0.001}]"], 0, "champion stays"),
        (["--set", "evaluate.gates=[{kind: size}]"], 2, "at_most_megabytes"),
        pytest.param([], 0, "passed", marks=pytest.mark.long),
    ],
)
def test_a_gate_that_failed_leaves_the_champion(
    folder: Path, trained: dict[str, Any], options: list[str], code: int, said: str
) -> None:
    done = run(
        JUDGE, f"{folder}/tiny.yaml", "--workdir", f"{folder}/local", *options,
        PATH=f"{BIN}:{os.environ['PATH']}",
    )  # fmt: skip
    assert (done.code, said in done.err + done.out) == (code, True), done.err


@pytest.fixture
def master(tmp_path: Path) -> Iterator[int]:
    """A Spark master without workers; yields its port."""
    port = free_port()
    process = subprocess.Popen(
        [f"{SPARK_HOME}/bin/spark-class", "org.apache.spark.deploy.master.Master",
         "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(free_port())],
        env={**os.environ, "SPARK_HOME": SPARK_HOME},
        stderr=(tmp_path / "master.log").open("w"),
    )  # fmt: skip
    try:
        _wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.spark
def test_the_entry_point_starts_drivers_and_executors(tmp_path: Path, master: int) -> None:
    """With the variables of Spark on Kubernetes; a master without workers stands in for its API."""
    (tmp_path / "job.py").write_text(JOB)
    port = free_port()
    spark = {
        **os.environ, "SPARK_HOME": SPARK_HOME, "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip
    driver = subprocess.Popen(
        [ENTRYPOINT, "driver", "--master", f"spark://127.0.0.1:{master}", "--conf",
         f"spark.driver.port={port}", "--conf", "spark.driver.host=127.0.0.1", "--conf",
         "spark.ui.enabled=false", str(tmp_path / "job.py")],
        env={**spark, "SPARK_DRIVER_BIND_ADDRESS": "127.0.0.1"},
        text=True, stdout=subprocess.PIPE, stderr=(tmp_path / "driver.log").open("w"),
    )  # fmt: skip
    _wait_for(port)
    executor = subprocess.Popen(
        [ENTRYPOINT, "executor"],
        env={
            **spark,
            "SPARK_DRIVER_URL": f"spark://CoarseGrainedScheduler@127.0.0.1:{port}",
            "SPARK_EXECUTOR_ID": "1",
            "SPARK_EXECUTOR_CORES": "1",
            "SPARK_EXECUTOR_MEMORY": "512m",
            "SPARK_APPLICATION_ID": "application",
            "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
            "SPARK_EXECUTOR_POD_NAME": "pod-1",
            "SPARK_RESOURCE_PROFILE_ID": "0",
            "SPARK_JAVA_OPT_0": f"-Dspark.driver.port={port}",
            "SPARK_JAVA_OPT_1": "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
            "SPARK_JAVA_OPT_10": "-Dwith.a.space=a b",
        },
        stderr=(tmp_path / "executor.log").open("w"),
    )
    try:
        out, _ = driver.communicate(timeout=180)
        # The lines before are PySpark's warnings.
        assert out.splitlines()[-1:] == ["sum 90"], (tmp_path / "executor.log").read_text()[-3000:]
        assert driver.returncode == 0
    finally:
        for process in (driver, executor):
            process.kill()
            process.wait()


def test_spark_sets_what_the_entry_point_reads() -> None:
    asked = set(re.findall(r"\bSPARK_[A-Z_]+", Path(ENTRYPOINT).read_text())) - {"SPARK_HOME"}
    (jar,) = Path(SPARK_HOME, "jars").glob("spark-kubernetes_*.jar")
    with zipfile.ZipFile(jar) as archive:
        names = archive.read("org/apache/spark/deploy/k8s/Constants$.class")
    assert {name for name in asked if name.encode() not in names} == set()


def test_the_entry_point_runs_anything_else() -> None:
    done = subprocess.run(
        [ENTRYPOINT, str(BIN / "headrace"), "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:9]) == (0, "headrace ")
    done = subprocess.run([ENTRYPOINT, "false"], check=False)
    assert done.returncode == 1


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.2)

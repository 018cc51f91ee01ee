"""The scripts of the images: the entry point under a real Spark, and the ranks of pods."""

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
from tests.deploy.manifests import find_document, render_overlay
from tests.e2e.running import BIN, headrace, prepared_tiny, run
from tests.tiny import tiny_tree

ENTRYPOINT, JUDGE, RANKS = (str(FOLDER / f"{name}.sh") for name in ("entrypoint", "judge", "ranks"))
SPARK_HOME = str(Path(pyspark.__file__).parent)
JOB = """
from pyspark.sql import SparkSession
context = SparkSession.builder.getOrCreate().sparkContext
print("sum", context.parallelize(range(10), 2).map(lambda number: 2 * number).sum())
"""


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_pod(
    index: int, pods: int, count: int, *command: str, **environment: str
) -> subprocess.Popen:
    variables = {"POD_INDEX": str(index), "PODS": str(pods), **environment}
    return subprocess.Popen(
        [RANKS, str(count), *command],
        env={**os.environ, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_pod_runs_its_own_ranks() -> None:
    say = start_pod(1, 3, 2, "bash", "-c", "echo $RANK of $WORLD_SIZE, $LOCAL_WORLD_SIZE here")
    out, _ = say.communicate(timeout=30)
    assert sorted(out.splitlines()) == ["2 of 6, 2 here", "3 of 6, 2 here"]
    assert say.returncode == 0


def test_a_pod_fails_as_a_whole_with_the_code_of_who_failed_first() -> None:
    script = "[ $RANK = 1 ] && sleep 0.5 && exit 3; sleep 60 & trap 'kill $!; exit 143' TERM; wait"
    failed = start_pod(0, 1, 3, "bash", "-c", script)
    failed.communicate(timeout=30)
    assert failed.returncode == 3


def test_a_pod_that_is_told_to_end_waits_for_its_ranks() -> None:
    on_term = "trap 'sleep 1; echo checkpoint; exit 143' TERM"
    script = f"{on_term}; echo up; while true; do sleep 0.1; done"
    pod = start_pod(0, 1, 2, "bash", "-c", script)
    assert pod.stdout is not None
    assert [pod.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    pod.send_signal(signal.SIGTERM)
    out, _ = pod.communicate(timeout=30)
    assert out.splitlines() == ["checkpoint"] * 2
    assert pod.returncode == 143


def test_a_rank_that_ends_first_does_not_end_another_while_it_saves() -> None:
    """A second signal is taken as «at once» by most programs, `headrace train` among them."""
    on_term = "trap 'echo told; [ $RANK = 0 ] || sleep 2; exit 143' TERM"
    script = f"{on_term}; echo up; while true; do sleep 0.1; done"
    pod = start_pod(0, 1, 3, "bash", "-c", script)
    assert pod.stdout is not None
    assert [pod.stdout.readline() for _ in range(3)] == ["up\n"] * 3
    pod.send_signal(signal.SIGTERM)
    out, _ = pod.communicate(timeout=30)
    assert out.splitlines() == ["told"] * 3
    assert pod.returncode == 143


@pytest.mark.parametrize("teller", [0, 11, 23])
def test_a_pod_told_to_end_while_it_starts_its_ranks_leaves_none(teller: int) -> None:
    """The signal comes as early as it can: from a rank, while others are being started."""
    tell = f"[ $RANK = {teller} ] && kill -TERM $PPID"
    script = f"trap 'exit 143' TERM; {tell}; for ((i = 0; i < 600; i++)); do sleep 0.1; done"
    pod = start_pod(0, 1, 24, "bash", "-c", script)
    _, err = pod.communicate(timeout=30)
    assert (pod.returncode, err) == (143, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tiny.yaml` and its dataset."""
    tree = tiny_tree()
    tree["train"] |= {"epochs": 2, "ranks": 2}
    return prepared_tiny(tmp_path_factory.mktemp("pods"), tree)


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    """The result of a training by ranks of this machine, in the workdir `local`."""
    done = headrace("train", f"{folder}/tiny.yaml", "--workdir", f"{folder}/local", "--json")
    assert done.code == 0, done.err
    return done.result


@pytest.mark.e2e
@pytest.mark.long
def test_the_pods_of_an_mpijob_train(folder: Path, trained: dict[str, Any]) -> None:
    """Every pod has the arguments and variables of the manifest; the operator is simulated."""
    job = find_document(render_overlay("local/train"), "MPIJob", "headrace-train")
    port = str(find_free_port())
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
        started.append(start_pod(index, pods, count, *command, **values))
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert trained["weights_checksum"][0] in outputs[1][0]


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "evaluate.gates=[{kind: size, at_most_megabytes: 0.001}]"], 0, "champion stays"),
        (["--set", "evaluate.gates=[{kind: size}]"], 2, "at_most_megabytes"),
        pytest.param([], 0, "passed", marks=pytest.mark.long),
    ],
)
def test_a_gate_that_failed_leaves_the_champion(
    folder: Path, trained: dict[str, Any], options: list[str], code: int, message: str
) -> None:
    done = run(
        JUDGE, f"{folder}/tiny.yaml", "--workdir", f"{folder}/local", *options,
        PATH=f"{BIN}:{os.environ['PATH']}",
    )  # fmt: skip
    assert (done.code, message in done.err + done.out) == (code, True), done.err


@pytest.fixture
def master(tmp_path: Path) -> Iterator[int]:
    """A Spark master without workers; yields its port."""
    port = find_free_port()
    process = subprocess.Popen(
        [f"{SPARK_HOME}/bin/spark-class", "org.apache.spark.deploy.master.Master",
         "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(find_free_port())],
        env={**os.environ, "SPARK_HOME": SPARK_HOME},
        stderr=(tmp_path / "master.log").open("w"),
    )  # fmt: skip
    try:
        wait_for_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.spark
def test_the_entry_point_starts_drivers_and_executors(tmp_path: Path, master: int) -> None:
    """With the variables of Spark on Kubernetes; a master without workers stands in for its API."""
    (tmp_path / "job.py").write_text(JOB)
    port = find_free_port()
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
    wait_for_port(port)
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
    variables = set(re.findall(r"\bSPARK_[A-Z_]+", Path(ENTRYPOINT).read_text())) - {"SPARK_HOME"}
    (jar,) = Path(SPARK_HOME, "jars").glob("spark-kubernetes_*.jar")
    with zipfile.ZipFile(jar) as archive:
        names = archive.read("org/apache/spark/deploy/k8s/Constants$.class")
    assert {name for name in variables if name.encode() not in names} == set()


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


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.2)

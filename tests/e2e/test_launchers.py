"""One training, whoever starts its ranks: a remote shell, Spark, or somebody else."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.running import BIN, ROOT, headrace, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e
# As ssh would, without a host: the first word is the host's name, the second one the command.
SHELL = '["/bin/sh", "-c", "exec sh -c \\"$1\\""]'
SPARK = ["--launcher", "spark", "--set", "spark.master=local[2,4]"]
HOSTS = ["--hosts", "127.0.0.1:2", "--set", f"train.launcher.remote_shell={SHELL}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launchers")
    tree = tiny_tree()
    tree["train"] |= {"epochs": 4, "ranks": 2}
    return prepared_tiny(folder, tree)


@pytest.fixture(scope="module")
def local(folder: Path) -> dict:
    done = headrace("train", str(folder / "tiny.yaml"), "--workdir", str(folder / "l"), "--json")
    assert done.code == 0, done.err
    return done.result


def train(folder: Path, workdir: Path, *options: str) -> list[str]:
    return ["train", str(folder / "tiny.yaml"), "--workdir", str(workdir), "--json", *options]


@pytest.mark.long
def test_over_a_remote_shell(folder: Path, local: dict, tmp_path: Path) -> None:
    done = headrace(*train(folder, tmp_path, *HOSTS))
    assert done.code == 0, done.err
    assert done.result["weights_checksum"] == local["weights_checksum"]


@pytest.mark.long
def test_on_spark_executors(folder: Path, local: dict, tmp_path: Path) -> None:
    done = headrace(*train(folder, tmp_path, "--launcher", "spark"))
    assert done.code == 0, done.err
    assert done.result["weights_checksum"] == local["weights_checksum"]
    there = ["evaluate", *train(folder, tmp_path, "--launcher", "spark")[1:]]
    here = ["evaluate", *train(folder, tmp_path)[1:]]
    judged = [headrace(*command).result["metrics"] for command in (there, here)]
    assert judged[0] == judged[1]
    assert judged[0]["test_rows"] == 127


def start_external_ranks(
    folder: Path, workdir: Path, *options: str, cwd: Path = ROOT
) -> list[subprocess.Popen]:
    """As torchrun does it; the ranks have to find each other, in whatever order they come."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = []
    for rank in ("1", "0"):
        environment = {**os.environ, **place, "RANK": rank}
        processes.append(
            subprocess.Popen(
                [str(BIN / "headrace"), *train(folder, workdir, *options)],
                env=environment,
                cwd=cwd,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        time.sleep(0.5)
    return processes


def test_by_somebody_else(folder: Path, local: dict, tmp_path: Path) -> None:
    processes = start_external_ranks(folder, tmp_path)
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert local["weights_checksum"][0] in said[1][0]
    assert said[0][0] == ""  # one rank speaks


@pytest.mark.long
def test_a_launched_rank_that_is_told_to_end(folder: Path, tmp_path: Path) -> None:
    """As when a pod other than the first one is preempted: a checkpoint first, of all ranks."""
    follower, leader = start_external_ranks(folder, tmp_path, "--set", "train.epochs=2000")
    assert leader.stderr is not None
    for line in leader.stderr:
        if "epoch 9 of" in line:
            follower.send_signal(signal.SIGTERM)
            break
    said = [process.communicate(timeout=60) for process in (follower, leader)]
    assert [follower.returncode, leader.returncode] == [143, 143], said
    assert "a checkpoint was written" in said[0][1]
    assert list(tmp_path.glob("checkpoints/*/*/*.ckpt"))


@pytest.mark.long
def test_ranks_elsewhere_are_told_where_to_track(folder: Path, tmp_path: Path) -> None:
    """The shell gives nothing of this environment on, as ssh would not."""
    shell = '["/bin/sh", "-c", "unset MLFLOW_TRACKING_URI; exec sh -c \\"$1\\""]'
    options = ["--hosts", "127.0.0.1:2", "--set", f"train.launcher.remote_shell={shell}"]
    there = f"sqlite:///{tmp_path}/there.db"
    artifacts = {"MLFLOW_TRACKING_URI": there, "_MLFLOW_SERVER_ARTIFACT_ROOT": str(tmp_path)}
    done = headrace(*train(folder, tmp_path, *options), **artifacts)
    assert done.code == 0, done.err
    import mlflow

    client = mlflow.MlflowClient(there)
    assert client.get_run(done.result["run_id"]).info.status == "FINISHED"


def test_a_run_that_was_launched_prepares_once(folder: Path, tmp_path: Path) -> None:
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "RANK": "0"}
    done = headrace("run", str(folder / "tiny.yaml"), "--workdir", str(tmp_path), **place)
    assert done.code == 1
    assert "run `headrace prepare` alone, then `headrace train` once per rank" in done.err


def test_a_host_that_cannot_be_reached(folder: Path, tmp_path: Path) -> None:
    shell = 'train.launcher.remote_shell=["/bin/sh", "-c", "echo no route to $0; exit 255"]'
    done = headrace(*train(folder, tmp_path, "--hosts", "127.0.0.1:2", "--set", shell))
    assert done.code == 1
    assert "no rank could be started on 127.0.0.1: no route to 127.0.0.1" in done.err


@pytest.mark.parametrize(
    ("there", "elastic"),
    [
        pytest.param(SPARK, False, marks=pytest.mark.long),
        pytest.param(SPARK, True, marks=pytest.mark.long),
        pytest.param(HOSTS, True, marks=pytest.mark.long),
    ],
)
def test_a_rank_elsewhere_is_killed(
    folder: Path, tmp_path: Path, there: list[str], elastic: bool
) -> None:
    """The run ends with words, or goes on with what Spark or the shell starts in its place."""
    options = [*there, "--set", "train.epochs=400", *(["--min-ranks", "1"] if elastic else [])]
    process = subprocess.Popen(
        [str(BIN / "headrace"), *train(folder, tmp_path, *options)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said, killed = "", []
    for line in process.stderr:
        said += line
        if re.search(r"epoch \d\d of", line) and not killed:
            killed = [p for p in psutil.Process(process.pid).children(recursive=True) if rank(p)]
            killed[-1].send_signal(signal.SIGKILL)
    code = process.wait(timeout=60)
    if elastic:
        assert code == 0, said
        assert "going on with 1 ranks instead of 2" in said
        assert "going on with 2 ranks instead of 1" in said
    else:
        assert code == 1
        assert re.search(r"rank \d of 2 on \S+ was killed by SIGKILL", said)
    psutil.wait_procs(killed, timeout=10)
    assert not [p for p in killed if rank(p)]


def rank(process: psutil.Process) -> bool:
    try:
        return any("distributed.rank.main" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False

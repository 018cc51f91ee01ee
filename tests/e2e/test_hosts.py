"""Three hosts with a network between them, and one that is cut off in mid-training."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.namespaces import Hosts, why_not
from tests.e2e.running import BIN, ROOT, headrace, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "never"),
]
FAR = str(ROOT / "tests/e2e/far.py")
EPOCHS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts")
    tree = tiny_tree()
    tree["train"] |= {"epochs": 4, "ranks": 3, "global_batch_size": 48}
    tree["stream"] = {"canonical_shards": 12}
    return prepared_tiny(folder, tree)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts() as hosts:
        for place in hosts.places.values():
            subprocess.Popen(place.command([sys.executable, FAR, "serve", place.address]))
        time.sleep(1)
        yield hosts


def train(folder: Path, workdir: Path, *options: str) -> list[str]:
    command = [str(BIN / "headrace"), "train", str(folder / "tiny.yaml"), "--workdir", str(workdir)]
    return [*command, "--json", *options]


def over_the_shell(hosts: Hosts) -> list[str]:
    names = ",".join(f"{place.name}:1" for place in hosts.places.values())
    shell = f'train.launcher.remote_shell=["{sys.executable}", "{FAR}", "run"]'
    return ["--hosts", names, "--set", shell]


def started(hosts: Hosts, command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        hosts["a"].command(command),
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ours(hosts: Hosts) -> list[psutil.Process]:
    """What a training left on any host: neither shells' servers nor a cluster's daemons."""
    found = []
    for process in hosts.processes():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "headrace.distributed" in words or "headrace train" in words or "jobs/train" in words:
            found.append(process)
    return found


def cut_in_mid_training(hosts: Hosts, lines: Iterator[str], ended: Callable[[], bool]) -> str:
    """Cut host c off after some epochs; returns what was said until the end."""
    said = ""
    for line in lines:
        said += line
        if "epoch 9 of" in line:
            hosts.cut("c")
            break
    else:
        raise AssertionError(said)
    deadline = time.monotonic() + 60
    while not ended() or ours(hosts):
        left = [" ".join(p.cmdline()) for p in ours(hosts)]
        assert time.monotonic() < deadline, f"60 s later: {left}\n{said}"
        time.sleep(0.5)
    return said


KINDS = pytest.mark.parametrize("collectives", ["horovod", "tensorflow"])


@KINDS
def test_over_a_remote_shell(folder: Path, hosts: Hosts, tmp_path: Path, collectives: str) -> None:
    kind = ("--set", f"train.collectives={collectives}")
    local = headrace(*train(folder, tmp_path / "local", *kind)[1:])
    assert local.code == 0, local.err
    process = started(hosts, train(folder, tmp_path, *over_the_shell(hosts), *kind))
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert local.result["weights_checksum"][0] in out
    for place in hosts.places.values():
        assert place.name in err  # each host computed
    assert not ours(hosts)


@KINDS
def test_a_host_that_is_cut_off(
    folder: Path, hosts: Hosts, tmp_path: Path, collectives: str
) -> None:
    kind = ("--set", f"train.collectives={collectives}")
    longer = [*over_the_shell(hosts), "--set", f"train.epochs={EPOCHS}", *kind]
    process = started(hosts, train(folder, tmp_path, *longer))
    assert process.stderr is not None
    cut_in_mid_training(hosts, iter(process.stderr), lambda: process.poll() is not None)
    assert process.returncode == 1
    assert hosts["c"].name in process.stderr.read()
    hosts.mend("c")
    again = started(hosts, train(folder, tmp_path, *longer))
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "continuing" in err


def test_a_spark_cluster_that_loses_a_host(
    folder: Path, hosts: Hosts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workdir = tmp_path_factory.mktemp("spark-hosts")
    workers = [hosts["a"], hosts["b"], hosts["c"]]
    with Cluster(workdir, hosts["a"], workers) as cluster:
        options = [
            str(folder / "tiny.yaml"), "--workdir", str(workdir), "--json", "--launcher", "spark",
            "--set", f"train.epochs={EPOCHS}",
        ]  # fmt: skip
        spread = ("--conf", "spark.task.cpus=2")  # a rank a host

        class Cut:
            at = 0.0

            def see(self, line: str) -> None:
                if "epoch 9 of" in line and not self.at:
                    hosts.cut("c")
                    self.at = time.monotonic()

        cut = Cut()
        failed = cluster.submit("train", *options, before=spread, watch=cut, seconds=300)
        assert cut.at, failed.out
        assert failed.code == 1, failed.out
        while ours(hosts):
            assert time.monotonic() - cut.at < 60, [p.cmdline() for p in ours(hosts)]
            time.sleep(0.5)
        assert time.monotonic() - cut.at < 60
        hosts.mend("c")
        cluster.add_worker(hosts["c"])
        done = cluster.submit("train", *options, before=spread, seconds=400)
        assert done.code == 0, done.out
        assert "continuing" in done.out

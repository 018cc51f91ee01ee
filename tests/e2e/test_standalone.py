"""A day on a real standalone cluster: every stage by spark-submit, and what dies on the way.

The executors have Headrace's dependencies and not Headrace: it comes by --py-files.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest
import yaml
from deltalake import DeltaTable

from headrace.lake import DatasetVersion
from headrace.recipe.overrides import apply_overrides
from tests.e2e.cluster import GPU, Cluster, Watch
from tests.e2e.running import ROOT, Done, headrace

pytestmark = [pytest.mark.e2e, pytest.mark.long]
SETTINGS = (
    "train.epochs=2",
    "train.launcher.kind=spark",
    "evaluate.gates=[{kind: metric, metric: roc_auc, at_least: 0.6}, "
    "{kind: champion, metric: roc_auc, not_worse_by: 0.05}]",
)


class Day:
    """The flights lake that grows by a month, and the pipeline's folder."""

    def __init__(self, folder: Path, flights: Path) -> None:
        self.folder, self._flights = folder, flights
        self.lake = folder / "lake"
        shutil.copytree(flights, self.lake)
        shutil.rmtree(self.lake / "flights/month=12")
        tree = yaml.safe_load((ROOT / "conf/flights.yaml").read_text())
        apply_overrides(tree, [f"lake={self.lake}", *SETTINGS])
        self.recipe = folder / "flights.yaml"
        self.recipe.write_text(yaml.safe_dump(tree))
        self.scores = folder / "scores"

    def grow(self) -> None:
        shutil.copytree(self._flights / "flights/month=12", self.lake / "flights/month=12")

    @property
    def common(self) -> list[str]:
        return [str(self.recipe), "--workdir", str(self.folder), "--json"]

    @property
    def scoring(self) -> list[str]:
        return [*self.common, "--input", f"{self.lake}/flights", "--output", str(self.scores)]

    def promote(self) -> Done:
        return headrace("promote", *self.common)

    def newest(self) -> DatasetVersion:
        return DatasetVersion.open(str(self.folder / "datasets/flights"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, flights_lake: Path) -> Day:
    return Day(tmp_path_factory.mktemp("day"), flights_lake)


def well(done: Done) -> dict:
    assert done.code == 0, done.out[-3000:]
    return done.result


def test_the_first_day(cluster: Cluster, day: Day) -> None:
    prepared = well(cluster.submit("prepare", *day.common))
    assert prepared["ledger"]["read"] == len_of(day.lake / "flights")
    seen = SeenGpus(cluster)
    trained = well(cluster.submit("train", *day.common, watch=seen, HEADRACE_GPUS="1"))
    assert len(trained["weights_checksum"]) == 2
    assert seen.found == {GPU}  # what Spark gave a task, its rank was given
    judged = well(cluster.submit("evaluate", *day.common))
    assert judged["verdict"]["passed"]
    assert well(day.promote())["champion"] == 1
    scored = well(cluster.submit("score", *day.scoring))
    complete(day, scored)


def test_the_lake_grows_and_a_worker_dies(cluster: Cluster, day: Day) -> None:
    day.grow()
    # Somebody else's build of the same lake, in peace: the answer to expect.
    beside = day.folder / "beside"
    shutil.copytree(day.folder / "datasets/flights", beside)
    kill = Watch("prepare: writing", cluster.kill_worker, after=0.5)
    prepared = well(cluster.submit("prepare", *day.common, watch=kill))
    assert kill.done
    well(headrace("prepare", *day.common, "--set", f"dataset.path={beside}"))
    assert day.newest().version == 1
    assert day.newest().digest == DatasetVersion.open(str(beside)).digest
    assert prepared["ledger"]["read"] == len_of(day.lake / "flights")
    cluster.add_worker()
    well(cluster.submit("train", *day.common))
    well(cluster.submit("evaluate", *day.common))
    assert well(day.promote())["champion"] == 2
    kill = Watch("score: scoring", cluster.kill_executor, after=3.0)
    scored = well(cluster.submit("score", *day.scoring, watch=kill))
    assert kill.done
    complete(day, scored)


def test_a_worker_dies_during_scoring(cluster: Cluster, day: Day) -> None:
    kill = Watch("score: scoring", cluster.kill_worker, after=3.0)
    scored = well(cluster.submit("score", *day.scoring, "--full", watch=kill))
    assert kill.done
    complete(day, scored)
    cluster.add_worker()


def test_an_executor_dies_during_prepare(cluster: Cluster, day: Day) -> None:
    beside = day.folder / "beside-full"
    shutil.copytree(day.folder / "datasets/flights", beside)
    kill = Watch("prepare: writing", cluster.kill_executor, after=0.5)
    well(cluster.submit("prepare", *day.common, "--full", watch=kill))
    assert kill.done
    well(headrace("prepare", *day.common, "--full", "--set", f"dataset.path={beside}"))
    assert day.newest().digest == DatasetVersion.open(str(beside)).digest


def test_an_executor_dies_during_training(cluster: Cluster, day: Day) -> None:
    """The run ends with the reason, at once, and the next one goes on from the checkpoint."""
    longer = [*day.common, "--set", "train.epochs=6", "--set", "train.max_restarts=0"]
    kill = Watch("epoch 2 of 6", cluster.kill_executor)
    failed = cluster.submit("train", *longer, watch=kill, seconds=300)
    assert kill.done
    assert failed.code == 1, failed.out[-3000:]
    assert "rank" in failed.result["error"]["message"]
    assert not ranks_left(cluster)
    resumed = cluster.submit("train", *longer)
    assert well(resumed)["model_uri"] == "models:/flights/3"
    assert "train: continuing" in resumed.out


class SeenGpus:
    """What the ranks' processes were told of GPUs; looked at when the first epoch is over."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.found: set[str] = set()

    def see(self, line: str) -> None:
        if "train: epoch" in line:
            for rank in ranks_left(self._cluster):
                self.found.add(rank.environ().get("CUDA_VISIBLE_DEVICES", "none"))


def ranks_left(cluster: Cluster) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "headrace.distributed.rank.main" in words and cluster.python in words[0]:
            found.append(process)
    return found


def len_of(table: Path) -> int:
    return int(ds.dataset(str(table), partitioning="hive").count_rows())


def complete(day: Day, scored: dict) -> None:
    """Every row of the lake was scored once, or kept aside with a reason."""
    ledger = scored["ledger"]
    rows = len_of(day.lake / "flights")
    assert ledger["read"] == rows
    keys = ["time_hour", "carrier", "flight", "origin"]
    live = DeltaTable(str(day.scores)).file_uris()  # not whatever lies in the folder
    predictions = ds.dataset(live, format="parquet").to_table(columns=keys)
    assert predictions.num_rows == rows
    assert len(predictions.to_pandas().drop_duplicates()) == rows

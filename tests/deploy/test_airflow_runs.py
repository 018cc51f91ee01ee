"""The flights DAG, run by Airflow month by month: twice undisturbed, then with its jobs killed."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable

from headrace.lake import DatasetVersion
from tests.deploy.airflow_home import AirflowHome, make_environment
from tests.e2e.running import ROOT, mlflow_server
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = [pytest.mark.e2e, pytest.mark.long]
# Seconds that a run may take: 400 to 1,000 were measured on 2 cores beside other work.
PATIENCE = 2400
TASKS = {"wait_1", "prepare", "train", "evaluate", "verdict", "promote", "keep_champion", "score_1"}


@dataclass
class Flights:
    """A lake that gets months of flights, and Airflow."""

    home: AirflowHome
    full: Path

    @property
    def lake(self) -> Path:
        return self.home.workdir / "lake"

    def add_month(self, month: int) -> None:
        name = f"flights/month={month}"
        shutil.copytree(self.full / name, self.lake / f"{name}.part")
        (self.lake / f"{name}.part").rename(self.lake / name)

    def count_rows(self, months: int) -> int:
        folders = [self.full / f"flights/month={n + 1}" for n in range(months)]
        return sum(pq.read_metadata(f).num_rows for d in folders for f in d.glob("*.parquet"))

    def locate_log(self, month: int) -> Path:
        return self.home.folder / f"{month}.log"

    def run_month(self, month: int, meanwhile: Callable[[psutil.Process, Path], None]) -> str:
        """Run `airflow dags test` of a month, which has to succeed, and return its output."""
        log = self.locate_log(month)
        process = self.home.start_test("flights", format_date(month), log)
        try:
            meanwhile(psutil.Process(process.pid), log)
            code = process.wait(timeout=PATIENCE)
        finally:
            for child in [*list_descendants(process.pid), process]:
                child.kill()
        log_text = log.read_text()
        assert code == 0, log_text[-5000:]
        return log_text

    def check_month(self, month: int) -> None:
        """Check dataset, champion, runs and predictions after the run of a month."""
        dataset = DatasetVersion.open(str(self.home.workdir / "datasets/flights"))
        assert dataset.version == month - 1  # one version a run
        assert dataset.build.ledger.read == self.count_rows(month)
        assert dataset.build.given_id.startswith("flights/manual__")
        client = mlflow.MlflowClient(f"sqlite:///{self.home.workdir}/mlflow/mlflow.db")
        champion = client.get_model_version_by_alias("flights", "champion")
        assert int(champion.version) == month
        trained = self.home.read_xcom("flights", format_date(month), "train")
        assert trained["dataset"]["version"] == dataset.version
        assert champion.run_id == trained["run_id"]
        experiment = client.get_experiment_by_name("flights").experiment_id
        runs = client.search_runs([experiment], "tags.`headrace.stage` = 'train'")
        assert [run.info.status for run in runs] == ["FINISHED"] * month
        keys = self.read_predicted_keys()
        assert len(keys) == len(set(keys)) == self.count_rows(month)

    def read_predicted_keys(self) -> list[tuple[Any, ...]]:
        """Return the keys of the rows in the newest version of the predictions."""
        scores = self.home.workdir / "scores"
        paths = DeltaTable(str(scores)).get_add_actions(flatten=True)["path"].to_pylist()
        names = ["time_hour", "carrier", "flight", "origin"]
        tables = [pq.ParquetFile(scores / path).read(names) for path in paths]
        return [key for table in tables for key in zip(*(table[n].to_pylist() for n in names))]  # noqa: B905


def format_date(month: int) -> str:
    return f"2013-{month:02}-01"


def list_descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def wait_for_text(text: str, log: Path, process: psutil.Process) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in log.read_text():
        assert process.is_running() and process.status() != psutil.STATUS_ZOMBIE, text
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def kill_job(airflow: psutil.Process, *words: str) -> None:
    """Send SIGKILL to the process below Airflow whose command line has these words."""
    (job,) = [
        p for p in airflow.children(recursive=True) if set(words) <= set(read_command_line(p))
    ]
    job.kill()


def read_command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has ended meanwhile, or is a zombie
        return []


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory, flights_lake: Path) -> Flights:
    make_environment()
    home = AirflowHome(tmp_path_factory.mktemp("flights"))
    tree = yaml.safe_load((ROOT / "conf/flights.yaml").read_text())
    tree["lake"] = "${workdir}/lake"
    tree["model"]["hidden"] = [32]
    tree["train"] |= {"epochs": 10, "global_batch_size": 512, "ranks": 1}
    del tree["train"]["early_stopping"]
    tree["evaluate"] |= {
        "bootstrap": 20,
        "importance_rows": 500,
        "gates": [{"kind": "metric", "metric": "roc_auc", "at_least": 0.5}],
    }
    tree["schedule"] = {
        "cron": "@monthly",
        "start": "2013-01-01",
        "partitions": "month <= {{ logical_date.month }}",
        "wait_for": ["${lake}/flights/month={{ logical_date.month }}"],
        "score": [{"input": "${lake}/flights", "output": "${workdir}/scores"}],
        "retry_minutes": 1,
    }
    (home.recipes / "flights.yaml").write_text(yaml.safe_dump(tree))
    flights = Flights(home, flights_lake)
    for table in ("weather", "planes"):
        shutil.copytree(flights_lake / table, flights.lake / table)
    flights.add_month(1)
    return flights


@pytest.fixture(scope="module")
def first(flights: Flights) -> str:
    return flights.run_month(1, lambda *_: None)


@pytest.fixture(scope="module")
def second(first: str, flights: Flights) -> str:
    """The month's rows arrive while the run waits for them."""

    def add_rows(airflow: psutil.Process, log: Path) -> None:
        wait_for_text("month=2 does not exist yet", log, airflow)
        flights.add_month(2)

    return flights.run_month(2, add_rows)


@pytest.fixture(scope="module")
def third(second: str, flights: Flights) -> str:
    """Spark is killed while it prepares, and the training after its first checkpoint."""
    flights.add_month(3)
    checkpoints = flights.home.workdir / "checkpoints"
    before = set(checkpoints.rglob("*.ckpt"))

    def kill(airflow: psutil.Process, log: Path) -> None:
        wait_for_text("prepare: processing", log, airflow)  # rows of the new month alone
        kill_job(airflow, "org.apache.spark.deploy.SparkSubmit")
        deadline = time.monotonic() + PATIENCE
        while not set(checkpoints.rglob("*.ckpt")) - before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        kill_job(airflow, "train")

    return flights.run_month(3, kill)


def test_the_first_month(first: str, flights: Flights) -> None:
    flights.check_month(1)
    tries = flights.home.read_tries("flights", format_date(1))
    assert tries.pop("keep_champion") == ("skipped", 0)
    assert set(tries) == TASKS - {"keep_champion"}
    assert set(tries.values()) == {("success", 1)}


def test_the_second_month_is_waited_for(second: str, flights: Flights) -> None:
    flights.check_month(2)
    assert flights.home.read_tries("flights", format_date(2))["promote"] == ("success", 1)
    assert "month=2 exists" in second
    scored = flights.home.read_xcom("flights", format_date(2), "score_1")
    assert scored["processed"]["read"] == flights.count_rows(2) - flights.count_rows(1)


def test_what_was_killed_is_tried_again_and_done_once(third: str, flights: Flights) -> None:
    flights.check_month(3)
    tries = flights.home.read_tries("flights", format_date(3))
    assert {task for task, (_, number) in tries.items() if number == 2} == {"prepare", "train"}
    assert tries["score_1"] == ("success", 1)
    assert "exit code -9" in third  # of both: reported by spark-submit and by the training's parent
    assert "train: continuing" in third
    workdir = str(flights.home.workdir)
    running = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert [words for words in running if workdir in words] == []


def test_tasks_name_their_mlflow_run(first: str, flights: Flights) -> None:
    for task, key in (("prepare", "prepare_run_id"), ("train", "run_id"), ("score_1", "run_id")):
        result = flights.home.read_xcom("flights", format_date(1), task)
        assert f"MLflow run {result[key]} in {result['tracking_uri']}" in first


def test_a_failed_gate_keeps_the_champion_and_without_one_nothing_is_scored(
    tmp_path: Path,
) -> None:
    make_environment()
    home = AirflowHome(tmp_path)
    write_tiny_lake(home.workdir / "lake")
    tree = tiny_tree() | {"tracking": {}}
    tree["evaluate"] = {"gates": [{"kind": "metric", "metric": "accuracy", "at_least": 1.0}]}
    tree["schedule"] = {
        "start": "2026-11-01",
        "score": [{"input": "${workdir}/lake/visits", "output": "${workdir}/scores"}],
        "retries": 0,
    }
    with mlflow_server(tmp_path) as server:
        tree["tracking"]["uri"] = server
        (home.recipes / "tiny.yaml").write_text(yaml.safe_dump(tree))
        done = home.run_airflow("dags", "test", "tiny", "2026-11-24")
    tries = home.read_tries("tiny", "2026-11-24")
    assert {task: state for task, (state, _) in tries.items()} == {
        "prepare": "success", "train": "success", "evaluate": "success", "verdict": "success",
        "promote": "skipped", "keep_champion": "success", "score_1": "failed",
    }, done.err[-5000:]  # fmt: skip
    assert done.code != 0
    assert f"model tiny in {server} has no champion to score with" in done.out + done.err
    judged = home.read_xcom("tiny", "2026-11-24", "evaluate")
    assert (judged["exit_code"], judged["verdict"]["passed"]) == (3, False)
    for task in ("train", "evaluate"):
        page = home.read_xcom("tiny", "2026-11-24", task, "_link_MlflowRun")
        assert page == f"{server}/#/runs/{judged['run_id']}"

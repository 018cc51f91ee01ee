"""A tracking server that is down: nothing waits for it, and nothing is lost without a message."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import StoreError, TrainError
from headrace.progress import Progress, ignore_progress
from headrace.tracking.run import start_run
from headrace.tracking.store import Store
from headrace.train import tracked_run
from headrace.train.early_stopping import BestEpoch
from headrace.train.state import TrainState
from headrace.train.tracked_run import (
    TrackedTraining,
    build_machine_tags,
    build_train_result,
    describe_devices,
)
from tests.mlflow_store import copy_empty_store
from tests.tiny import tiny_recipe

DATASET: Any = SimpleNamespace(digest="abc")


@pytest.fixture
def dead_server() -> Iterator[Store]:
    """Yield a store at an address where connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # but not listening
        yield Store(f"http://127.0.0.1:{bound.getsockname()[1]}", "e", "m", None)


@pytest.fixture(scope="module")
def file_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store in files, one for all tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    database = copy_empty_store(folder / "m.db")
    return Store(f"sqlite:///{database}", "e", "m", f"file://{folder}/a")


def described_dataset() -> Any:
    build = SimpleNamespace(build_id="b", ledger_to_json=lambda: "{}", recipe={"name": "tiny"})
    return SimpleNamespace(
        root="r", version=0, digest="abc", build=build, transform_json="{}",
        count_rows=lambda split: 1,
    )  # fmt: skip


def test_a_dead_server_holds_up_nothing_until_all_is_done(
    dead_server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracked_run, "PATIENCE", 0.5)
    monkeypatch.setattr(tracked_run, "_FIRST_WAIT", 0.1)
    messages: list[str] = []
    recipe = tiny_recipe(tmp_path)
    with (
        pytest.raises(TrainError, match=r"does not answer .*run the same command again"),
        TrackedTraining(
            recipe, DATASET, SoloCollectives(), dead_server, {}, lambda p: messages.append(p.text)
        ) as tracked_training,
    ):
        started_at = time.monotonic()
        tracked_training.begin_writing()
        for epoch in range(3):
            tracked_training.log_epoch({"val_loss": 0.5}, epoch)
        for step in range(500):  # each of which would wait for the server for seconds
            tracked_training.log_steps({"loss": 0.5}, step)
        facts = tracked_training.describe_for_checkpoint()
        assert facts == {"run_id": None, "dataset": "abc", "ranks": 1}
        assert time.monotonic() - started_at < 2
        tracked_training.finish_writing()
    assert len(messages) == 1
    assert messages[0].startswith("MLflow does not answer, metrics are kept")


def test_an_error_of_the_training_is_not_hidden_by_the_servers(
    dead_server: Store, tmp_path: Path
) -> None:
    started_at = time.monotonic()
    recipe = tiny_recipe(tmp_path)
    with (
        pytest.raises(ZeroDivisionError),
        TrackedTraining(recipe, DATASET, SoloCollectives(), dead_server, {}, ignore_progress),
    ):
        raise ZeroDivisionError
    assert time.monotonic() - started_at < 10  # the supervisor waits for it


def test_pending_records_are_written_in_their_order(file_store: Store, tmp_path: Path) -> None:
    """The first attempts fail, as if the server were started later."""
    import mlflow

    collectives = SoloCollectives()
    saved: list[dict[str, Any]] = []
    collectives.save_carried_values = saved.append  # type: ignore[method-assign]
    with TrackedTraining(
        tiny_recipe(tmp_path), described_dataset(), collectives, file_store, {"attempt": "a"},
        ignore_progress,
    ) as tracked_training:  # fmt: skip
        open_run, attempts = tracked_training._open_run, []

        def fail_twice_and_open() -> Any:
            attempts.append(1)
            if len(attempts) < 3:
                raise ConnectionError("not yet")
            return open_run()

        tracked_training._open_run = fail_twice_and_open  # type: ignore[method-assign]
        tracked_training.set_tags({"headrace.hosts": "2"})
        for epoch in range(4):
            tracked_training.log_epoch({"val_loss": float(epoch)}, epoch)
        run = tracked_training.finish_writing()
        assert tracked_training.describe_for_checkpoint()["run_id"] == run.run_id
    mlflow.set_tracking_uri(file_store.uri)
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.run_id, "validation/loss")
    assert [(m.step, m.value) for m in history] == [(n, float(n)) for n in range(4)]
    again = client.get_metric_history(run.run_id, "loss/validation")
    assert [m.value for m in again] == [m.value for m in history]
    logged = client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["train.epochs"] == "2"
    assert "stream.engine" not in logged.data.params  # the default
    assert "`mlp` that predicts" in logged.data.tags["mlflow.note.content"]
    assert logged.data.tags["headrace.stream_engine"] == "petastorm"
    assert (logged.data.tags["headrace.ranks"], logged.data.tags["headrace.hosts"]) == ("1", "2")
    assert "headrace.learning_rate" not in logged.data.tags
    assert len(attempts) == 3
    # what another rank needs where this one is lost
    assert saved == [
        {"begun": True, "attempt": "a", "run_id": None},
        {"begun": True, "attempt": "a", "run_id": run.run_id},
    ]


def test_a_training_that_fails_ends_its_run_as_failed(file_store: Store, tmp_path: Path) -> None:
    import mlflow

    recipe = tiny_recipe(
        tmp_path, "train.schedule={kind: fixed, scale_by_ranks: true}",
        "train.optimizer.learning_rate=0.5",
    )  # fmt: skip
    with (
        pytest.raises(ZeroDivisionError),
        TrackedTraining(
            recipe, described_dataset(), SoloCollectives(), file_store, {}, ignore_progress
        ) as tracked_training,
    ):
        run = tracked_training.finish_writing()
        raise ZeroDivisionError
    logged = mlflow.MlflowClient(file_store.uri).get_run(run.run_id)
    assert logged.info.status == "FAILED"
    assert logged.data.tags["headrace.learning_rate"] == "0.5, scaled by 1 ranks"


def test_a_run_that_is_continued_gets_the_epochs_that_it_lacks(
    file_store: Store, tmp_path: Path
) -> None:
    import mlflow

    with start_run(file_store, "r") as run:
        run.log_metrics({"train/loss": 9.0}, 1)
        run.log_metrics({"train_loss": 8.0}, 0)  # of an older Headrace
    recipe, facts = tiny_recipe(tmp_path, "stream.engine=pyarrow"), {"run_id": run.run_id}
    history = [{"train_loss": float(epoch)} for epoch in range(3)]
    with TrackedTraining(
        recipe, DATASET, SoloCollectives(), file_store, facts, ignore_progress, history
    ) as tracked_training:
        tracked_training.begin_writing()
        tracked_training.finish_writing()
    client = mlflow.MlflowClient(file_store.uri)
    logged = client.get_metric_history(run.run_id, "train/loss")
    assert {m.step: m.value for m in logged} == {0: 0.0, 1: 9.0, 2: 2.0}
    assert client.get_run(run.run_id).data.tags["headrace.stream_engine"] == "pyarrow"
    assert len(logged) == 3


def test_the_result_has_the_best_epochs_metrics_and_the_median_rate() -> None:
    run: Any = SimpleNamespace(run_id="r7", url="http://m/#/r7")
    state = TrainState(BestEpoch(None, best=0.25, epoch=1), metrics={"val_loss": 0.25})
    state.epochs_run, state.rates, state.waited, state.worked = 3, [1.0, 100.0, 90.0], 2.0, 8.0
    assert build_train_result(run, "models:/tiny/1", state, ["c", "c"]) == {
        "run_id": "r7",
        "run_url": "http://m/#/r7",
        "model_uri": "models:/tiny/1",
        "weights_checksum": ["c", "c"],
        "metrics": {
            "val_loss": 0.25,
            "epochs": 3,
            "best_epoch": 1,
            "rows_per_second": 90.0,
            "input_wait_share": 0.25,
        },
    }
    # resumed after the last epoch: no step was run
    metrics = build_train_result(run, "", TrainState(BestEpoch(None)), [])["metrics"]
    assert (metrics["rows_per_second"], metrics["input_wait_share"]) == (0.0, 0.0)


def test_machines_are_described_in_words_and_tags() -> None:
    devices = ["a GPU 0", "a GPU 1", "b GPU 0"]
    words = "rank 0 on a GPU 0; rank 1 on a GPU 1; rank 2 on b GPU 0"
    assert describe_devices(devices) == words
    assert build_machine_tags(devices, "s3://key:secret@lake/checkpoints") == {
        "headrace.devices": words,
        "headrace.hosts": "2",
        "headrace.checkpoints": "s3://***@lake/checkpoints",
    }
    assert len(build_machine_tags(["x" * 100] * 100, "c")["headrace.devices"]) == 5000


def track(store: Store, folder: Path, messages: list[str]) -> TrackedTraining:
    def keep(progress: Progress) -> None:
        messages.append(progress.text)

    return TrackedTraining(
        tiny_recipe(folder), described_dataset(), SoloCollectives(), store, {}, keep
    )


def test_what_lasts_is_told_after_the_first_step(file_store: Store, tmp_path: Path) -> None:
    from headrace.tracking.store import open_client

    gone = replace(file_store, experiment="gone")
    client = open_client(gone)
    client.delete_experiment(client.create_experiment("gone"))
    messages: list[str] = []
    with (
        pytest.raises(StoreError, match=r"was deleted; restore it .*after the first step"),
        track(gone, tmp_path, messages) as tracked_training,
    ):
        tracked_training.wait_for_start()
    assert len(messages) == 1
    assert messages[0].startswith("MLflow refuses records")


def test_what_lasts_at_the_end_is_not_waited_for(file_store: Store, tmp_path: Path) -> None:
    from headrace.tracking.store import open_client

    client = open_client(file_store)
    began = time.monotonic()
    with (
        pytest.raises(StoreError, match=r"training is done, .*Mend that, and run the same command"),
        track(file_store, tmp_path, []) as tracked_training,
    ):
        tracked_training.wait_for_start()
        client.delete_run(tracked_training.describe_for_checkpoint()["run_id"])
        tracked_training.log_epoch({"val_loss": 0.5}, 0)
        tracked_training.finish_writing()
    assert time.monotonic() - began < 40


def test_a_server_that_does_not_answer_holds_no_rank_up_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait in their first sum, which has a time limit."""

    def fail_late(*_: Any, **__: Any) -> None:
        time.sleep(3)
        raise StoreError("gone")  # or MLflow would go on with this address in the tests after it

    monkeypatch.setattr(tracked_run, "check_store", fail_late)
    store = Store("http://127.0.0.1:9", "e", "m", None)
    recipe = tiny_recipe(tmp_path, "train.collective_timeout=1")
    began = time.monotonic()
    tracked_training = TrackedTraining(
        recipe, described_dataset(), SoloCollectives(), store, {}, ignore_progress
    )
    assert not tracked_training.wait_for_start()
    assert time.monotonic() - began < 2

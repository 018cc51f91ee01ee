"""A tracking server that is not there: nothing waits for it, and nothing is lost without a word."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import TrainError
from headrace.tracking.run import start_run
from headrace.tracking.store import Store
from headrace.train import tracked_run as recording
from headrace.train.tracked_run import TrackedTraining
from tests.tiny import tiny_recipe

DATASET: Any = SimpleNamespace(digest="abc")


@pytest.fixture
def nobody() -> Iterator[Store]:
    """An address where connections are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        yield Store(f"http://127.0.0.1:{held.getsockname()[1]}", "e", "m", None)


def test_a_dead_server_holds_up_nothing_until_all_is_done(
    nobody: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_PATIENCE", 0.5)
    monkeypatch.setattr(recording, "_FIRST_WAIT", 0.1)
    said: list[str] = []
    recipe = tiny_recipe(tmp_path)
    with (
        pytest.raises(TrainError, match=r"does not answer .*run the same command again"),
        TrackedTraining(
            recipe, DATASET, SoloCollectives(), nobody, {}, lambda p: said.append(p.text)
        ) as tracked,
    ):
        began = time.monotonic()
        tracked.begin_writing()
        for epoch in range(3):
            tracked.log_epoch({"val_loss": 0.5}, epoch)
        for step in range(500):  # each of which would ask the server for seconds
            tracked.log_steps({"loss": 0.5}, step)
        assert tracked.describe_for_checkpoint() == {"run_id": None, "dataset": "abc", "ranks": 1}
        assert time.monotonic() - began < 2
        tracked.finish_writing()
    assert len(said) == 1
    assert said[0].startswith("MLflow does not answer, metrics are kept")


def test_an_error_of_the_training_is_not_hidden_by_the_servers(
    nobody: Store, tmp_path: Path
) -> None:
    began = time.monotonic()
    with (
        pytest.raises(ZeroDivisionError),
        TrackedTraining(
            tiny_recipe(tmp_path), DATASET, SoloCollectives(), nobody, {}, lambda _: None
        ),
    ):
        raise ZeroDivisionError
    assert time.monotonic() - began < 10  # the supervisor waits for it


def test_what_was_kept_is_written_in_its_order(tmp_path: Path) -> None:
    """The first writes fail, as if the server came later."""
    import mlflow

    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    recipe = tiny_recipe(tmp_path)
    rows = {"root": "r", "version": 0, "count_rows": lambda split: 1, "transform_json": "{}"}
    build = SimpleNamespace(build_id="b", ledger_to_json=lambda: "{}")
    dataset: Any = SimpleNamespace(digest="abc", build=build, **rows)
    with TrackedTraining(recipe, dataset, SoloCollectives(), store, {}, lambda _: None) as tracked:
        right, tries = tracked._open_run, []

        def late() -> Any:
            tries.append(1)
            if len(tries) < 3:
                raise ConnectionError("not yet")
            return right()

        tracked._open_run = late  # type: ignore[method-assign]
        for epoch in range(4):
            tracked.log_epoch({"val_loss": float(epoch)}, epoch)
        run = tracked.finish_writing()
    mlflow.set_tracking_uri(store.uri)
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(n, float(n)) for n in range(4)]
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["train.epochs"] == "2"
    assert len(tries) == 3


def test_a_run_that_goes_on_gets_the_epochs_that_it_lacks(tmp_path: Path) -> None:
    import mlflow

    store = Store(f"sqlite:///{tmp_path}/m.db", "e", "m", f"file://{tmp_path}/a")
    with start_run(store, "r") as run:
        run.log_metrics({"train_loss": 9.0}, 1)
    recipe, facts = tiny_recipe(tmp_path), {"run_id": run.run_id}
    history = [{"train_loss": float(epoch)} for epoch in range(3)]
    dataset: Any = DATASET
    with TrackedTraining(
        recipe, dataset, SoloCollectives(), store, facts, lambda _: None, history
    ) as tracked:
        tracked.begin_writing()
        tracked.finish_writing()
    client = mlflow.MlflowClient(store.uri)
    found = client.get_metric_history(run.run_id, "train_loss")
    assert {m.step: m.value for m in found} == {0: 0.0, 1: 9.0, 2: 2.0}
    assert len(found) == 3

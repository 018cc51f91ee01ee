"""Runs are found by the build that they made, or were made from."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import mlflow

from headrace.tracking.lineage import BUILD_TAG, LineageRun, find_runs, read_runs, search_runs
from headrace.tracking.run import start_run
from headrace.tracking.store import Store


def test_runs_of_a_build_are_listed_the_oldest_first(store: Store) -> None:
    assert find_runs(store, "b1") == []  # no experiment yet
    with start_run(store, "prepare") as prepare:
        prepare.set_tags({BUILD_TAG: "b1", "headrace.stage": "prepare"})
    with start_run(store, "other") as other:
        other.set_tags({BUILD_TAG: "b2"})
    with start_run(store, "train") as train:
        train.set_tags({BUILD_TAG: "b1"})  # before stages had a tag of their own
        running = find_runs(store, "b1")
    assert running == [
        LineageRun(prepare.run_id, "prepare", "FINISHED", "prepare"),
        LineageRun(train.run_id, "train", "RUNNING", "train"),
    ]
    assert find_runs(store, "b3") == []


def test_a_database_is_read_as_mlflow_searches_it(store: Store) -> None:
    file = Path(store.uri.removeprefix("sqlite:///"))
    others = replace(store, experiment="other")
    with start_run(others, "of another experiment") as other:
        other.set_tags({BUILD_TAG: "b1", "headrace.stage": "train"})
    with start_run(store, "of another build") as other:
        other.set_tags({BUILD_TAG: "b2", "headrace.stage": "b1"})
    with start_run(store, "prepare") as prepare:
        prepare.set_tags({BUILD_TAG: "b1", "headrace.stage": "prepare"})
    with start_run(store, "deleted") as deleted:
        deleted.set_tags({BUILD_TAG: "b1"})
    mlflow.MlflowClient(store.uri).delete_run(deleted.run_id)
    with start_run(store, "train") as train:
        train.set_tags({BUILD_TAG: "b1"})
    runs = read_runs(file, store.experiment, "b1")
    assert [run.run_id for run in runs] == [prepare.run_id, train.run_id]
    assert runs == search_runs(store, "b1")
    assert read_runs(file, others.experiment, "b1") == search_runs(others, "b1")
    assert read_runs(file, "no such experiment", "b1") == []


def test_a_database_of_another_mlflow_is_asked_through_mlflow(store: Store) -> None:
    with start_run(store, "train") as train:
        train.set_tags({BUILD_TAG: "b1"})
    file = Path(store.uri.removeprefix("sqlite:///"))
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 1")  # the stamp of no MLflow
    assert [run.run_id for run in find_runs(store, "b1")] == [train.run_id]


def test_a_store_that_was_never_opened_has_no_runs_and_is_not_made(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/none.db", "e", "m", f"file://{tmp_path}/a")
    assert find_runs(store, "b1") == []
    assert not list(tmp_path.iterdir())

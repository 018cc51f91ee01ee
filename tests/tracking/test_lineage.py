"""Runs are found by the build that they made, or were made from."""

from headrace.tracking.lineage import BUILD_TAG, LineageRun, find_runs
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

"""A search for better values: trials that are runs, one after the other and over two commands."""

import fcntl
import json
from pathlib import Path

import pytest

from headrace.recipe import load_recipe
from tests.e2e.running import headrace, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    tree = tiny_tree()
    tree["train"] |= {"epochs": 2, "ranks": 1}
    tree["tune"] = {
        "metric": "roc_auc",
        "parameters": {
            "train.optimizer.learning_rate": {"low": 0.01, "high": 0.5, "log": True},
            "model.hidden": {"choices": [[16, 8], [4]]},
        },
    }
    return prepared_tiny(folder, tree)


def test_a_search_goes_on_where_it_was_and_leaves_the_best_recipe(folder: Path) -> None:
    import mlflow

    command = ["tune", str(folder / "tiny.yaml"), "--workdir", str(folder), "--json"]
    first = headrace(*command, "--trials", "1")
    assert first.code == 0, first.err
    assert first.result["trials"] == {"COMPLETE": 1}
    second = headrace(*command, "--trials", "2")
    assert second.code == 0, second.err
    assert "trial 2 of 2" in second.err and "trial 1 of 2" not in second.err
    assert second.result["trials"] == {"COMPLETE": 2}
    assert second.result["value"] >= first.result["value"]
    rates = []

    best = load_recipe(second.result["recipe"], workdir=str(folder), environment={})
    found = second.result["best"]
    assert best.train.optimizer.learning_rate == found["train.optimizer.learning_rate"]
    assert best.model.hidden == found["model.hidden"]

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    parents = [first.result["run_id"], second.result["run_id"]]
    for parent in parents:
        below = f"tags.`mlflow.parentRunId` = '{parent}'"
        (trial,) = client.search_runs([experiment], filter_string=below)
        assert trial.info.status == "FINISHED"
        assert "validation/roc_auc" in trial.data.metrics
        rates.append(trial.data.params["train.optimizer.learning_rate"])
    assert len(set(rates)) == 2  # the second command does not draw what the first one did
    assert not client.search_registered_models()


def test_a_second_search_at_the_same_time_is_refused(folder: Path) -> None:
    (folder / "tune").mkdir(exist_ok=True)
    with (folder / "tune/tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = headrace("tune", str(folder / "tiny.yaml"), "--workdir", str(folder))
    assert done.code == 1
    assert "another search for recipe tiny is under way" in done.err


def test_a_search_for_nothing_is_refused(folder: Path) -> None:
    done = headrace("tune", "conf/digits.yaml", "--workdir", str(folder))
    assert done.code == 2
    assert "tune.parameters: is empty (list the keys to search" in done.err


def test_an_impossible_range_is_refused(folder: Path) -> None:
    wrong = (
        "tune.parameters={train.epochs: {low: 5, high: 2}, "
        "model.dropout: {low: 0, high: 1, log: true}}"
    )
    done = headrace("tune", str(folder / "tiny.yaml"), "--workdir", str(folder), "--set", wrong)
    assert done.code == 2
    assert "tune.parameters.train.epochs: low 5 is not below high 2" in done.err
    assert "tune.parameters.model.dropout: log needs a low above 0" in done.err


def test_a_key_that_is_not_there_is_refused_before_a_trial(folder: Path) -> None:
    wrong = "tune.parameters={train.optimizer.rate: {low: 0.1, high: 0.2}}"
    done = headrace("tune", str(folder / "tiny.yaml"), "--workdir", str(folder), "--set", wrong)
    assert done.code == 2
    assert "train.optimizer.rate: unknown key" in done.err
    assert "trial 1" not in done.out


@pytest.mark.long
def test_without_validation_rows_there_is_nothing_to_compare(folder: Path) -> None:
    none = ["--set", "split.fractions={train: 0.8, validation: 0.0, test: 0.2}"]
    elsewhere = ["--set", f"dataset.path={folder}/none"]
    command = [str(folder / "tiny.yaml"), "--workdir", str(folder), *none, *elsewhere]
    assert headrace("prepare", *command).code == 0
    done = headrace("tune", *command)
    assert done.code == 1
    assert "has none; give split.fractions.validation more room" in done.err


FUNCTION = """
import os
import keras


def build(inputs, spec, rate):
    if rate > 0.4:  # as the kernel does where memory is short
        os.kill(os.getpid(), 9)
    return keras.layers.Dropout(rate)(inputs["numeric"])
"""


@pytest.mark.long
def test_trials_in_parallel_and_one_that_runs_out_of_memory(folder: Path) -> None:
    """Real processes: the search goes on past ranks that are killed, and the next one, too."""
    (folder / "lethal.py").write_text(FUNCTION)
    parameters = {"model.options.rate": {"choices": [0.5, 0.1, 0.2, 0.3]}}
    settings = {
        "model": {"kind": "python", "function": "lethal:build", "options": {"rate": 0.1}},
        "tune.parameters": parameters,
        "tune.metric": "loss",
        "tune.parallel": 2,
        "tune.pruning": False,
    }
    options = [w for k, v in settings.items() for w in ("--set", f"{k}={json.dumps(v)}")]
    command = ["tune", str(folder / "tiny.yaml"), "--workdir", str(folder / "lethal"), *options]
    for _ in range(2):
        done = headrace(*command, "--json", "--trials", "4", PYTHONPATH=str(folder))
        assert done.code == 0, done.err
        assert done.result["trials"] == {"COMPLETE": 3, "FAIL": 2}
        assert done.result["best"]["model.options.rate"] in (0.1, 0.2, 0.3)
    assert "trial 1 of 4" not in done.err

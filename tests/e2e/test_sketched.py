"""An evaluation and epochs of more rows than one rank is to have, by two ranks and by one."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.e2e.running import headrace, prepared_tiny
from tests.tiny import tiny_tree

pytestmark = [pytest.mark.e2e, pytest.mark.long]
FEW = ("--set", "evaluate.exact_rows=40")  # of about 120 rows in test and in validation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tiny_tree()
    tree["dataset"]["keep"] = ["day", "shop"]
    tree["evaluate"] = {
        "slices": [{"columns": ["shop"]}],
        "min_rows": 10,
        "gates": [
            {"kind": "metric", "metric": "roc_auc", "at_least": 0.5},
            {"kind": "champion", "metric": "roc_auc", "not_worse_by": 0.5},
        ],
    }
    tree["train"] |= {"epochs": 6, "optimizer": {"kind": "adam", "learning_rate": 0.01}}
    return prepared_tiny(tmp_path_factory.mktemp("sketched"), tree)


def run(folder: Path, name: str, *options: str) -> dict[str, Any]:
    recipe, workdir = str(folder / "tiny.yaml"), str(folder / "w")
    done = headrace(name, recipe, "--workdir", workdir, "--json", *options)
    assert done.code == 0, done.err
    return done.result


def read_verdict(folder: Path, run_id: str) -> dict[str, Any]:
    mlflow.set_tracking_uri(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    return json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/evaluation/test/verdict.json"))


def test_two_ranks_that_add_up_have_the_exact_metrics_within_their_bounds(folder: Path) -> None:
    """Under both kinds of collectives; of one rank and of two with the same bits."""
    exact_epochs = run(folder, "train", "--ranks", "2")
    exact = run(folder, "evaluate", "--ranks", "2")
    run_id = exact["run_id"]
    exact_verdict = read_verdict(folder, run_id)
    assert "bounds" not in exact_verdict
    verdicts = []
    for ranks, kind in ((1, "horovod"), (2, "horovod"), (2, "tensorflow")):
        options = ("--ranks", str(ranks), "--set", f"train.collectives={kind}", *FEW)
        assert run(folder, "evaluate", *options)["run_id"] == run_id
        verdicts.append(read_verdict(folder, run_id))
    for verdict in verdicts:
        assert verdict["bounds"] == verdicts[0]["bounds"]
        assert verdict["metrics"] == pytest.approx(verdicts[0]["metrics"], abs=1e-6)
    sketched = verdicts[1]
    assert 0 < sketched["bounds"]["roc_auc"] < 0.2
    for name, value in exact_verdict["metrics"].items():
        assert abs(sketched["metrics"][name] - value) <= sketched["bounds"].get(name, 0) + 1e-6
    assert "within ±" in sketched["gates"][0]["text"]
    assert sketched["remarks"][0].startswith(f"{int(sketched['metrics']['rows'])} test rows")
    # Trained again, with sketched epochs: the same weights.
    again = run(folder, "train", "--ranks", "2", *FEW)
    assert again["weights_checksum"] == exact_epochs["weights_checksum"]
    client = mlflow.MlflowClient(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    histories = [
        [m.value for m in client.get_metric_history(own_id, "validation/roc_auc")]
        for own_id in (exact_epochs["run_id"], again["run_id"])
    ]
    bounds = [
        m.value for m in client.get_metric_history(again["run_id"], "validation/roc_auc_bound")
    ]
    assert len(bounds) == len(histories[0]) == 6
    for of_rows, of_bins, bound in zip(*histories, bounds, strict=True):
        assert abs(of_rows - of_bins) <= bound + 1e-9


def test_a_champion_is_compared_in_groups_of_rows(folder: Path) -> None:
    run(folder, "train")
    run(folder, "evaluate", "--ranks", "2", *FEW)
    run(folder, "promote", *FEW)
    run(folder, "train", "--set", "train.seed=5")
    run_id = run(folder, "evaluate", "--ranks", "2", *FEW)["run_id"]
    gate = read_verdict(folder, run_id)["gates"][1]
    assert gate["details"]["draws"] == 200
    assert "not worse by more than" in gate["text"]

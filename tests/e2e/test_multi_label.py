"""Several labels a row, from the lake to predictions in it: which of three sensors raise an alarm.

Two ranks, thresholds chosen, a verdict, a promotion; what Spark wrote is what the model says to
pandas and over HTTP.
"""

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn import metrics as sk

from tests.e2e.running import asked, headrace, served_model

pytestmark = [pytest.mark.e2e, pytest.mark.long]
ROWS = 3000
ALARMS = ("heat", "smoke", "water")
RECIPE = {
    "name": "alarms",
    "source": {"tables": {"readings": {"path": "${workdir}/lake"}}, "main": "readings"},
    "label": {"expression": "alarms", "kind": "multi_label"},
    "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
    "features": {
        **{name: {"kind": "standardize"} for name in ("warm", "dust", "level")},
        "room": {"kind": "vocabulary"},
    },
    "dataset": {"path": "${workdir}/dataset", "keep": ["id", "room"]},
    "model": {"kind": "mlp", "hidden": [32]},
    "train": {
        "epochs": 12, "global_batch_size": 64, "ranks": 2, "optimizer": {"learning_rate": 0.01},
        "early_stopping": {"metric": "roc_auc_macro", "patience": 12},
    },
    "evaluate": {
        "threshold": {"choose": "max_f1"},
        "slices": [{"columns": ["room"]}],
        "leakage": {"allow": ["warm", "dust", "level"]},  # each decides one alarm
        "bootstrap": 50,
        "gates": [
            {"kind": "metric", "metric": "roc_auc_macro", "at_least": 0.9},
            {"kind": "champion", "metric": "f1_micro", "not_worse_by": 0.05},
        ],
    },
    "score": {"key": ["id"]},
}  # fmt: skip


def readings() -> pd.DataFrame:
    """An alarm is raised from 1 on; a third of the rooms has no sensor of smoke."""
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (ROWS, 3))
    room = rng.integers(0, 3, ROWS)
    raised = values + rng.normal(0, 0.2, values.shape) > 1
    raised[room == 2, 1] = False
    alarms = [[n for n, r in zip(ALARMS, row, strict=True) if r] for row in raised]
    columns = dict(zip(("warm", "dust", "level"), values.T, strict=True))
    rooms = np.array(["hall", "kitchen", "attic"])[room]
    return pd.DataFrame({"id": np.arange(ROWS), **columns, "room": rooms, "alarms": alarms})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alarms")
    (folder / "w/lake").mkdir(parents=True)
    readings().to_parquet(folder / "w/lake/part-0.parquet")
    (folder / "alarms.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def test_from_the_lake_to_the_lake(folder: Path) -> None:
    common = (str(folder / "alarms.yaml"), "--workdir", str(folder / "w"), "--json")
    results = {}
    for command in ("prepare", "train", "evaluate", "promote"):
        done = headrace(command, *common)
        assert done.code == 0, done.err
        results[command] = done.result
    assert len(set(results["train"]["weights_checksum"])) == 1
    assert results["train"]["metrics"]["val_roc_auc_macro"] > 0.95
    scored = headrace(
        "score", *common, "--input", str(folder / "w/lake"), "--output", str(folder / "scores")
    )
    assert scored.code == 0, scored.err
    found = ds.dataset(folder / "scores", format="parquet", ignore_prefixes=["_", "."])
    rows = found.to_table().to_pandas().sort_values("id", ignore_index=True)
    assert rows["id"].tolist() == list(range(ROWS))
    rows["probability"] = [dict(pairs) for pairs in rows["probability"]]

    mlflow.set_tracking_uri(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/alarms@champion")
    raw = readings()
    said = model.predict(raw.drop(columns=["alarms"]))
    assert [list(named) for named in rows["prediction"]] == said["prediction"].tolist()
    for name in ALARMS:
        one, other = ([row[name] for row in frame["probability"]] for frame in (rows, said))
        np.testing.assert_allclose(one, other, atol=1e-5)

    metrics = {k.removeprefix("test_"): v for k, v in results["evaluate"]["metrics"].items()}
    places = ids_of_test(folder / "w/dataset")
    assert metrics["rows"] == len(places)
    truth, named = (
        np.array([[n in row for n in ALARMS] for row in column])
        for column in (raw["alarms"][places], rows["prediction"][places])
    )
    assert metrics["exact_match"] == pytest.approx(sk.accuracy_score(truth, named))
    assert metrics["f1_macro"] == pytest.approx(sk.f1_score(truth, named, average="macro"))
    probabilities = np.array([[row[n] for n in ALARMS] for row in rows["probability"][places]])
    assert metrics["roc_auc_macro"] == pytest.approx(
        sk.roc_auc_score(truth, probabilities, average="macro"), abs=1e-4
    )
    run = f"runs:/{results['train']['run_id']}"
    verdict = json.loads(mlflow.artifacts.load_text(f"{run}/evaluation/test/verdict.json"))
    assert {row["label"] for row in verdict["labels"]} == set(ALARMS)
    assert verdict["passed"]

    with served_model(folder / "w", "models:/alarms@champion", folder / "serve.log") as address:
        records = json.loads(raw.drop(columns=["alarms"])[:100].to_json(orient="records"))
        answer = asked(address, records)
    assert [row["prediction"] for row in answer] == said["prediction"].tolist()[:100]
    for row, expected in zip(answer, said["probability"], strict=False):
        assert row["probability"] == pytest.approx(expected, abs=1e-6)


def ids_of_test(dataset: Path) -> list[int]:
    files = sorted((dataset / "split=test").glob("*.parquet"))
    return [i for file in files for i in pq.read_table(file)["kept_id"].to_pylist()]

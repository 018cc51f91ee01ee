"""The way of a model to be the champion, and back: verdicts, gates, aliases, exit codes."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from headrace.lake import DatasetVersion
from headrace.tracking.run import resume_run
from headrace.tracking.store import Store
from tests.e2e.running import Done, headrace, prepared_tiny
from tests.pages.reading import check_page
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e

GATES = [
    {"kind": "metric", "metric": "roc_auc", "at_least": 0.6},
    {"kind": "slice", "columns": ["shop"], "metric": "accuracy", "at_least": 0.1},
    {"kind": "champion", "metric": "roc_auc", "not_worse_by": 0.01},
    {"kind": "champion", "metric": "ndcg_at_5", "not_worse_by": 0.9},
    {"kind": "size", "at_most_megabytes": 50.0},
]
GOOD = "train.optimizer.learning_rate=0.01"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tiny_tree()
    tree["dataset"]["keep"] = ["day", "shop"]
    tree["evaluate"] = {
        "threshold": {"choose": "max_f1"},
        "slices": [{"columns": ["shop"]}, {"columns": ["amount"]}, {"columns": ["day", "shop"]}],
        "ranking": {"columns": ["shop"], "at": [5]},
        "min_rows": 20,
        "gates": GATES,
    }
    return prepared_tiny(tmp_path_factory.mktemp("champion"), tree)


def command(folder: Path, name: str, *options: str) -> Done:
    recipe, workdir = str(folder / "tiny.yaml"), str(folder / "w")
    return headrace(name, recipe, "--workdir", workdir, "--json", *options)


def trained(folder: Path, *settings: str) -> dict[str, Any]:
    options = [word for setting in settings for word in ("--set", setting)]
    done = command(folder, "train", *options)
    assert done.code == 0, done.err
    return done.result


def aliases(folder: Path) -> dict[str, int]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    found = client.get_registered_model("tiny").aliases
    return {name: int(version) for name, version in found.items()}


@pytest.fixture(scope="module")
def first(folder: Path) -> dict[str, Any]:
    """Model A, with a verdict."""
    result = trained(folder, "train.epochs=6", GOOD)
    refused = command(folder, "promote")
    assert refused.code == 1
    assert "has no verdict, so it cannot be promoted" in refused.err
    done = command(folder, "evaluate")
    assert done.code == 0, done.err
    return {**result, **done.result}


@pytest.fixture(scope="module")
def champion(folder: Path, first: dict[str, Any]) -> dict[str, Any]:
    """Model A, promoted."""
    other = command(folder, "promote", "--set", "evaluate.gates=[]")
    assert other.code == 1
    assert "was judged by other gates than the recipe has now" in other.err
    done = command(folder, "promote")
    assert done.code == 0, done.err
    assert done.result["golden_rows"] > 10
    assert done.result["golden_largest_difference"] < 1e-5
    assert aliases(folder) == {"champion": 1}
    return first


def test_the_verdict_has_every_number(folder: Path, champion: dict[str, Any]) -> None:
    store = Store(f"sqlite:///{folder}/w/mlflow/mlflow.db", "tiny", "tiny", None)
    client = mlflow.MlflowClient(store.uri)
    run_id = champion["run_id"]
    verdict = json.loads(
        Path(client.download_artifacts(run_id, "evaluation/test/verdict.json")).read_text()
    )
    assert verdict["passed"] is True
    assert [g["gate"]["kind"] for g in verdict["gates"]] == [g["kind"] for g in GATES]
    assert verdict["gates"][0]["value"] == verdict["metrics"]["roc_auc"]
    low, high = verdict["intervals"]["roc_auc"]
    assert low < verdict["metrics"]["roc_auc"] <= high
    assert verdict["metrics"]["threshold"] != 0.5
    with resume_run(store, run_id) as run:
        assert run.read_history("test/roc_auc")[0][1] == verdict["metrics"]["roc_auc"]
    slices = json.loads(
        Path(client.download_artifacts(run_id, "evaluation/test/slices.json")).read_text()
    )
    by_shop = [s for s in slices if s["columns"] == ["shop"]]
    assert {s["value"] for s in by_shop} == {f"shop={x}" for x in ("a", "b", "c", "d", "missing")}
    # Rows of a day share an identity, and yet each is in the slice of its own shop.
    dataset = DatasetVersion.open(f"{folder}/dataset")
    test = dataset.read_columns("test", ["kept_shop", "raw_amount", "label"])
    rows = test.to_pandas().fillna({"kept_shop": "missing"}).groupby("kept_shop")["label"]
    assert {s["value"]: (s["rows"], s["metrics"]["positives"]) for s in by_shop} == {
        f"shop={shop}": (len(labels), labels.sum()) for shop, labels in rows
    }
    amounts = [s for s in slices if s["columns"] == ["amount"]]
    assert sum(s["rows"] for s in amounts) == verdict["metrics"]["rows"]
    missing = sum(s["rows"] for s in amounts if s["value"] == "amount missing")
    assert missing == test["raw_amount"].null_count
    assert "slice_notes" not in verdict
    # Lists are shops, too: positives are half of the rows, and the model knows which.
    assert verdict["metrics"]["ndcg_at_5"] > 0.9
    assert verdict["metrics"]["lists"] == 4
    without = test["kept_shop"].null_count
    assert verdict["metrics"]["rows_without_list"] == without > 0
    of_constant = verdict["references"]["results"]["constant"]["metrics"]["recall_at_5"]
    assert of_constant < verdict["metrics"]["recall_at_5"] < 1
    assert {s["small"] for s in slices if s["columns"] == ["day", "shop"]} == {True}


def test_the_report_is_complete_in_itself(folder: Path, champion: dict[str, Any]) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    page = Path(
        client.download_artifacts(champion["run_id"], champion["evaluation_report"])
    ).read_text()
    titles = re.findall(r"<h2[^>]*>([^<]*)", page)
    for title in ("Headline", "Verdict", "Confusion matrix", "Calibration", "Worst rows",
                  "ROC and precision-recall", "Threshold table", "Slices, the worst first",
                  "Importance of features", "Single features", "All metrics"):  # fmt: skip
        assert any(found.startswith(title) for found in titles), (title, titles)
    check_page(page)  # nothing is loaded, and no script runs but its own
    assert page.count("<svg") >= 7
    plots = [f.path for f in client.list_artifacts(champion["run_id"], "plots/test")]
    assert "plots/test/importance.png" in plots


def test_the_threshold_goes_with_the_model(folder: Path, champion: dict[str, Any]) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/tiny/1")
    (parameter,) = model.metadata.signature.params.params
    assert parameter.default == pytest.approx(champion["metrics"]["test_threshold"])
    metadata = json.loads(model.metadata.metadata["headrace"])
    assert metadata["threshold_chosen"]["choose"] == "max_f1"


@pytest.mark.long
def test_worse_is_refused_better_is_promoted_and_rollback_goes_back(
    folder: Path, champion: dict[str, Any]
) -> None:
    worse = trained(folder, "train.epochs=1", "train.optimizer.learning_rate=0.00001")
    judged = command(folder, "evaluate")
    assert judged.code == 3, judged.err
    result = judged.result
    assert (result["ok"], result["exit_code"]) == (False, 3)
    assert result["model_uri"] == worse["model_uri"]
    failed = {g["gate"]["kind"] for g in result["verdict"]["gates"] if not g["passed"]}
    assert failed == {"metric", "champion"} or failed == {"champion"}
    refused = command(folder, "promote")
    assert refused.code == 3, refused.err
    assert "worse than models:/tiny/1" in refused.err
    assert aliases(folder) == {"champion": 1}

    better = trained(folder, "train.epochs=60", GOOD)
    judged = command(folder, "evaluate")
    assert judged.code == 0, judged.err
    gate, of_lists = (
        g for g in judged.result["verdict"]["gates"] if g["gate"]["kind"] == "champion"
    )
    assert of_lists["text"].startswith("ndcg_at_5: ")
    assert of_lists["passed"]
    assert gate["details"]["rows"] == judged.result["metrics"]["test_rows"]
    assert gate["value"] > 0
    promoted = command(folder, "promote")
    assert promoted.code == 0, promoted.err
    number = int(better["model_uri"].rpartition("/")[2])
    assert aliases(folder) == {"champion": number, "previous": 1}

    # What was judged beside another champion has to be judged again.
    stale = command(folder, "promote", "--model", worse["model_uri"])
    assert stale.code == 3
    back = command(folder, "rollback")
    assert back.code == 0, back.err
    assert aliases(folder) == {"champion": 1}


@pytest.mark.long
def test_a_model_that_gives_something_else_is_not_promoted(
    folder: Path, champion: dict[str, Any]
) -> None:
    """The artifact of a judged model is replaced by another one's."""
    result = trained(folder, "train.epochs=20", GOOD)
    assert command(folder, "evaluate").code == 0
    client = mlflow.MlflowClient(f"sqlite:///{folder}/w/mlflow/mlflow.db")
    name, number = result["model_uri"].removeprefix("models:/").split("/")
    places = [
        Path(client.get_model_version_download_uri(name, version).removeprefix("file://"))
        / "artifacts" / "saved_model"
        for version in ("1", number)
    ]  # fmt: skip
    shutil.rmtree(places[1])
    shutil.copytree(*places)
    before = aliases(folder)
    done = command(folder, "promote", "--model", result["model_uri"])
    assert done.code == 3, done.err
    assert "loaded again, predicts" in done.err
    assert aliases(folder) == before


@pytest.mark.long
def test_a_model_that_takes_too_long_fails(folder: Path, champion: dict[str, Any]) -> None:
    gates = "evaluate.gates=[{kind: latency, at_most_milliseconds: %s, rows: 3, percentile: 50}]"
    for limit, code in ((5000.0, 0), (0.01, 3)):
        done = command(folder, "evaluate", "--model", "models:/tiny/1", "--set", gates % limit)
        assert done.code == code, done.err
        (gate,) = done.result["verdict"]["gates"]
        assert 0.01 < gate["value"] < 5000
        assert "50th percentile of 50 predictions of 3 rows" in gate["text"]
    again = command(folder, "evaluate", "--model", "models:/tiny/1")
    assert again.code == 0, again.err


@pytest.mark.long
def test_another_transform_is_compared_on_the_same_rows(
    folder: Path, champion: dict[str, Any]
) -> None:
    """A dataset with one feature less has the same rows in other clothes."""
    tree = yaml.safe_load((folder / "tiny.yaml").read_text())
    del tree["features"]["note"]
    (folder / "other.yaml").write_text(yaml.safe_dump(tree))
    recipe = [str(folder / "other.yaml"), "--workdir", str(folder / "w"), "--json"]
    assert headrace("prepare", *recipe).code == 0
    done = headrace("train", *recipe, "--set", "train.epochs=40", "--set", GOOD)
    assert done.code == 0, done.err
    judged = headrace("evaluate", *recipe)
    assert judged.code == 0, judged.err
    gate, of_lists = (
        g for g in judged.result["verdict"]["gates"] if g["gate"]["kind"] == "champion"
    )
    assert of_lists["text"].startswith("ndcg_at_5: ")
    assert of_lists["passed"]
    assert gate["details"]["rows"] == gate["details"]["of"]


@pytest.mark.long
def test_any_number_of_ranks_gives_the_same(folder: Path, champion: dict[str, Any]) -> None:
    found = []
    for ranks in (1, 2, 3):
        done = command(
            folder, "evaluate", "--model", "models:/tiny/1", "--ranks", str(ranks),
            "--set", "train.global_batch_size=72", "--set", "stream.canonical_shards=24",
        )  # fmt: skip
        assert done.code == 0, done.err
        metrics = done.result["metrics"]
        gates = [gate["value"] for gate in done.result["verdict"]["gates"]]
        found.append({**metrics, **{f"gate {i}": v for i, v in enumerate(gates)}})
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6, abs=1e-9)


@pytest.mark.long
def test_a_feature_that_copies_the_label_is_called_out(tmp_path: Path) -> None:
    """Known only afterwards, and not declared `unavailable`."""
    tree = tiny_tree()
    tree["features"]["echo"] = {"kind": "standardize"}
    tree["evaluate"] = {"gates": [], "importance_rows": 0}  # features are looked at all the same
    write_tiny_lake(tmp_path / "lake")
    file = tmp_path / "lake" / "visits" / "part-0.parquet"
    visits = pq.read_table(file)
    echo = [None if late is None else float(late) for late in visits["late"].to_pylist()]
    pq.write_table(visits.append_column("echo", pa.array(echo)), file)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    done = headrace("run", str(tmp_path / "tiny.yaml"), "--workdir", str(tmp_path), "--json")
    assert done.code == 3, done.err
    (gate,) = done.result["verdict"]["gates"]
    assert (gate["gate"]["kind"], gate["gate"]["feature"]) == ("leakage", "echo")
    assert "feature echo says nearly all of the label by itself" in done.err
    allowed = "evaluate.leakage.allow=[echo]"
    again = headrace(
        "evaluate", str(tmp_path / "tiny.yaml"), "--workdir", str(tmp_path), "--set", allowed
    )
    assert again.code == 0, again.err

"""The road on a tiny lake: spark-submit, the served model's raw rows, bad lakes by exit code."""

import os
from pathlib import Path

import pandas as pd
import pytest
import yaml

from headrace.lake import DatasetVersion
from tests.e2e.running import BIN, ROOT, Done, headrace, run
from tests.tiny import tiny_tree, write_tiny_lake

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_lake(folder / "lake")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_tree()))
    return folder


def job(name: str, workdir: Path, *options: str) -> Done:
    return run(
        str(BIN / "spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false",
        str(ROOT / "jobs" / f"{name}.py"), str(workdir / "tiny.yaml"),
        "--workdir", str(workdir), "--json", *options,
        PYSPARK_PYTHON=str(BIN / "python"), SPARK_LOCAL_IP="127.0.0.1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def submitted(workdir: Path) -> Done:
    return job("pipeline", workdir)


def test_the_whole_road_by_spark_submit(submitted: Done, workdir: Path) -> None:
    assert submitted.code == 0, submitted.err
    result = submitted.result
    assert result["ledger"]["read"] == 600
    assert DatasetVersion.open(str(workdir / "dataset")).version == 0
    assert result["metrics"]["test_rows"] == result["ledger"]["published"]["test"]


@pytest.mark.long
def test_every_stage_by_itself_gives_the_same(submitted: Done, workdir: Path) -> None:
    prepared = job("prepare", workdir, "--full")
    assert prepared.code == 0, prepared.err
    assert prepared.result["dataset"]["version"] == 1
    assert prepared.result["dataset"]["digest"] == submitted.result["dataset"]["digest"]
    trained = job("train", workdir)
    assert trained.code == 0, trained.err
    assert trained.result["weights_checksum"] == submitted.result["weights_checksum"]
    evaluated = job("evaluate", workdir, "--model", "models:/tiny/2")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.result["metrics"]["test_log_loss"] == pytest.approx(
        submitted.result["metrics"]["test_log_loss"], abs=1e-6
    )


def test_the_model_takes_raw_rows_as_people_have_them(submitted: Done) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow.set_tracking_uri(submitted.result["tracking_uri"])
    model = mlflow.pyfunc.load_model(submitted.result["model_uri"])
    rows = pd.DataFrame(
        {
            "shop": ["a", None, "unseen", "é"],
            "amount": [50.0, None, float("nan"), 1e300],
            "size": [None, 1.5, 2.0, float("inf")],
            "clock": [1230, 30, 2359, 9999],  # a whole number, or a float where one is null
            "note": ["", None, "日本", "x" * 1000],
        }
    )
    found = model.predict(rows)
    assert found["probability"].between(0, 1).all()
    assert list(found.columns) == ["probability", "prediction"]
    # further columns are ignored, other row labels survive, one row is like many
    alone = model.predict(rows.iloc[[2]].assign(extra=1).set_index(pd.Index([77])))
    assert alone.index.tolist() == [77]
    assert alone["probability"].iloc[0] == pytest.approx(found["probability"].iloc[2], abs=1e-6)
    assert model.predict(rows, params={"threshold": 0.0})["prediction"].tolist() == [1, 1, 1, 1]
    whole = model.predict(rows.assign(amount=50, clock=[1230.0, 30, None, None]))
    assert whole["probability"].iloc[0] == pytest.approx(found["probability"].iloc[0], abs=1e-6)
    with pytest.raises(MlflowException, match="clock"):
        model.predict(rows.drop(columns="clock"))
    with pytest.raises(
        ValueError, match="raw column 'amount' holds 'much' of type str, expected a"
    ):
        model.predict(rows.assign(amount="much"))
    with pytest.raises(
        ValueError, match=r"raw column .clock. holds 12.5 of type float, expected a whole"
    ):
        model.predict(rows.assign(clock=12.5))


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("source.tables.visits.path=/nowhere/visits", 1, "there is nothing at /nowhere/visits"),
        pytest.param(
            "split.key=[dya]",
            2,
            "column 'dya' is missing (needed by split.key)",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "features.shop.kind=standardize",
            1,
            "column 'shop' has type string",
            marks=pytest.mark.long,
        ),
    ],
)
def test_bad_lakes_publish_nothing_and_say_whose_fault_it_is(
    override: str, code: int, message: str, workdir: Path, tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    done = headrace(
        "prepare", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--json",
        "--set", f"dataset.path={dataset}", "--set", override,
    )  # fmt: skip
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert "Exception" not in done.err
    assert message in done.result["error"]["message"]
    assert not dataset.exists()


@pytest.mark.long
def test_figures_on_another_dataset_version_do_not_replace_the_first(
    workdir: Path, submitted: Done
) -> None:
    import mlflow

    version = headrace(
        "prepare", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--json", "--full"
    )
    number = version.result["dataset"]["version"]
    done = headrace(
        "evaluate", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--json",
        "--model", submitted.result["model_uri"], "--dataset-version", str(number),
    )  # fmt: skip
    assert done.code == 0, done.err
    mlflow.set_tracking_uri(submitted.result["tracking_uri"])
    client = mlflow.MlflowClient()
    names = client.get_run(submitted.result["run_id"]).data.metrics
    assert f"test/on_version_{number}/log_loss" in names
    assert len(client.get_metric_history(submitted.result["run_id"], "test/log_loss")) == 1


@pytest.mark.long
def test_a_model_does_not_fit_a_dataset_with_another_transform(
    workdir: Path, submitted: Done
) -> None:
    other = headrace(
        "prepare", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--json",
        "--set", "split.seed=9",
    )  # fmt: skip
    done = headrace(
        "evaluate", str(workdir / "tiny.yaml"), "--workdir", str(workdir),
        "--model", submitted.result["model_uri"],
        "--dataset-version", str(other.result["dataset"]["version"]),
    )  # fmt: skip
    assert done.code == 1
    assert "was trained with another transform" in done.err


def test_a_file_that_was_rewritten_is_named_by_training(workdir: Path, submitted: Done) -> None:
    dataset = DatasetVersion.open(submitted.result["dataset"]["path"], 0)
    path = Path(dataset.root) / dataset.list_files("train")[0].path
    whole = path.read_bytes()
    path.write_bytes(dataset_file_of_one_row(path))
    try:
        done = headrace(
            "train", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--dataset-version", "0"
        )
    finally:
        path.write_bytes(whole)
    assert done.code == 1
    assert f"{path} has " in done.err
    assert f"bytes, the dataset version says {len(whole):,}: the file was rewritten" in done.err
    assert "Traceback" not in done.err


def dataset_file_of_one_row(path: Path) -> bytes:
    import io

    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pq.ParquetFile(path).read().slice(0, 1), sink)
    return sink.getvalue()


@pytest.mark.long
def test_a_terminated_training_ends_its_run_as_killed(workdir: Path, submitted: Done) -> None:
    import signal
    import subprocess

    import mlflow

    mlflow.set_tracking_uri(submitted.result["tracking_uri"])
    client = mlflow.MlflowClient()
    known = {r.info.run_id for r in client.search_runs([experiment(client)])}
    process = subprocess.Popen(
        [str(BIN / "headrace"), "train", str(workdir / "tiny.yaml"), "--workdir", str(workdir),
         "--set", "train.epochs=100000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "MLFLOW_TRACKING_URI": submitted.result["tracking_uri"]},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 2 of" in line or "epoch 3 of" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "terminated by SIGTERM" in err
    (new,) = [r for r in client.search_runs([experiment(client)]) if r.info.run_id not in known]
    assert new.info.status == "KILLED"


def experiment(client: object) -> str:
    return client.get_experiment_by_name("tiny").experiment_id


def test_a_loss_that_is_not_finite_fails_the_run(workdir: Path, submitted: Done) -> None:
    done = headrace(
        "train", str(workdir / "tiny.yaml"), "--workdir", str(workdir), "--ranks", "2",
        "--set", "train.optimizer={kind: sgd, learning_rate: 1.0e+38}",
    )  # fmt: skip
    assert done.code == 1
    assert "the loss is" in done.err
    assert "lower train.optimizer.learning_rate" in done.err

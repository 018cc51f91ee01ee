"""The recipes on images and on series, end to end: `headrace run` on real data."""

from pathlib import Path

import pytest

from headrace.lake import DatasetVersion
from tests.e2e.running import Done, headrace

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def digits_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lakes") / "digits"
    done = headrace("lake", "digits", "--out", str(folder))
    assert done.code == 0, done.err
    return folder


def run_recipe(name: str, workdir: Path, lake: Path, *options: str) -> Done:
    done = headrace(
        "run", f"conf/{name}.yaml", "--workdir", str(workdir), "--json",
        "--set", f"lake={lake}", *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done


@pytest.mark.long
def test_digits_by_a_convolutional_network(tmp_path: Path, digits_lake: Path) -> None:
    done = run_recipe("digits", tmp_path, digits_lake)
    assert done.result["ledger"]["read"] == 1797
    assert sum(done.result["ledger"]["published"].values()) == 1797
    assert done.result["metrics"]["test_rows"] == done.result["ledger"]["published"]["test"] > 300
    assert done.result["metrics"]["test_accuracy"] >= 0.97
    images = _images(done)
    assert len(images) == done.result["ledger"]["published"]["test"]
    assert {len(image) for image in images} == {8 * 8}


@pytest.mark.long
def test_digits_by_the_classic_dense_network(tmp_path: Path, digits_lake: Path) -> None:
    done = run_recipe(
        "digits", tmp_path, digits_lake, "--set", "model={kind: mlp, hidden: [64]}"
    )  # fmt: skip
    assert done.result["metrics"]["test_accuracy"] >= 0.93


# As the recipe's own comment has it.
TRANSFORMER = (
    "--set", "train.optimizer.learning_rate=0.0002",
    "--set", "model={kind: transformer, blocks: 1, heads: 4, width: 32, pool: last, dropout: 0.1}",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("options", [(), TRANSFORMER], ids=["recurrent", "transformer"])
def test_weather_beats_tomorrow_as_today(
    tmp_path: Path, flights_lake: Path, options: tuple[str, ...]
) -> None:
    metrics = run_recipe("weather", tmp_path, flights_lake, *options).result["metrics"]
    assert metrics["test_rows"] > 5000
    assert 4 < metrics["test_baseline_mae"] < 9  # degrees Fahrenheit
    assert metrics["test_mae"] < metrics["test_baseline_mae"]
    assert metrics["test_mae_over_baseline"] == pytest.approx(
        metrics["test_mae"] / metrics["test_baseline_mae"]
    )
    assert metrics["test_mae_over_baseline"] < 0.95


def _images(done: Done) -> list[bytes]:
    import pyarrow.parquet as pq

    dataset = DatasetVersion.open(done.result["dataset"]["path"])
    tables = [pq.read_table(f"{dataset.root}/{file.path}") for file in dataset.list_files("test")]
    return [image for table in tables for image in table["image"].to_pylist()]

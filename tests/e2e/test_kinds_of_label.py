"""Training and evaluation of several classes and of numbers, from dataset versions made by hand.

Their rows are written here as `prepare` writes them, so that what fails is not Spark.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.evaluate import Evaluated, evaluate
from headrace.features.image import ImageFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tokens import TokensFeature
from headrace.labels.spec import LabelSpec
from headrace.lake import DataFile, Ledger, publish_build
from headrace.lake.build import Build
from headrace.lake.data_file import SPLITS
from headrace.lake.transform_file import compute_transform_digest
from headrace.progress import ignore_progress
from headrace.recipe import Recipe, build_recipe
from headrace.train import Trained, train
from headrace.transform.arrow import ArrowTransform
from headrace.transform.spec import RawColumn, TransformSpec
from tests.tiny import tiny_tree

pytestmark = pytest.mark.e2e
ROWS = {"train": 900, "validation": 203, "test": 305}


def write_version(root: Path, spec: TransformSpec, splits: dict[str, pa.Table]) -> None:
    """Publish raw tables that have a `label` (and `sample_weight`, `baseline`) column each."""
    files = []
    for split, raw in splits.items():
        arrays: dict[str, Any] = {"row_id": np.arange(len(raw))}
        for name, values in ArrowTransform(spec)(raw).items():
            arrays[name] = column(values)
        for name in ("label", "sample_weight", "baseline"):
            if name in raw.column_names:
                arrays[name] = raw[name]
        folder = root / f"split={split}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table(arrays), folder / "part-0.parquet", row_group_size=128)
        sizes = [min(128, len(raw) - first) for first in range(0, len(raw), 128)]
        path = folder / "part-0.parquet"
        files.append(
            DataFile(
                path=f"split={split}/part-0.parquet", split=split, bytes=path.stat().st_size,
                row_groups=tuple(sizes), content=split,
            )
        )  # fmt: skip
    published = {split: len(raw) for split, raw in splits.items()}
    build = Build(
        build_id="by-hand", created_at="2026-01-01T00:00:00+00:00", headrace_version="0", recipe={},
        sources={}, files=tuple(files), label_kind=spec.label.kind,
        transform_digest=compute_transform_digest(spec.to_json()),
        ledger=Ledger(
            read=sum(published.values()), published=published, quarantined={}, duplicates=0,
            filtered={},
        ),
    )  # fmt: skip
    publish_build(str(root), build, pa.table(arrays).schema, spec.to_json())


def column(values: np.ndarray) -> Any:
    """Scalars as they are, (rows, length) as lists, images as bytes of fixed length."""
    if values.dtype == np.uint8:
        return pa.array([image.tobytes() for image in values], pa.binary(values[0].size))
    return pa.array(list(values)) if values.ndim == 2 else values


def recipe(workdir: Path, **sections: Any) -> Recipe:
    tree = {**tiny_tree(), **sections}
    return build_recipe(tree, source="by hand", overrides=(), workdir=str(workdir), environment={})


def run(workdir: Path, wanted: Recipe) -> tuple[Trained, Evaluated]:
    trained = train(wanted, workdir=str(workdir), report=ignore_progress)
    return trained, evaluate(wanted, workdir=str(workdir), report=ignore_progress)


def loaded(workdir: Path, trained: Trained) -> Any:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{workdir}/mlflow/mlflow.db")
    return mlflow.pyfunc.load_model(trained.model_uri)


def bars(split: str) -> pa.Table:
    """4 x 4 images of which one row, or column, is bright; the class says which of the two.

    Half of them are hidden in noise, but then a tag tells.
    """
    rng = np.random.default_rng(SPLITS.index(split))
    rows = ROWS[split]
    label = rng.integers(0, 3, rows)  # 2: nothing is bright
    images = rng.integers(0, 60, (rows, 4, 4))
    place = rng.integers(0, 4, rows)
    hidden = rng.random(rows) < 0.5
    for n in range(rows):
        if not hidden[n] and label[n] < 2:
            bright = (place[n], slice(None)) if label[n] == 0 else (slice(None), place[n])
            images[n][bright] = 255
    names = np.array(["row", "column", "nothing"])
    tags = [[names[k], "noise"] if h else ["seen"] for k, h in zip(label, hidden, strict=True)]
    return pa.table(
        {
            "image": pa.array([i.reshape(-1).tolist() for i in images], pa.list_(pa.int64())),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "label": label.astype(np.int32),
        }
    )


BARS = TransformSpec(
    raw=(
        RawColumn(name="image", kind="integers", nullable=False),
        RawColumn(name="tags", kind="strings", nullable=True),
    ),
    derived=(),
    features=(
        ImageFeature(name="image", column="image", height=4, width=4, channels=1),
        TokensFeature(
            name="tags", column="tags", length=3,
            values=("noise", "seen", "row", "column", "nothing"),
        ),
    ),
    label=LabelSpec(kind="classes", classes=("row", "column", "nothing")),
)  # fmt: skip


def test_classes_by_a_cnn_on_two_ranks(tmp_path: Path) -> None:
    write_version(tmp_path / "dataset", BARS, {split: bars(split) for split in SPLITS})
    wanted = recipe(
        tmp_path,
        label={"expression": "kind", "kind": "classes"},
        features={
            "image": {"kind": "image", "height": 4, "width": 4},
            "tags": {"kind": "multi_valued", "length": 3},
        },
        derive={},
        model={"kind": "cnn", "filters": [8], "hidden": [16]},
        train={
            "epochs": 12, "global_batch_size": 32, "ranks": 2,
            "optimizer": {"learning_rate": 0.01},
            "early_stopping": {"metric": "accuracy", "patience": 12},
        },
    )  # fmt: skip
    trained, evaluated = run(tmp_path, wanted)
    assert len(set(trained.weights_checksum)) == 1
    assert len(trained.weights_checksum) == 2
    assert trained.metrics["val_accuracy"] > 0.95
    assert evaluated.metrics["rows"] == ROWS["test"]
    raw = bars("test").to_pandas()
    found = loaded(tmp_path, trained).predict(raw)
    names = np.array(BARS.label.classes)[raw["label"]]
    assert (found["prediction"] == names).mean() == pytest.approx(evaluated.metrics["accuracy"])
    assert evaluated.metrics["accuracy"] > 0.9


def tides(split: str) -> pa.Table:
    """The next value of two waves; the baseline says it is the last one.

    A third of the train rows has a wild label, and no weight.
    """
    rng = np.random.default_rng(10 + SPLITS.index(split))
    rows = ROWS[split]
    phase = rng.uniform(0, 2 * np.pi, rows)
    steps = phase[:, None] + np.arange(9) * 0.7
    height = 100 + 20 * np.sin(steps)
    label = (height[:, 8] - 100) / 15
    wild = rng.random(rows) < 0.33 if split == "train" else np.zeros(rows, bool)
    label[wild] += 50
    return pa.table(
        {
            "height": pa.array(height[:, :8].tolist()),
            "slope": pa.array(np.cos(steps[:, :8]).tolist()),
            "moon": rng.normal(size=rows),
            "label": label.astype(np.float32),
            "sample_weight": np.where(wild, 0, 2).astype(np.float32),
            "baseline": height[:, 7].astype(np.float32),
        }
    )


TIDES = TransformSpec(
    raw=(
        RawColumn(name="height", kind="reals", nullable=False),
        RawColumn(name="slope", kind="reals", nullable=False),
        RawColumn(name="moon", kind="real", nullable=True),
    ),
    derived=(),
    features=(
        SeriesFeature(name="height", column="height", length=8, center=100.0, scale=15.0),
        SeriesFeature(name="slope", column="slope", length=8),
        ScaledFeature(name="moon", column="moon"),
    ),
    label=LabelSpec(kind="regression", center=100.0, scale=15.0, weighted=True, baseline=True),
)


@pytest.mark.long
def test_numbers_with_weights_and_a_baseline(tmp_path: Path) -> None:
    write_version(tmp_path / "dataset", TIDES, {split: tides(split) for split in SPLITS})
    series = {"kind": "series", "length": 8}
    wanted = recipe(
        tmp_path,
        label={"expression": "next", "kind": "regression", "standardize": True},
        features={"height": series, "slope": series, "moon": {"kind": "standardize"}},
        derive={},
        model={"kind": "transformer", "blocks": 1, "heads": 2, "width": 16, "hidden": [16]},
        train={
            "epochs": 15, "global_batch_size": 32, "ranks": 1,
            "optimizer": {"learning_rate": 0.01},
            "early_stopping": {"metric": "mae", "patience": 15},
        },
    )  # fmt: skip
    trained, evaluated = run(tmp_path, wanted)
    found = evaluated.metrics
    test = tides("test")
    truth = test["label"].to_numpy().astype(float) * 15 + 100
    assert found["baseline_mae"] == pytest.approx(
        np.abs(truth - test["baseline"].to_numpy()).mean(), abs=1e-4
    )
    # wild labels lie 750 off: without weights the model would be, too
    assert found["mae"] < 3
    assert found["mae_over_baseline"] == pytest.approx(found["mae"] / found["baseline_mae"])
    assert found["mae_over_baseline"] < 0.4
    assert trained.metrics["train_loss"] < 1
    predicted = loaded(tmp_path, trained).predict(test.to_pandas())["prediction"]
    assert np.abs(predicted - truth).mean() == pytest.approx(found["mae"], rel=1e-4)
    one = pd.DataFrame({"height": [[100.0] * 8], "slope": [None], "moon": [float("nan")]})
    assert np.isfinite(loaded(tmp_path, trained).predict(one)["prediction"]).all()

"""Labels: weights of rows and classes, classes that training never saw."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.prepare.people import build, people, recipe
from tests.prepare.tiny_builds import rows_of

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]


def test_a_sample_weight_must_be_a_weight(tmp_path: Path) -> None:
    label = {"expression": "y", "sample_weight": "age / 10"}
    dataset = build(tmp_path, clean={}, label=label)
    assert dataset.build.ledger.quarantined == {"label.sample_weight": 3}  # null, NaN, negative
    rows = rows_of(dataset)
    assert rows["sample_weight"].min() > 0


def test_class_weights_are_in_the_rows(tmp_path: Path) -> None:
    label = {"expression": "y", "class_weight": {"true": 3.0, "false": 0.5}}
    rows = rows_of(build(tmp_path, clean={}, label=label))
    assert (rows["sample_weight"] == rows["label"].map({1.0: 3.0, 0.0: 0.5})).all()


def test_a_class_that_training_never_saw_is_filtered(tmp_path: Path) -> None:
    table = people()
    only = rows_by_split(tmp_path)["validation"][0]
    names = ["rare" if n == only else "ab"[n % 2] for n in range(40)]
    table = table.append_column("c", pa.array(names))
    dataset = build(tmp_path, table, clean={}, label={"expression": "c", "kind": "classes"})
    assert dataset.build.ledger.filtered["label class is not in the train split"] == 1
    assert sorted(rows_of(dataset)["label"].unique()) == [0, 1]


def rows_by_split(workdir: Path) -> dict[str, list[int]]:
    """Ids a split, as the split's own function gives them."""
    from pyspark.sql import SparkSession

    from pipelines.prepare.tag import split_of

    spark = SparkSession.getActiveSession()
    frame = spark.range(40).select("id", split_of(recipe(workdir)).alias("split")).toPandas()
    names = frame["split"].map({0: "train", 1: "validation", 2: "test"})
    return frame.groupby(names)["id"].apply(list).to_dict()

"""Labels: weights of rows and classes, classes that training never saw."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import LakeError
from headrace.labels.spec import LabelSpec
from headrace.transform.spec import TransformSpec
from tests.prepare.people import build, make_people, make_recipe
from tests.prepare.tiny_builds import has_published_nothing, read_rows

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]


def test_a_sample_weight_must_be_a_weight(tmp_path: Path) -> None:
    label = {"expression": "y", "sample_weight": "age / 10"}
    dataset = build(tmp_path, clean={}, label=label)
    assert dataset.build.ledger.quarantined == {"label.sample_weight": 3}  # null, NaN, negative
    rows = read_rows(dataset)
    assert rows["sample_weight"].min() > 0


def test_class_weights_are_in_the_rows(tmp_path: Path) -> None:
    label = {"expression": "y", "class_weight": {"true": 3.0, "false": 0.5}}
    rows = read_rows(build(tmp_path, clean={}, label=label))
    assert (rows["sample_weight"] == rows["label"].map({1.0: 3.0, 0.0: 0.5})).all()


def test_a_class_that_training_never_saw_is_filtered(tmp_path: Path) -> None:
    table = make_people()
    only = rows_by_split(tmp_path)["validation"][0]
    names = ["rare" if n == only else "ab"[n % 2] for n in range(40)]
    table = table.append_column("c", pa.array(names))
    dataset = build(tmp_path, table, clean={}, label={"expression": "c", "kind": "classes"})
    assert dataset.build.ledger.filtered["label class is not in the train split"] == 1
    assert sorted(read_rows(dataset)["label"].unique()) == [0, 1]


TAGS = [["b", "a"], [], ["a", "a", None, ""], None, ["b"], [None]]


def tags_of(row: int) -> set[str]:
    return {tag for tag in TAGS[row % len(TAGS)] or () if tag}


@pytest.mark.parametrize("read_with", ["auto", "spark"])
def test_several_labels_a_row(tmp_path: Path, read_with: str) -> None:
    tags = pa.array([TAGS[n % len(TAGS)] for n in range(40)], pa.list_(pa.string()))
    table = make_people().append_column("tags", tags)
    dataset = build(
        tmp_path,
        table,
        clean={},
        label={"expression": "tags", "kind": "multi_label", "sample_weight": "id + 1.0"},
        dataset={"path": str(tmp_path / "dataset"), "keep": ["id"]},
        source=source_of(tmp_path, read_with),
    )
    assert dataset.build.ledger.filtered == {"label is null": 7}  # rows 3, 9, …, 39
    rows = read_rows(dataset)
    assert len(rows) == 33
    for row, label in zip(rows["kept_id"], rows["label"], strict=True):
        assert label.tolist() == [float(name in tags_of(row)) for name in "ab"], row
    assert (rows["sample_weight"] == rows["kept_id"] + 1).all()
    spec = TransformSpec.from_json(dataset.transform_json)
    assert spec.label == LabelSpec(kind="multi_label", classes=("a", "b"), weighted=True)
    (distribution,) = (d for d in dataset.profile.distributions if d.name == "label")
    assert distribution.labels == ("(none)", "a", "b", "other")
    counts = np.array(list(distribution.counts.values())).sum(axis=0)
    published = [tags_of(row) for row in rows["kept_id"]]
    with_each = [sum(name in tags for tags in published) for name in "ab"]
    assert counts.tolist() == [sum(not tags for tags in published), *with_each, 0]


def test_a_label_that_training_never_saw_is_filtered(tmp_path: Path) -> None:
    only = rows_by_split(tmp_path)["test"][0]
    codes = [[7, 10 + n % 2] + ([99] if n == only else []) for n in range(40)]
    table = make_people().append_column("codes", pa.array(codes, pa.list_(pa.int32())))
    label = {"expression": "codes", "kind": "multi_label"}
    dataset = build(tmp_path, table, clean={}, label=label)
    assert dataset.build.ledger.filtered["label class is not in the train split"] == 1
    spec = TransformSpec.from_json(dataset.transform_json)
    assert spec.label.classes == ("7", "10", "11")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("note", r"label.expression \(note\) has type string, expected an array of texts"),
        (
            "array(double(id))",
            r"has type array<double>, expected an array of texts or whole numbers",
        ),
        ("array('a')", "fewer than two labels.*there is 'a'; nothing was published"),
        ("slice(array('a'), 1, 0)", "fewer than two labels.*there is none; nothing"),
        ("array(concat('a', char(31)), 'b')", "control character 0x1F: .*a.*take it out"),
        ("array('a', 'b')", r"every row of the train split \(\d+\) has every label"),
        ("array(array('a'))", r"has type array<array<string>>, expected an array of texts"),
    ],
)
def test_what_is_no_set_of_labels_is_refused(tmp_path: Path, expression: str, message: str) -> None:
    label = {"expression": expression, "kind": "multi_label"}
    with pytest.raises(LakeError, match=message):
        build(tmp_path, clean={}, label=label)
    assert has_published_nothing(tmp_path)


def test_more_labels_than_a_row_can_have_numbers_for_are_refused(tmp_path: Path) -> None:
    codes = [[f"{n}-{i}" for i in range(300)] for n in range(40)]
    table = make_people().append_column("codes", pa.array(codes))
    with pytest.raises(LakeError, match=r"different labels, .* 5,000 at most; keep the"):
        build(tmp_path, table, clean={}, label={"expression": "codes", "kind": "multi_label"})
    assert has_published_nothing(tmp_path)


def source_of(workdir: Path, read_with: str) -> dict[str, object]:
    tables = {"people": {"path": f"{workdir}/lake/people", "read_with": read_with}}
    return {"tables": tables, "main": "people"}


def rows_by_split(workdir: Path) -> dict[str, list[int]]:
    """Ids a split, as the split's own function gives them."""
    from pyspark.sql import SparkSession

    from headrace.prepare.split import assign_split
    from headrace.source.raw_schema import RawSchema

    spark = SparkSession.getActiveSession()
    ids = spark.range(40)
    split = assign_split(make_recipe(workdir), RawSchema.from_frame(ids)).alias("split")
    frame = ids.select("id", split).toPandas()
    names = frame["split"].map({0: "train", 1: "validation", 2: "test"})
    return frame.groupby(names)["id"].apply(list).to_dict()

"""The Arrow schema of data files, for inputs and labels of every kind."""

import pyarrow as pa
import pytest

from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.prepare.write.schema import (
    build_file_schema,
    cast_raw_column,
    choose_rows_per_row_group,
)
from headrace.recipe import sections
from headrace.transform.spec import TransformSpec
from tests.models import specs


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (specs.BINARY, pa.float32()),
        (specs.CLASSES, pa.int32()),
        (specs.LABELS, pa.list_(pa.float32())),
        (specs.REGRESSION, pa.float32()),
    ],
)
def test_the_label_has_the_type_of_its_kind(label: LabelSpec, expected: pa.DataType) -> None:
    schema = build_file_schema(specs.make_spec(specs.NUMBER, label=label))
    assert schema.names == ["row_id", "x", "label"]
    assert [field.type for field in schema] == [pa.int64(), pa.float32(), expected]
    assert not any(field.nullable for field in schema)


def test_features_of_every_kind() -> None:
    schema = build_file_schema(specs.make_spec(*specs.EVERY))
    types = {field.name: field.type for field in schema}
    assert types == {
        "row_id": pa.int64(),
        "x": pa.float32(),
        "w": pa.int32(),
        "h": pa.int32(),
        "_tags": pa.list_(pa.int32()),
        "tide": pa.list_(pa.float32()),
        "wind": pa.list_(pa.float32()),
        "photo": pa.binary(64),
        "label": pa.float32(),
    }


def test_weights_baseline_and_passthrough_columns_come_last() -> None:
    label = LabelSpec(kind="regression", weighted=True, baseline=True)
    passthrough = {"day": "integer", "at": "timestamp", "word": "string", "x": "real"}
    schema = build_file_schema(specs.make_spec(specs.NUMBER, label=label), passthrough)
    assert schema.names == [
        "row_id", "x", "label", "sample_weight", "baseline", "kept_day", "kept_at", "kept_word",
        "kept_x",
    ]  # fmt: skip
    assert schema.field("kept_at").type == pa.timestamp("us", "UTC")
    assert [field.name for field in schema if field.nullable] == schema.names[-4:]


def test_raw_columns_come_after_those_that_are_kept() -> None:
    stored = {
        "day": StoredColumn(name="kept_day", type="integer"),
        "at": StoredColumn(name="raw_at", type="timestamp"),
        "flag": StoredColumn(name="raw_flag", type="boolean"),
    }
    schema = build_file_schema(specs.make_spec(specs.NUMBER), {"day": "integer"}, stored)
    assert schema.names == ["row_id", "x", "label", "kept_day", "raw_at", "raw_flag"]
    assert [schema.field(name).type for name in schema.names[-2:]] == [
        pa.timestamp("us", "UTC"), pa.int64(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([2**53 + 1, None]), "integer", [2**53 + 1, None]),
        (pa.array([2**53 + 1, None]), "real", [2.0**53, None]),  # a real column's whole numbers
        (pa.array(["a", None]).dictionary_encode(), "string", ["a", None]),
        (pa.array([1, None]), "boolean", [1, None]),
    ],
)
def test_raw_columns_are_cast_to_their_type(values: pa.Array, kind: str, expected: list) -> None:
    assert cast_raw_column(pa.chunked_array([values]), kind).to_pylist() == expected


@pytest.mark.parametrize(
    ("rows", "rows_per_file", "spec", "expected"),
    [
        (8192, 65_536, specs.make_spec(*specs.EVERY), 8192),
        # id 8, label 4, number 4, ids 2 * 4, tokens and series 4 * (4 + 6 + 6), pixels 64: 152
        ("auto", 65_536, specs.make_spec(*specs.EVERY), 27_594),
        ("auto", 20_000, specs.make_spec(*specs.EVERY), 20_000),
        ("auto", 10**6, specs.make_spec(specs.NUMBER), 262_144),
        # two labels, a weight and a baseline beside id and number: 28
        (
            "auto",
            10**6,
            specs.make_spec(
                specs.NUMBER,
                label=specs.LABELS.model_copy(update={"weighted": True, "baseline": True}),
            ),
            149_796,
        ),
    ],
)
def test_row_groups_have_the_rows_of_the_recipe_or_4_mib(
    rows: object, rows_per_file: int, spec: TransformSpec, expected: int
) -> None:
    settings = sections.Dataset.model_validate(
        {"path": "x", "rows_per_row_group": rows, "rows_per_file": rows_per_file}
    )
    assert choose_rows_per_row_group(settings, spec) == expected


def test_a_row_of_more_than_4_mib_is_a_row_group() -> None:
    photo = specs.IMAGE.model_copy(update={"height": 2048, "width": 2049})
    settings = sections.Dataset(path="x", rows_per_row_group="auto")
    assert choose_rows_per_row_group(settings, specs.make_spec(photo)) == 1

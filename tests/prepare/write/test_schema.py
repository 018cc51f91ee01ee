"""The Arrow schema of data files, for inputs and labels of every kind."""

import pyarrow as pa
import pytest

from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.prepare.write.schema import build_file_schema, cast_raw_column
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

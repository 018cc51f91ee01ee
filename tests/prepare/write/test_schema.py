"""The Arrow schema of data files, for inputs and labels of every kind."""

import pyarrow as pa
import pytest

from headrace.labels.spec import LabelSpec
from headrace.prepare.write.schema import build_file_schema
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

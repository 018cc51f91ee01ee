"""Columns, partitions and folders of a table of predictions."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyspark.sql.types as T
import pytest

from headrace.errors import DatasetError, LakeError, RecipeError
from headrace.score.plan import parse_partition_values
from headrace.score.table import (
    build_table_schema,
    choose_partition_columns,
    name_folder,
    normalize_table_name,
    refuse_other_columns,
    refuse_overlapping_tables,
)
from headrace.source.raw_schema import RawSchema
from tests.models import specs

STORED = RawSchema.from_spark_types(
    {"id": T.StringType(), "day": T.IntegerType(), "at": T.DateType(), "shop": T.StringType()}
)
ROWS = RawSchema.from_spark_types(
    {
        "id": T.LongType(),  # declared
        "when": T.DateType(),
        "day": T.IntegerType(),
        "at": T.DateType(),
        "shop": T.StringType(),
    }
)


def plan(*names: str, partitioning: Any = "partition") -> Any:
    values = {name: parse_partition_values(name, partitioning) for name in names}
    return SimpleNamespace(processed=frozenset(names), values=values, source="/lake/t")


def record(**facts: Any) -> Any:
    return SimpleNamespace(**facts)


def test_predictions_are_partitioned_as_the_table_is() -> None:
    assert choose_partition_columns(plan("year=1/month=2", "year=1/month=3"), "out", None) == (
        "year", "month"
    )  # fmt: skip
    assert choose_partition_columns(plan("a=1/f", partitioning="file"), "out", None) == ()
    assert choose_partition_columns(plan(""), "out", None) == ()
    with pytest.raises(LakeError, match=r"table /lake/t name different .* \(none; day\)"):
        choose_partition_columns(plan("", "day=1"), "out", None)


def test_predictions_stay_partitioned_as_they_were() -> None:
    assert choose_partition_columns(plan("day=1"), "out", record(partition_by=("day",))) == ("day",)
    message = r"predictions out are partitioned by nothing, and table /lake/t by day; use another"
    with pytest.raises(DatasetError, match=message):
        choose_partition_columns(plan("day=1"), "out", record(partition_by=()))


def test_columns_are_the_written_the_predicted_and_those_of_the_folders() -> None:
    by = ("day", "at", "shop")
    schema = build_table_schema(ROWS, STORED, ["id", "when", "day"], by, specs.CLASSES, "r")
    assert {field.name: str(field.type) for field in schema} == {
        "id": "int64",
        "when": "date32[day]",
        "prediction": "string",
        "probability": "double",
        "model_version": "int64",
        "dataset_version": "int64",
        "scored_at": "timestamp[us, tz=UTC]",
        "day": "int64",
        "at": "date32[day]",
        "shop": "string",
    }
    number = build_table_schema(ROWS, STORED, ["id"], (), specs.REGRESSION, "r")
    assert number.names[:2] == ["id", "prediction"]
    assert "probability" not in number.names


def test_a_column_cannot_have_the_name_of_a_predicted_one() -> None:
    rows = ROWS.with_columns({"prediction": T.LongType()})
    with pytest.raises(RecipeError, match=r"score.key: prediction would have the name of"):
        build_table_schema(rows, STORED, ["id", "prediction"], (), specs.BINARY, "r")
    with pytest.raises(RecipeError, match=r"score.key: scored_at would have"):
        build_table_schema(ROWS, STORED, ["id"], ("scored_at",), specs.BINARY, "r")


def test_columns_stay_those_of_the_jobs_before() -> None:
    schema = pa.schema({"id": pa.int64(), "prediction": pa.float64(), "note": pa.string()})
    refuse_other_columns(schema, "out", None)
    same = {"note": "string", "id": "int64", "prediction": "double"}
    refuse_other_columns(schema, "out", record(columns=same))
    other = {"id": "string", "prediction": "double", "gone": "string"}
    with pytest.raises(DatasetError, match=r"would write: id, gone, note; use another --output"):
        refuse_other_columns(schema, "out", record(columns=other))


def test_folders_are_named_as_hive_does_where_a_url_needs_no_code() -> None:
    assert name_folder({}) == ""
    assert name_folder({"day": "2020-01-01", "shop": None}) == (
        "day=2020-01-01/shop=__HIVE_DEFAULT_PARTITION__"
    )
    for value in ("New York", "a/b", "é", "100%", "", "x" * 81):
        digest = hashlib.sha256(f"shop={value}".encode()).hexdigest()
        assert name_folder({"shop": value}) == f"partition-{digest[:16]}"


def test_a_table_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "link").symlink_to("t")
    for path in ("t", "t/", "./t/../t", "link"):
        assert normalize_table_name(f"{tmp_path}/{path}") == str(tmp_path / "t")
    assert normalize_table_name(f"file://{tmp_path}/t") == str(tmp_path / "t")
    assert normalize_table_name("s3://bucket/t/") == normalize_table_name("s3://bucket/t")


@pytest.mark.parametrize(
    ("source", "refused"),
    [("/lake/t", False), ("/lake/t2", False), ("/lake/t/day=1", True), ("/lake", True)],
)
def test_tables_that_share_rows_do_not_share_predictions(source: str, refused: bool) -> None:
    base = record(partitions=[record(source="/lake/t")])
    refuse_overlapping_tables(source, None)
    if not refused:
        refuse_overlapping_tables(source, base)
        return
    message = rf"of table /lake/t in this output already, and {source} shares"
    with pytest.raises(DatasetError, match=message):
        refuse_overlapping_tables(source, base)

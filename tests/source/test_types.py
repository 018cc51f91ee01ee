"""The column contract: strict casts, wider types, further columns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pyspark.sql.types as T
import pytest

from headrace.schema import ColumnType
from headrace.source.types import (
    RAW_KINDS,
    can_become,
    list_castable_types,
    needs_check,
    to_column_type,
)
from tests.prepare.people import build, make_people, read_quarantine

TEXTS = {
    "integer": (["1", " 2 ", "-3", None, "1.5", "x", "", "1e3", "99999999999999999999"], 5),
    "real": (["1", "2.5", "1e3", "NaN", None, "1,5", "2f", "x", ""], 4),
    "boolean": (["true", "false", None, "maybe"], 1),
    "timestamp": (["2020-01-01", "2020-01-01T10:00:00Z", None, "2020-13-01", "yesterday"], 2),
}


@pytest.mark.spark
@pytest.mark.parametrize("declared", sorted(TEXTS))
def test_texts_are_cast_strictly(tmp_path: Path, declared: str) -> None:
    values, bad = TEXTS[declared]
    table = make_people().slice(12)
    column = [*values, *(["1" if declared != "timestamp" else "2020-01-01"] * 28)][:28]
    table = table.append_column("t", pa.array(column, pa.string()))
    kinds = {"timestamp": {"kind": "standardize", "column": "since"}}
    derive = {"since": {"kind": "seconds_since", "columns": ["t"], "origin": "2020-01-01"}}
    dataset = build(
        tmp_path,
        table,
        clean={},
        source={
            "tables": {"people": {"path": "${workdir}/lake/people", "columns": {"t": declared}}},
            "main": "people",
        },
        features={"age": {"kind": "standardize"}, "t": kinds.get(declared, {"kind": "min_max"})},
        derive=derive if declared == "timestamp" else {},
    )
    assert dataset.build.ledger.quarantined == {f"t is {declared}": bad}
    rejected = read_quarantine(dataset)
    assert set(rejected["t"]) == set(values[-bad:])  # as they were read
    reason = rejected.set_index("t").loc[values[-1], "quarantine_reasons"]
    assert list(reason) == [f"t: '{values[-1]}' is no {declared}"]


@pytest.mark.spark
def test_real_numbers_are_whole_or_rejected(tmp_path: Path) -> None:
    table = make_people().append_column("t", pa.array([1.0] * 37 + [1.5, 1e30, float("nan")]))
    dataset = build(
        tmp_path,
        table,
        clean={},
        source={
            "tables": {"people": {"path": "${workdir}/lake/people", "columns": {"t": "integer"}}},
            "main": "people",
        },
        features={"t": {"kind": "vocabulary"}},
    )
    assert dataset.build.ledger.quarantined == {"t is integer": 3}


@pytest.mark.spark
def test_extra_columns_are_listed_and_wider_types_accepted(tmp_path: Path) -> None:
    table = make_people()
    table = table.set_column(1, "age", table["age"].cast(pa.float32()))
    dataset = build(
        tmp_path,
        table.set_column(5, "begin", table["begin"].cast(pa.int8())),
        clean={},
        source={
            "tables": {
                "people": {
                    "path": "${workdir}/lake/people",
                    "columns": {"id": "integer", "begin": "real", "age": "real", "y": "boolean"},
                }
            },
            "main": "people",
        },
        features={"age": {"kind": "standardize"}, "begin": {"kind": "min_max"}},
    )
    assert dataset.build.sources["people"]["extra_columns"] == ["code", "end", "mail", "note",
                                                                "state"]  # fmt: skip
    assert dataset.build.ledger.quarantined == {}


@pytest.mark.spark
@pytest.mark.skipif(pyspark.__version__ < "4", reason="Spark 3 reads a file in its own width only")
def test_a_later_file_may_have_a_wider_type(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "people"
    folder.mkdir(parents=True)
    table = make_people()
    narrow = table.set_column(5, "begin", table["begin"].cast(pa.int32()))
    pq.write_table(narrow, folder / "part-0.parquet")
    later = table.set_column(5, "begin", pa.array([2**40] * 40))
    pq.write_table(later.set_column(0, "id", pa.array(range(40, 80))), folder / "part-1.parquet")
    dataset = build(tmp_path, clean={}, features={"begin": {"kind": "vocabulary"}})
    assert dataset.build.ledger.read == 80
    assert dataset.build.ledger.quarantined == {}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (T.ByteType(), "integer"),
        (T.LongType(), "integer"),
        (T.FloatType(), "real"),
        (T.DecimalType(38, 0), "real"),
        (T.StringType(), "string"),
        (T.BooleanType(), "boolean"),
        (T.DateType(), "timestamp"),
        (T.TimestampNTZType(), "timestamp"),
        (T.BinaryType(), "binary"),
        (T.ArrayType(T.ShortType()), "list[integer]"),
        (T.ArrayType(T.DecimalType(4, 2)), "list[real]"),
        (T.ArrayType(T.ArrayType(T.ArrayType(T.ByteType()))), "list[integer]"),
        (T.ArrayType(T.BinaryType()), "other"),
        (T.ArrayType(T.BooleanType()), "other"),
        (T.MapType(T.StringType(), T.LongType()), "other"),
        (T.StructType([]), "other"),
    ],
)
def test_types_of_spark_in_the_words_of_the_contract(kind: T.DataType, expected: str) -> None:
    assert to_column_type(kind) is ColumnType(expected)


def test_what_can_become_a_declared_type_and_what_may_lose_values() -> None:
    assert can_become(ColumnType.STRING, "date")
    assert not can_become(ColumnType.INTEGER, "timestamp")
    assert list_castable_types("boolean") == {
        ColumnType.BOOLEAN, ColumnType.INTEGER, ColumnType.STRING
    }  # fmt: skip
    lossy = {
        (stored.value, declared)
        for declared in ("integer", "real", "string", "boolean", "list[real]", "list[integer]")
        for stored in list_castable_types(declared)
        if needs_check(stored, declared)
    }
    assert lossy == {
        ("real", "integer"), ("string", "integer"), ("string", "real"), ("integer", "boolean"),
        ("string", "boolean"), ("list[string]", "list[real]"), ("list[string]", "list[integer]"),
        ("list[real]", "list[integer]"),
    }  # fmt: skip


def test_every_type_but_other_has_a_kind_of_the_transform() -> None:
    assert set(RAW_KINDS) == set(ColumnType) - {ColumnType.OTHER}

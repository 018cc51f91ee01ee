"""Check that texts are taken for what Spark casts them to."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from headrace.propose.text_types import infer_text_type
from headrace.schema import ColumnType
from headrace.source.internal_columns import col
from headrace.source.types import cast_column


@pytest.mark.parametrize(
    ("texts", "type_", "declared", "why"),
    [
        (["1", "-2", "+3"], "integer", "integer", "whole numbers"),
        (["1", "2.5", "1e-3", ".5"], "real", "real", "one has a point"),
        (["1.0", "NaN", "inf"], "real", "real", "Spark's double takes them"),
        (["00501", "10001"], "string", "", "a code with a leading zero"),
        (["true", "FALSE"], "boolean", "boolean", "truth values"),
        (["yes", "no", "y"], "boolean", "boolean", "as people write them"),
        (["2024-01-31", "2024-02-01"], "timestamp", "date", "days"),
        (["2024-01-31 10:00", "2024-01-31T10:00:00.5Z"], "timestamp", "timestamp", "moments"),
        (["2024-01-31", "2024-01-31T10:00:00+02:00"], "timestamp", "timestamp", "some of both"),
        (["10:30", "11:00"], "string", "", "Spark would take them for times of today"),
        (["31.01.2024", "01.02.2024"], "timestamp", "date(d.M.yyyy)", "a date with its pattern"),
        (["Jun 12 1998", "May 3 2001"], "timestamp", "date(MMM d yyyy)", "a month by its name"),
        (["31.01.24", "01.02.24"], "string", "", "a year of which century?"),
        (["1,5", "2,25"], "string", "", "not as Spark casts numbers"),
        (["a", "1"], "string", "", "half of them are no numbers"),
        ([None, None], "string", "", "nothing is known"),
        (["1" * 30, "2"], "string", "", "too large for 64 bits, and a real would lose digits"),
        ([str(2**63 - 1), str(-(2**63))], "integer", "integer", "the largest of 64 bits"),
        ([str(2**63), "1"], "string", "", "one more than the largest"),
    ],
)
def test_what_texts_are(texts: list[str | None], type_: str, declared: str, why: str) -> None:
    typed = infer_text_type(pa.array(texts, pa.string()), whole_numbers=True)
    assert (typed.type.value, typed.declared_type) == (type_, declared), why


def test_some_of_another_kind_are_counted_and_shown() -> None:
    typed = infer_text_type(pa.array([str(n) for n in range(199)] + ["x"]), whole_numbers=True)
    assert (typed.type, typed.uncastable_count, typed.uncastable_example) == (
        ColumnType.INTEGER,
        1,
        "x",
    )
    assert typed.values.to_pylist() == [*range(199), None]
    many = infer_text_type(pa.array([str(n) for n in range(95)] + ["x"] * 5), whole_numbers=True)
    assert many.type is ColumnType.STRING  # 5% of the rows would go to quarantine


def test_a_day_that_does_not_exist_does_not_cast() -> None:
    typed = infer_text_type(pa.array(["2024-02-28"] * 200 + ["2024-02-30"]), whole_numbers=True)
    assert (typed.type, typed.uncastable_count, typed.uncastable_example) == (
        ColumnType.TIMESTAMP,
        1,
        "2024-02-30",
    )


def test_in_parquet_texts_of_digits_are_codes() -> None:
    digits = pa.array(["17", "4"])
    assert infer_text_type(digits, whole_numbers=False).type is ColumnType.STRING
    assert infer_text_type(pa.array(["17.5", "4"]), whole_numbers=False).type is ColumnType.REAL


def test_how_texts_are_written_that_do_not_cast() -> None:
    assert infer_text_type(pa.array(["1,5", "2,25"]), whole_numbers=True).foreign_format == (
        "a number with a decimal comma"
    )
    typed = infer_text_type(pa.array(["31.01.24"]), whole_numbers=True)
    assert typed.foreign_format == "a date whose year has two digits"


def test_moments_are_in_utc() -> None:
    typed = infer_text_type(
        pa.array(["2024-01-31T10:00:00+02:00", "2024-01-31 10:00"]), whole_numbers=True
    )
    assert typed.values.to_pylist() == [
        datetime(2024, 1, 31, 8, tzinfo=UTC),
        datetime(2024, 1, 31, 10, tzinfo=UTC),
    ]


COLUMNS = {
    "integer": ["1", "-2", "+3", " 4", "9" * 18],
    "real": ["1", "2.5", "1e-3", ".5", "1.", "-inf", "NaN", "Infinity", "+1E5", " 7 "],
    "boolean": ["true", "FALSE", "yes", "No", "t", "F", "y", "N"],
    "date": ["2024-01-31", "1969-12-31", "0001-01-01", "9999-12-31"],
    "timestamp": [
        "2024-01-31", "2024-01-31 10:00", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00.123456",
        "2024-01-31 10:00:00+02:00", "2024-01-31T10:00:00.123456789Z", "2024-01-31T10:00:00-0530",
    ],
}  # fmt: skip


@pytest.mark.spark
@pytest.mark.parametrize("declared", list(COLUMNS))
def test_spark_casts_them_to_the_same_values(declared: str, spark: object) -> None:
    texts = COLUMNS[declared]
    typed = infer_text_type(pa.array(texts), whole_numbers=True)
    assert (typed.declared_type, typed.uncastable_count) == (declared, 0)
    frame = spark.createDataFrame([(text,) for text in texts], ["a"])
    cast_ = frame.select(cast_column("a", ColumnType.STRING, declared).alias("a"))
    if declared in ("date", "timestamp"):
        rows = cast_.select(col("a").cast("timestamp").alias("a")).selectExpr("unix_micros(a)")
        expected = typed.values.cast(pa.int64()).to_pylist()
    else:
        rows, expected = cast_, typed.values.to_pylist()
    assert list(map(repr, (row[0] for row in rows.collect()))) == list(map(repr, expected))

"""Check how times are written: in texts and numbers, and that Spark reads the same."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.columns import build_columns
from headrace.propose.text_types import infer_text_type
from headrace.propose.written_times import (
    convert_numbers_to_micros,
    find_numbered_times,
    find_written_times,
    parse_written_time,
)
from headrace.schema import ColumnType

MOMENTS = [
    datetime(1998, 6, 12, tzinfo=UTC) + timedelta(days=37 * n, hours=5 * n, minutes=n)
    for n in range(40)
]
# Python's format, the declared type, whether the clock is written.
FORMATS = [
    ("%b %d %Y", "date(MMM d yyyy)"),
    ("%b %d, %Y", "date(MMM d, yyyy)"),
    ("%d %B %Y", "date(d MMMM yyyy)"),
    ("%d-%b-%Y", "date(d-MMM-yyyy)"),
    ("%m/%d/%Y", "date(M/d/yyyy)"),
    ("%d/%m/%Y", "date(d/M/yyyy)"),
    ("%d.%m.%Y", "date(d.M.yyyy)"),
    ("%Y/%m/%d", "date(yyyy/M/d)"),
    ("%B %Y", "date(MMMM yyyy)"),
    ("%d.%m.%Y %H:%M", "timestamp(d.M.yyyy H:mm)"),
    ("%m/%d/%Y %H:%M:%S", "timestamp(M/d/yyyy H:mm:ss)"),
    ("%m/%d/%Y %I:%M %p", "timestamp(M/d/yyyy h:mm a)"),
]


def write_texts(python_format: str) -> list[str]:
    return [f"{moment:{python_format}}" for moment in MOMENTS]


@pytest.mark.parametrize(("python_format", "declared"), FORMATS)
def test_the_pattern_of_texts(python_format: str, declared: str) -> None:
    texts = write_texts(python_format)
    typed = infer_text_type(pa.array(texts), whole_numbers=True)
    assert (typed.type, typed.declared_type) == (ColumnType.TIMESTAMP, declared)
    expected = [datetime.strptime(text, python_format).replace(tzinfo=UTC) for text in texts]
    assert typed.values.to_pylist() == expected


@pytest.mark.spark
@pytest.mark.parametrize(("python_format", "declared"), FORMATS)
def test_spark_reads_the_same_moments(python_format: str, declared: str, spark: object) -> None:
    from headrace.source.types import cast_column

    texts = [*write_texts(python_format), " " + MOMENTS[3].strftime(python_format), "x", "", None]
    texts += ["30 Feb 2001", "31.02.2001", "Feb 30 2001", "1.1.98", "13/13/2001", "jun 12 1998"]
    frame = spark.createDataFrame(pa.table({"t": pa.array(texts, pa.string())}))
    cast = cast_column("t", ColumnType.STRING, declared).cast("timestamp").cast("double")
    seconds = [row[0] for row in frame.select(cast).collect()]
    pattern = declared.partition("(")[2].removesuffix(")")
    micros = [None if text is None else parse_written_time(text, pattern) for text in texts]
    assert seconds == [None if item is None else item / 1e6 for item in micros]


def test_day_and_month_that_no_value_tells_apart_are_named() -> None:
    times = find_written_times(["06/12/1998", "01/02/1999"], 0.01)
    assert times is not None
    assert times.declared_type == "date(M/d/yyyy)"
    assert times.remark == (
        "'06/12/1998' is read as 12 June 1998; no value tells day from month. If the day is the "
        "first number, declare date(d/M/yyyy)"
    )
    times = find_written_times(["12.06.1998"], 0.01)
    assert times is not None
    assert "declare date(M.d.yyyy)" in times.remark
    # One order for all rows of a column, and not the first that fits each.
    certain = find_written_times(["06/12/1998", "13/12/1998"], 0.01)
    assert certain is not None
    assert (certain.declared_type, certain.remark) == ("date(d/M/yyyy)", "")


@pytest.mark.parametrize(
    "texts",
    [["1.2.3"], ["192.168.0.1"], ["13/13/2001"], ["1/2"], ["June"], ["a 1 2001"], ["5-5-55"]],
)
def test_other_texts_are_no_times(texts: list[str]) -> None:
    assert find_written_times(texts, 0.01) is None


SECOND = 1_400_000_000


@pytest.mark.parametrize(
    ("name", "number", "declared"),
    [
        ("timestamp", SECOND, "timestamp(seconds)"),
        ("createdAt", SECOND * 10**3, "timestamp(milliseconds)"),
        ("event_time", SECOND * 10**6, "timestamp(microseconds)"),
        ("ts", SECOND * 10**9, "timestamp(nanoseconds)"),
        ("unix_seconds", SECOND, "timestamp(seconds)"),
        ("flight_date", 20_140_513, "date(yyyyMMdd)"),
        ("revenue", SECOND, None),
        ("flight_time", 5_400, None),  # a duration
        ("flight_date", 20_141_313, None),
        ("population", SECOND, None),
    ],
)
def test_numbers_since_1970_by_name_and_size(name: str, number: int, declared: str | None) -> None:
    numbers = np.full(20, number)
    column = build_columns(pa.table({name: numbers}), texts_only=False)[name]
    assert column.declared_type == (declared or "")
    if declared:
        day = column.values[0].as_py().date().isoformat()
        assert (column.type, day) == (ColumnType.TIMESTAMP, "2014-05-13")


def test_missing_and_negative_numbers() -> None:
    assert find_numbered_times("created_at", np.array([-1.0, float(SECOND)])) is None
    values = pa.array([SECOND, None, SECOND + 1])
    column = build_columns(pa.table({"created_at": values}), texts_only=False)["created_at"]
    assert [value and value.second for value in column.values.to_pylist()] == [20, None, 21]


@pytest.mark.spark
@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds", "nanoseconds"])
def test_spark_reads_the_same_numbers(unit: str, spark: object) -> None:
    from headrace.source.types import cast_column

    factor = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6}.get(unit, 10**9)
    numbers = [SECOND * factor + n for n in (0, 1, 7, 999)] + [0]
    declared = f"timestamp({unit})"
    expected = convert_numbers_to_micros(np.array(numbers), declared).tolist()
    rows = pa.table(
        {
            "whole": pa.array([*numbers, 2**63 - 1]),
            "text": pa.array([*map(str, numbers), "soon"]),
            "real": pa.array([*map(float, numbers), float("nan")]),
        }
    )
    frame = spark.createDataFrame(rows)
    types = {
        "whole": ColumnType.INTEGER, "text": ColumnType.STRING, "real": ColumnType.REAL,
    }  # fmt: skip
    for name, stored in types.items():
        cast = cast_column(name, stored, declared)
        micros = [
            row[0] for row in frame.selectExpr(f"{name}").select(cast.cast("double")).collect()
        ]
        near = [round(item * 1e6) for item in micros[:-1]]
        assert near == pytest.approx(expected, abs=1), name
        if name != "whole" or unit != "nanoseconds":  # 2**63 nanoseconds are in the year 2262
            assert micros[-1] is None

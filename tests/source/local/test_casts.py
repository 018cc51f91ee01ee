"""Casts on Arrow are Spark's, or are left to it."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from headrace.source.local.casts import (
    cast_texts,
    concat_present,
    convert_to_kind,
    describe_lost_texts,
    join_problems,
    make_hashable,
    write_key_texts,
)
from headrace.source.local.needs_spark import NeedsSparkError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KNOWN: dict[str, list[str]] = {
    "real": ["1", "-2.5", "1e3", "0.1", "12.", "1E-2", "123456789012345678901234567890", "007"],
    "integer": ["1", "-25", "0012", "12.0", "12.", "-0", "999999999999999999"],
    "boolean": ["true", "FALSE", "t", "n", "Yes", "no", "0", "1", "Y"],
    "date": ["2026-01-31", "1600-01-01", "2024-02-29"],
    "timestamp": ["2026-01-31", "2026-01-31 10:30", "2026-01-31T10:30:59", "2000-01-01 00:00:00.5"],
}
LOST: dict[str, list[str]] = {
    "real": [
        "n/a",
        "",
        "unknown",
        "1,5",
        "12 kg",
        "-/-",
        "\u00e9",
        "NA",
        "None",
        "-",
        "add",
        "1 2x#",
    ],
    "integer": ["n/a", "", "1.5", "1e3", "NA", "1,234", "\u0661", "0.001"],
    "boolean": ["maybe", "", "2", "tr", "on", "yes please", "-"],
    "date": ["n/a", "", "today", "soon"],
    "timestamp": ["n/a", "", "now", "epoch"],
}
UNKNOWN: dict[str, list[str]] = {
    "real": [
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        " nan ",
        "1d",
        "2f",
        "0x1p3",
        "+1",
        " 1",
        "1e400",
        ".5",
    ],
    "integer": [" 1", "+1", "9999999999999999999", "1.5.2", "-"],
    "boolean": [" true", "true\t"],
    "date": ["2026-1-5", "2026-02-30", "20260101", "1500-01-01", "2026-01-01x", "3000-01-01"],
    "timestamp": ["10:30", "2026-01-31 10:30 CET", "2026-01-31T10:30:59Z", "2026-13-01"],
}
TYPES = {"real": "double", "integer": "bigint", "boolean": "boolean"}


@pytest.mark.spark
@pytest.mark.parametrize("declared", KNOWN)
def test_casts_are_those_of_spark(spark: "SparkSession", declared: str) -> None:
    import pyspark.sql.functions as F

    from headrace.schema import ColumnType
    from headrace.source.types import cast_column

    texts = [*KNOWN[declared], *LOST[declared], None]
    frame = spark.createDataFrame([(text,) for text in texts], "x string")
    cast = cast_column("x", ColumnType.STRING, declared)
    if declared in ("date", "timestamp"):
        cast = F.unix_micros(cast.cast("timestamp"))
    expected = [row["x"] for row in frame.select(cast.alias("x"), F.lit(1)).collect()]
    found = cast_texts(pa.array(texts), declared, "x")
    if declared in ("date", "timestamp"):
        found = convert_to_kind(found, "timestamp")
    assert found.to_pylist() == expected
    assert None not in expected[: len(KNOWN[declared])]
    assert set(expected[len(KNOWN[declared]) :]) == {None}


@pytest.mark.parametrize(
    ("declared", "text"), [(kind, text) for kind, texts in UNKNOWN.items() for text in texts]
)
def test_what_may_be_a_value_is_left_to_spark(declared: str, text: str) -> None:
    with pytest.raises(NeedsSparkError, match="column x has "):
        cast_texts(pa.array([KNOWN[declared][0], text, "n/a"]), declared, "x")


def test_texts_that_are_no_utf8() -> None:
    texts = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    with pytest.raises(NeedsSparkError, match="no UTF-8"):
        cast_texts(texts, "real", "x")


def test_nulls_alone() -> None:
    for declared in KNOWN:
        assert cast_texts(pa.array([None], pa.string()), declared, "x").to_pylist() == [None]


def test_reasons() -> None:
    lost = np.array([False, True, True])
    texts = pa.array(["1", "n/a", "\u00e9" * 100])
    reasons = describe_lost_texts(texts, "real", "x", lost).to_pylist()
    assert reasons == [None, "x: 'n/a' is no real", "x: '" + "\u00e9" * 80 + "' is no real"]


def test_problems_of_all_checks() -> None:
    first = pa.array([None, "a\x1eb", None, "c"])
    second = pa.array([None, "d", "e\x1f", None])
    assert join_problems([first, second], 4).to_pylist() == [
        None, "0\x1fa\u241eb\x1e1\x1fd", "1\x1fe\u241f", "0\x1fc",
    ]  # fmt: skip
    assert join_problems([], 2).to_pylist() == [None, None]
    assert concat_present([pa.array([",0", None]), pa.array([",1", None])], 2).to_pylist() == [
        "0,1", None,
    ]  # fmt: skip


def test_kinds() -> None:
    assert convert_to_kind(pa.array([True, None]), "integer").to_pylist() == [1, None]
    day = pa.array([date(1970, 1, 2), None])
    assert convert_to_kind(day, "timestamp").to_pylist() == [86_400_000_000, None]
    moment = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    for kind in (pa.timestamp("ms", "UTC"), pa.timestamp("us", "Europe/Berlin")):
        assert convert_to_kind(pa.array([moment], kind), "timestamp").to_pylist() == [1_000_000]
    assert make_hashable(day).to_pylist() == [1, None]


def test_texts_of_keys() -> None:
    reals = pa.array([1.0, -0.0, 39.1, None, -0.001, 2.0**52, 1234567.25])
    assert write_key_texts(reals, "x").to_pylist() == [
        "1", "0", "39.1", None, "-0.001", "4503599627370496", "1234567.25",
    ]  # fmt: skip
    assert write_key_texts(pa.array([-7, None]), "x").to_pylist() == ["-7", None]
    for number in (
        0.1 + 0.2,
        1.234567890123456,
        -1.234567890123456,
        1e-4,
        12345678.5,
        float("nan"),
        float("inf"),
        2.0**53,
    ):
        with pytest.raises(NeedsSparkError, match="column x has real numbers"):
            write_key_texts(pa.array([1.0, number]), "x")


@pytest.mark.spark
def test_texts_of_keys_are_those_of_spark(spark: "SparkSession") -> None:
    import pyspark.sql.types as T

    from headrace.source.keys import write_key_text
    from headrace.source.raw_schema import RawSchema

    rng = np.random.default_rng(1)
    numbers = np.concatenate(
        [np.round(rng.uniform(-(10.0**top), 10.0**top, 500), 7 - top) for top in range(-2, 8)]
    )
    size = np.abs(numbers)
    numbers = numbers[(size == 0) | ((size >= 1e-3) & (size < 1e7))]
    frame = spark.createDataFrame([(x,) for x in numbers.tolist()], "x double")
    schema = RawSchema.from_spark_types({"x": T.DoubleType()})
    expected = frame.select(write_key_text("x", schema, 2).alias("x")).collect()
    assert write_key_texts(pa.array(numbers), "x").to_pylist() == [row["x"] for row in expected]

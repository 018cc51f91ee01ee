"""Casts on Arrow are Spark's, or are left to it."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from headrace.prepare.local.casts import (
    cast_to_real,
    concat_present,
    convert_to_kind,
    describe_lost_texts,
    join_problems,
    make_hashable,
    write_key_texts,
)
from headrace.prepare.local.needs_spark import NeedsSparkError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUMBERS = {"1": 1.0, "-2.5": -2.5, "1e3": 1000.0, "0.1": 0.1, "12.": 12.0, "1E-2": 0.01}
LOST = ["n/a", "", "unknown", "1,5", "12 kg", "-/-", "\u00e9"]
UNKNOWN = ["nan", "NaN", "inf", "Infinity", "1d", "2f", "0x1p3", "+1", " 1", "1e400", "-", ".5"]


def test_numbers_and_lost_texts() -> None:
    texts = pa.array([*NUMBERS, None, *LOST])
    assert cast_to_real(texts, "x").to_pylist() == [*NUMBERS.values(), None, *[None] * len(LOST)]
    assert cast_to_real(pa.array([None], pa.string()), "x").to_pylist() == [None]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_may_be_a_number_is_left_to_spark(text: str) -> None:
    with pytest.raises(NeedsSparkError, match="column x has the text"):
        cast_to_real(pa.array(["1", text, "n/a"]), "x")


def test_texts_that_are_no_utf8() -> None:
    texts = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    with pytest.raises(NeedsSparkError, match="no UTF-8"):
        cast_to_real(texts, "x")


@pytest.mark.spark
def test_casts_are_those_of_spark(spark: "SparkSession") -> None:
    import pyspark.sql.functions as F

    from headrace.schema import ColumnType
    from headrace.source.types import cast_column

    texts = [*NUMBERS, *LOST, *(f"{n}.{n}" for n in range(100)), "123456789012345678901234567890"]
    frame = spark.createDataFrame([(text,) for text in texts], "x string")
    cast = frame.select(cast_column("x", ColumnType.STRING, "real").alias("x"), F.lit(1)).collect()
    assert cast_to_real(pa.array(texts), "x").to_pylist() == [row["x"] for row in cast]


def test_reasons() -> None:
    lost = np.array([False, True, True])
    reasons = describe_lost_texts(pa.array(["1", "n/a", "\u00e9" * 100]), "x", lost).to_pylist()
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
    for number in (0.1 + 0.2, 1e-4, 12345678.5, float("nan"), float("inf"), 2.0**53):
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

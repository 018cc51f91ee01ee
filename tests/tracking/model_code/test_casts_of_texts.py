"""The model reads a text as Spark casts it: the same value, or both refuse it."""

import importlib.util
from collections.abc import Callable
from importlib import resources
from typing import Any

import pandas as pd
import pyspark.sql.functions as F
import pytest

from headrace.columns.values import MISSING_INTEGER
from headrace.schema import ColumnType
from headrace.source.types import cast_column

NUMBERS = [
    "12",
    " 12 ",
    "\t12\n",
    "+5",
    "-5",
    "1e3",
    "12.0",
    "12.",
    "12.5",
    ".5",
    "",
    "  ",
    "٣",
    "12\x00",
    "\x0012",
    "1_000",
    "1,000",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "nan",
    "NaN",
    "inf",
    "-Infinity",
    "+inf",
    "infinity",
    "1d",
    "2F",
    "1e400",
    "-0",
    "-0.0",
    "0x10",
    "0x1p3",
    "1d\t",
    " 2F \x1f",
    "0X1.8P1 ",
    "-inf\n",
    "1d.",
    "1e",
    "e5",
    "+-5",
    "- 5",
    "\xa05",
    "5\u2003",
    "5\x7f",
    "5\x1f",
    "5\x85",
    "1E+5",
    "1e-400",
    "true",
    "null",
    "None",
    ".",
    "+.5",
    "5.e3",
    "00012",
    "12L",
    "InFinity",
    "nAn",
    "+NaN",
    "-nan",
]
TIMES = [
    "2013",
    "2013-1",
    "2013-01-1",
    "2013-1-1 1:2",
    "2013-01-01 10",
    "2013-01-01 10:11:12.1234567",
    "2013-01-01T10:11:12Z",
    "2013-01-01T10:11:12+01:00",
    "2013-01-01 10:11:12 +01:00",
    "2013-01-01 10:11:12+1:0",
    "2013-01-01 10:11:12+0100",
    "2013-01-01 10:11:12+01",
    "2013-01-01 00:00:00 America/New_York",
    "2013-01-01 00:00:00 UTC",
    "2013-01-01 00:00:00UTC+3",
    "2013-01-01 00:00:00 EST",
    "20130101",
    "2013-W01-1",
    "T12:30",
    "12:30:00",
    "0001-01-01",
    "9999-12-31 23:59:59.999999",
    "10000-01-01",
    "+12013-01-01",
    "-0001-01-01",
    "0000-01-01",
    "2013-02-30",
    "2013-13-01",
    "2013-01-01 24:00:00",
    "2013-01-01 23:60",
    "2013-01-01T",
    " 2013-01-01 ",
    "2013-01-01\n",
    "2013-01-01 10:11:12.",
    "2013-01-01 10:11:",
    "1582-10-10",
    "1900-01-01 00:00:00",
    "2013/01/01",
    "epoch",
    "now",
    "today",
    "2013-01-01 10:11:12.5 Z",
    "2013-01-01 10:11:12z",
    "2013-01-01 10:11:12-18:00",
    "2013-01-01 10:11:12-18:01",
    "2013-01-01 10:11:12+00:00:01",
    "2013-01-01T10:11",
    "2013-01-01 10:11:12 Europe/Paris",
    "2013-03-10 02:30:00 America/New_York",
    "2013-11-03 01:30:00 America/New_York",
    "999-01-01",
    "2013-001-01",
    "2013-01-01  10:11",
    "2013-01-01Z",
    "2013-01-01+01:00",
    "2013-01Z",
    "",
    "NaT",
    "None",
    "2013-01-01 10:11:12,5",
    "1e3",
    "1356998400",
    "2013-01-01T10:11:12.123456789Z",
    "2013-01-01 10:11:12 GMT",
    "2013-01-01 10:11:12 GMT+2",
    "2013-01-01 10:11:12 UT",
    "2013-06-15 12:00 CST",
    "2013-06-15 12:00 PST",
    "2013-06-15 12:00 Asia/Kolkata",
    "2013-05-01T03:59Z",
    "2013-05-01 3:59+02:00",
    "2013-05-01 03+01:00",
    "2013-05-01 03:59:",
    "294247-01-10 04:00:54.775807",
    "-290308-12-21 19:59:05.224192",
]
BOOLEANS = [
    "true",
    "TRUE",
    "t",
    "y",
    "yes",
    "1",
    "false",
    "f",
    "n",
    "no",
    "0",
    "x",
    "",
    " true ",
    "2",
]
UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
EPOCHS = [
    "0", "1700000000", "1700000000000", "-62135596800", "-62135596801", "253402300799", "1.5",
    "1700000000.123456", "-1.5", "1e9", "", " 12 ", "+7", "2.", "0.0000005", "999999999999999999",
    "1700000000000000001", "-1", "x", "9223372036854775807.0",
]  # fmt: skip


@pytest.fixture(scope="module")
def raw_model() -> Any:
    """Return the module that a registered model is run by."""
    source = resources.files("headrace.tracking") / "model_code" / "raw_model.py"
    with resources.as_file(source) as path:
        spec = importlib.util.spec_from_file_location("raw_model_of_test", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.spark
@pytest.mark.parametrize(
    ("texts", "declared", "kind"),
    [
        (NUMBERS, "integer", "integer"),
        (NUMBERS, "real", "real"),
        (TIMES, "timestamp", "timestamp"),
        (TIMES, "date", "date"),
        (BOOLEANS, "boolean", "boolean"),
        *((EPOCHS, f"timestamp({unit})", unit) for unit in UNITS),
    ],
)
def test_texts_are_read_as_spark_casts_them(
    spark: Any, raw_model: Any, texts: list[str], declared: str, kind: str
) -> None:
    frame = spark.createDataFrame(list(enumerate(texts)), "i int, v string")
    column = cast_column("v", ColumnType.STRING, declared)
    if kind in ("timestamp", "date", *UNITS):
        column = F.unix_micros(column.cast("timestamp"))
    else:
        column = column.cast("double" if kind == "real" else "bigint")
    by_spark = [row[0] for row in frame.orderBy("i").select(column).collect()]
    by_model = [read_text(raw_model, text, kind) for text in texts]
    # The least integer stands for what is missing.
    by_spark = [None if value == MISSING_INTEGER else value for value in by_spark]
    apart = [
        (text, a, b)
        for text, a, b in zip(texts, by_spark, by_model, strict=True)
        if repr(a) != repr(b)
    ]
    assert apart == []
    assert any(value is None for value in by_spark)
    assert any(value is not None for value in by_spark)


def read_text(raw_model: Any, text: str, kind: str) -> Any:
    """Return what the model reads in a text; None where it refuses it, or it is missing."""
    read: Callable[[pd.Series], Any] = raw_model.READERS[kind]
    try:
        value = read(pd.Series([text], name="v", dtype=object))[0].item()
    except raw_model.InvalidRowsError:
        return None
    return None if value == MISSING_INTEGER else value

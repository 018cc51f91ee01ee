"""Write the synthetic lake, unless it exists: a click log of any size with Criteo's columns.

It is dirty on purpose.

Columns: `event_id` (key), `day` (partition), `label` (0/1), `i1`..`i13` numeric with heavy tails,
`c1`..`c26` categorical with Zipf frequencies. `i12` and `i13` are text, as a careless export leaves
them, and some of it is no number. Every value is a pure function of (seed, event_id, column), so
the lake does not depend on the number of Spark tasks that write it, and a duplicate is an exact
copy. The label follows a logistic model of some columns, so that there is something to learn.

Rows are generated with NumPy in Arrow batches: 39 columns of hashes as Catalyst expressions outgrow
Spark's code generator and ran interpreted, at 8 thousand rows/s on 2 cores.
"""

import math
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import LakeError
from headrace.examples.folder import ensure_lake
from headrace.progress import Progress, Report

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NUMERIC = tuple(f"i{n}" for n in range(1, 14))
TEXT_NUMERIC = ("i12", "i13")
CATEGORICAL = tuple(f"c{n}" for n in range(1, 27))
# Distinct values of each categorical column: from 3 to 100,000, as in Criteo's click log.
_CARDINALITIES = [1000, 500, 100_000, 50_000, 300, 20, 10_000, 600, 3, 40_000, 5000, 100_000, 3000]
_CARDINALITIES += [26, 9000, 80_000, 10, 4000, 2000, 4, 90_000, 15, 16, 60_000, 80, 30_000]
CARDINALITY = dict(zip(CATEGORICAL, _CARDINALITIES, strict=True))
# Share of rows, independent of each other; duplicates are a share of all rows.
SHARES = {"duplicates": 0.01, "nulls": 0.05, "garbage": 0.002, "outliers": 0.001}
ROWS_PER_TASK = 500_000
# The logit of the label: a constant, two numbers, and what the categories of these columns add.
_INTERCEPT = -2.2
_TELLING = ("c1", "c2", "c6", "c9", "c14", "c17")


def ensure_synthetic_lake(
    spark: "SparkSession", out: str, *, rows: int, seed: int, days: int, report: Report
) -> tuple[dict[str, Any], bool]:
    """Write the lake into folder `out` with Spark, partitioned by day, unless it exists.

    Args:
        spark: the session that writes.
        out: a folder on a file system that every executor sees.
        rows: number of rows, duplicates included; at least 100.
        seed: the same seed gives the same rows.
        days: number of day partitions, at least 1.
        report: receives the progress.

    Returns:
        the manifest: rows, exact injected counts, shares; and whether it was written now.

    Raises:
        LakeError: `out` has other contents, or an argument is out of range.
    """
    if rows < 100 or days < 1:
        raise LakeError(f"got --rows {rows} --days {days}, expected rows >= 100 and days >= 1")
    request = {"lake": "synthetic", "rows": rows, "seed": seed, "days": days}

    def write_tables(folder: Path) -> dict[str, Any]:
        report(Progress(f"writing {rows:,} rows"))
        frame = build_rows(spark, rows=rows, seed=seed, days=days)
        frame.write.partitionBy("day").parquet(str(folder / "clicks"))
        report(Progress("counting what was injected"))
        duplicates = round(rows * SHARES["duplicates"])
        injected = _count_injected(spark, str(folder / "clicks"))
        return {"shares": SHARES, "duplicates": duplicates, **injected}

    return ensure_lake(out, request, write_tables)


def build_rows(spark: "SparkSession", *, rows: int, seed: int, days: int) -> "DataFrame":
    """Build a lazy DataFrame of the lake's rows, in the module's columns."""
    import pyspark.sql.types as T

    fields = [T.StructField("event_id", T.LongType()), T.StructField("label", T.IntegerType())]
    fields += [
        T.StructField(n, T.StringType() if n in TEXT_NUMERIC else T.DoubleType()) for n in NUMERIC
    ]
    fields += [T.StructField(name, T.StringType()) for name in CATEGORICAL]
    fields += [T.StructField("day", T.StringType())]
    distinct = rows - round(rows * SHARES["duplicates"])

    def generate_batches(batches: Iterable[pa.RecordBatch]) -> "Iterator[pa.RecordBatch]":
        for batch in batches:
            index = batch.column(0).to_numpy()
            again = (_hash_bits(seed, "duplicate", index) % np.uint64(distinct)).astype(np.int64)
            yield generate_clicks(np.where(index < distinct, index, again), seed, days, distinct)

    index = spark.range(0, rows, 1, max(1, math.ceil(rows / ROWS_PER_TASK)))
    return index.mapInArrow(generate_batches, T.StructType(fields))


def generate_clicks(event: np.ndarray, seed: int, days: int, distinct: int) -> pa.RecordBatch:
    """Generate the rows of events, without state and without Spark.

    Args:
        event: event_ids, int64 of shape (n,).
        seed: the same seed gives the same rows.
        days: number of day partitions.
        distinct: number of distinct events, spread evenly over the days.

    Returns:
        n rows in the module's columns.
    """
    numeric = {name: _draw_heavy_tail(seed, name, event) for name in NUMERIC}
    rank = {name: _draw_rank(seed, name, event) for name in CATEGORICAL}
    logit = _add_effects(_compute_effects(numeric, rank))
    label = _draw_labels(seed, event, logit)
    columns: dict[str, pa.Array] = {
        "event_id": pa.array(event),
        "label": pa.array(label.astype(np.int32)),
    }
    for name in NUMERIC:
        null = _draw_uniform(seed, f"{name}.null", event) < SHARES["nulls"]
        if name in TEXT_NUMERIC:
            text = pc.cast(pa.array(numeric[name].astype(np.int64)), pa.string())
            garbage = _draw_uniform(seed, f"{name}.garbage", event) < SHARES["garbage"]
            text = pc.if_else(pa.array(garbage), "n/a", text)
            columns[name] = pc.if_else(pa.array(null), pa.scalar(None, pa.string()), text)
        else:
            columns[name] = pa.array(numeric[name], mask=null)
    for name in CATEGORICAL:
        null = _draw_uniform(seed, f"{name}.null", event) < SHARES["nulls"]
        columns[name] = _list_categories(name).take(pa.array(rank[name] - 1, mask=null))
    day = np.datetime64("2026-01-01") + (event * days // distinct)
    columns["day"] = pa.array(day.astype("datetime64[D]").astype(str))
    return pa.RecordBatch.from_pydict(columns)


def compute_best_logits(event: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the labels of events, and the logits that nobody who sees their columns can better.

    Where a column is null, its part of the logit is the mean over the other events.

    Args:
        event: event_ids, int64 of shape (n,).
        seed: of the lake.

    Returns:
        labels, bool (n,), and logits, float64 (n,).
    """
    numeric = {name: _draw_heavy_tail(seed, name, event) for name in NUMERIC[:2]}
    rank = {name: _draw_rank(seed, name, event) for name in _TELLING}
    effects = _compute_effects(numeric, rank)
    label = _draw_labels(seed, event, _add_effects(effects))
    for name, effect in effects.items():
        is_null = _draw_uniform(seed, f"{name}.null", event) < SHARES["nulls"]
        effects[name] = np.where(is_null, effect[~is_null].mean(), effect)
    return label, _add_effects(effects)


def _compute_effects(
    numeric: dict[str, np.ndarray], rank: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Compute what each column adds to the logit, by its name."""
    effects = {
        name: factor * (np.log1p(np.minimum(numeric[name], 1e4)) - 1.7)
        for name, factor in (("i1", 0.5), ("i2", -0.4))
    }
    for name in _TELLING:
        effects[name] = 2 * _draw_uniform(0, f"{name}.effect", rank[name]) - 1
    return effects


def _add_effects(effects: dict[str, np.ndarray]) -> np.ndarray:
    logit = np.full(len(next(iter(effects.values()))), _INTERCEPT)
    for effect in effects.values():
        logit = logit + effect
    return logit


def _draw_labels(seed: int, event: np.ndarray, logit: np.ndarray) -> np.ndarray:
    return _draw_uniform(seed, "label", event) < 1 / (1 + np.exp(-logit))


def _hash_bits(seed: int, purpose: str, key: np.ndarray) -> np.ndarray:
    """Hash keys and a purpose to 64 bits each, uint64: splitmix64 (Steele, Lea, Flood 2014)."""
    salt = np.uint64((zlib.crc32(purpose.encode()) << 32) ^ (seed & 0xFFFF_FFFF))
    with np.errstate(over="ignore"):
        z = key.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) ^ _mix_bits(salt)
        return _mix_bits(z)


def _mix_bits(z: Any) -> Any:
    """Mix the bits of uint64 values: splitmix64's finalizer."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        return z ^ (z >> np.uint64(31))


def _draw_uniform(seed: int, purpose: str, key: np.ndarray) -> np.ndarray:
    """Draw a float64 in (0, 1) for each key."""
    return ((_hash_bits(seed, purpose, key) >> np.uint64(11)) + 0.5) * 2.0**-53


def _draw_heavy_tail(seed: int, name: str, event: np.ndarray) -> np.ndarray:
    """Draw whole numbers, log-normal (median 4.5, sigma 1.2), a few of them a million and more."""
    radius = np.sqrt(-2 * np.log(_draw_uniform(seed, f"{name}.radius", event)))
    normal = radius * np.cos(2 * np.pi * _draw_uniform(seed, f"{name}.angle", event))
    usual = np.floor(np.exp(1.5 + 1.2 * normal))
    outlier = _draw_uniform(seed, f"{name}.outlier", event) < SHARES["outliers"]
    return np.where(outlier, usual * 1e6 + 1e6, usual)


def _draw_rank(seed: int, name: str, event: np.ndarray) -> np.ndarray:
    """Draw ranks 1..cardinality, r with probability about 1 / (r ln n): Zipf of exponent near 1."""
    count = CARDINALITY[name]
    rank = np.floor(float(count + 1) ** _draw_uniform(seed, name, event))
    return np.minimum(rank, count).astype(np.int64)


@cache
def _list_categories(name: str) -> pa.Array:
    """List the categories of a column, by rank: 8 hexadecimal digits as in Criteo's log."""
    bits = _hash_bits(0, f"{name}.word", np.arange(CARDINALITY[name])) >> np.uint64(32)
    return pa.array([f"{word:08x}" for word in bits.tolist()])


def _count_injected(spark: "SparkSession", clicks: str) -> dict[str, Any]:
    """Count exactly what was injected, reading the files that were written."""
    import pyspark.sql.functions as F

    frame = spark.read.parquet(clicks)
    sums = [F.sum(F.col(name).isNull().cast("long")).alias(f"null.{name}") for name in NUMERIC]
    sums += [F.sum((F.col(n) == "n/a").cast("long")).alias(f"garbage.{n}") for n in TEXT_NUMERIC]
    sums += [
        F.sum((F.col(n) >= 1e6).cast("long")).alias(f"outlier.{n}")
        for n in NUMERIC
        if n not in TEXT_NUMERIC
    ]
    row = frame.agg(F.count("*").alias("rows"), F.sum("label").alias("positive"), *sums).first()
    assert row is not None
    counts = row.asDict()
    return {
        "rows": {"clicks": counts.pop("rows")},
        "positive": counts.pop("positive"),
        "injected": counts,
    }

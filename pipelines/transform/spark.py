"""Fit a transform with Spark: one pass over the rows, statistics of the train split only.

Each task turns its Arrow batches into partial statistics (count, mean and sum of squared
deviations a number; counts a text) and one aggregation merges them (Chan, Golub, LeVeque 1983),
which stays exact to rounding where the mean is large and the spread small. Applying a fitted
transform is `arrow.py`; Spark only carries its batches.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import LakeError
from pipelines.recipe import sections as s
from pipelines.transform.arrow import Values, derive, read_column
from pipelines.transform.spec import (
    DerivedColumn,
    FittedFeature,
    HashFeature,
    RawColumn,
    RawKind,
    StandardizeFeature,
    TransformSpec,
    VocabularyFeature,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PARTIAL = pa.schema(
    [
        ("what", pa.string()),
        ("name", pa.string()),
        ("value", pa.string()),
        ("count", pa.int64()),
        ("mean", pa.float64()),
        ("m2", pa.float64()),
    ]
)
_PARTIAL_DDL = "what string, name string, value string, count long, mean double, m2 double"
# Distinct texts a task keeps before it passes its counts on; a bound on memory, not tuned.
_FLUSH_AT = 1_000_000


@dataclass(frozen=True)
class Unfitted:
    """What a recipe wants fitted, with the raw columns' kinds found in the lake."""

    raw: dict[str, RawKind]
    derive: dict[str, "s.Derivation"]
    features: dict[str, "s.Feature"]

    def columns_of(self, *kinds: str) -> list[str]:
        """Raw or derived columns that features of these kinds read, each once, in order."""
        names = [f.column or n for n, f in self.features.items() if f.kind in kinds]
        return list(dict.fromkeys(names))

    def derived(self) -> tuple[DerivedColumn, ...]:
        return tuple(
            DerivedColumn(name=name, op=item.kind, columns=tuple(item.columns))
            for name, item in self.derive.items()
        )


@dataclass(frozen=True)
class Fitted:
    """Result of the pass.

    Attributes:
        spec: the transform.
        buckets: rows a value of the bucket column, for the ledger.
    """

    spec: TransformSpec
    buckets: dict[str, int]


def fit(
    rows: "DataFrame", unfitted: Unfitted, *, bucket: str, train: str, kept: set[str]
) -> Fitted:
    """Fit `unfitted` in one Spark job.

    Args:
        rows: raw columns and the string column `bucket`, a row of the lake each.
        unfitted: what to fit.
        bucket: name of the column that says where a row goes.
        train: its value for rows of the train split; only they enter statistics.
        kept: its values for rows that are published; they decide whether a column is nullable.

    Returns:
        the fitted transform and the number of rows in each bucket.
    """
    import pyspark.sql.functions as F

    def partials(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = _Partials(unfitted)
        for batch in batches:
            task.add(batch, bucket, train, kept)
            if task.texts_kept() > _FLUSH_AT:
                yield task.flush()
        yield task.flush()

    columns = [*unfitted.raw, bucket]
    merged = (
        rows.select(*columns)
        .mapInArrow(partials, _PARTIAL_DDL)
        .groupBy("what", "name", "value")
        .agg(
            F.sum("count").alias("count"),
            F.collect_list(F.struct("count", "mean", "m2")).alias("moments"),
        )
    )
    rare = F.lit(False)
    for column in unfitted.columns_of("vocabulary"):
        least = min(
            f.min_count
            for n, f in unfitted.features.items()
            if isinstance(f, s.Vocabulary) and (f.column or n) == column
        )
        rare = rare | (
            (F.col("what") == "text") & (F.col("name") == column) & (F.col("count") < least)
        )
    found = merged.where(~rare).collect()

    buckets = {row["value"]: row["count"] for row in found if row["what"] == "bucket"}
    nulls = {row["name"] for row in found if row["what"] == "null" and row["count"] > 0}
    moments = {
        row["name"]: _merge([(m["count"], m["mean"], m["m2"]) for m in row["moments"]])
        for row in found
        if row["what"] == "number"
    }
    texts: dict[str, list[tuple[int, str]]] = {}
    for row in found:
        if row["what"] == "text":
            texts.setdefault(row["name"], []).append((-row["count"], row["value"]))
    raw = tuple(
        RawColumn(name=name, kind=kind, nullable=name in nulls)
        for name, kind in unfitted.raw.items()
    )
    features = tuple(
        _fitted(name, feature, moments, texts) for name, feature in unfitted.features.items()
    )
    return Fitted(TransformSpec(raw=raw, derived=unfitted.derived(), features=features), buckets)


class _Partials:
    """Statistics of one task; numbers and texts are kept per raw or derived column."""

    def __init__(self, unfitted: Unfitted) -> None:
        self.unfitted = unfitted
        self.numbers = unfitted.columns_of("standardize")
        self.texts = unfitted.columns_of("vocabulary")
        self._clear()

    def _clear(self) -> None:
        self.moments: dict[str, list[tuple[int, float, float]]] = {n: [] for n in self.numbers}
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in self.texts}
        self.buckets: Counter[str] = Counter()
        self.nulls: Counter[str] = Counter()

    def texts_kept(self) -> int:
        return sum(len(counter) for counter in self.counts.values())

    def add(self, batch: pa.RecordBatch, bucket: str, train: str, kept: set[str]) -> None:
        for pair in batch[bucket].value_counts().to_pylist():
            self.buckets[pair["values"]] += pair["counts"]
        for name in self.unfitted.raw:
            mask = pc.is_in(batch[bucket], value_set=pa.array(sorted(kept)))
            self.nulls[name] += batch[name].filter(mask).null_count
        train_rows = batch.filter(pc.equal(batch[bucket], train))
        columns = {n: read_column(train_rows[n], kind) for n, kind in self.unfitted.raw.items()}
        for item in self.unfitted.derived():
            columns[item.name] = derive(item.op, [columns[c] for c in item.columns])
        for name in self.numbers:
            self.moments[name].append(_moments(columns[name]))
        for name in self.texts:
            self._count(name, columns[name])

    def _count(self, name: str, values: Values) -> None:
        present = pa.array(values.array).filter(pa.array(~values.missing))
        for pair in pc.cast(present, pa.string()).value_counts().to_pylist():
            self.counts[name][pair["values"]] += pair["counts"]

    def flush(self) -> pa.RecordBatch:
        rows: list[tuple[str, str, str | None, int, float | None, float | None]] = []
        rows += [("bucket", "", value, n, None, None) for value, n in self.buckets.items()]
        rows += [("null", name, None, n, None, None) for name, n in self.nulls.items()]
        for name, parts in self.moments.items():
            rows.append(("number", name, None, *_merge(parts)))
        for name, counter in self.counts.items():
            rows += [("text", name, value, n, None, None) for value, n in counter.items()]
        self._clear()
        arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(_PARTIAL)]
        return pa.RecordBatch.from_arrays(arrays, schema=_PARTIAL)


def _moments(values: Values) -> tuple[int, float, float]:
    """Count, mean and sum of squared deviations of the values that are there."""
    there = np.asarray(values.array, dtype=np.float64)[~values.missing]
    if not len(there):
        return 0, 0.0, 0.0
    mean = float(there.mean())
    return len(there), mean, float(np.square(there - mean).sum())


def _merge(parts: list[tuple[int, float, float]]) -> tuple[int, float, float]:
    """Moments of the union of disjoint parts, in an order of their own (tasks end in any order)."""
    count, mean, m2 = 0, 0.0, 0.0
    for n, part_mean, part_m2 in sorted(parts):
        if n:
            total = count + n
            delta = part_mean - mean
            mean += delta * n / total
            m2 += part_m2 + delta * delta * count * n / total
            count = total
    return count, mean, m2


def _fitted(
    name: str,
    feature: "s.Feature",
    moments: dict[str, tuple[int, float, float]],
    texts: dict[str, list[tuple[int, str]]],
) -> FittedFeature:
    column = feature.column or name
    if isinstance(feature, s.Standardize):
        count, mean, m2 = moments[column]
        scale = math.sqrt(m2 / count) if count else 0.0
        if not math.isfinite(scale):
            raise LakeError(
                f"feature {name!r}: column {column!r} holds values so large that their variance "
                "overflows float64; clip them or leave the column out"
            )
        mean, scale = _rounded(mean, scale) if scale > 0 else (mean, 1.0)
        return StandardizeFeature(name=name, column=column, mean=mean, scale=scale)
    if isinstance(feature, s.Hash):
        return HashFeature(name=name, column=column, buckets=feature.buckets)
    ordered = sorted((negative, value.encode()) for negative, value in texts.get(column, []))
    values = [value.decode() for negative, value in ordered if -negative >= feature.min_count]
    return VocabularyFeature(name=name, column=column, values=tuple(values[: feature.max_size]))


def _rounded(mean: float, scale: float) -> tuple[float, float]:
    """Both to a 2**-30 of the scale: rows summed in another order then give the same transform.

    The order of rows in a shuffled partition is Spark's affair, and float sums depend on it in the
    last bits. A 2**-30 standard deviation is a thousand times under float32's own rounding.
    """
    unit = 2.0 ** (math.floor(math.log2(scale)) - 30)
    return round(mean / unit) * unit, round(scale / unit) * unit

"""Rows told apart by the values of columns, and how the model does on each part of them.

Of a feature the values are read back from the prepared column: the word of an id, the number before
scaling. Raw columns of `dataset.keep` are what they are.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from headrace.evaluate.bootstrap import Interval, intervals
from headrace.evaluate.metrics import BinaryScorer, ClassesScorer, RegressionScorer
from headrace.evaluate.multi_label_metrics import LabelsScorer
from headrace.recipe import sections as s
from headrace.transform.spec import (
    BucketsFeature,
    CyclicFeature,
    HashFeature,
    ScaledFeature,
    TransformSpec,
    VocabularyFeature,
)

AnyScorer = BinaryScorer | ClassesScorer | LabelsScorer | RegressionScorer
MISSING = "missing"
_BUCKETS = 5
_FEW_DRAWS = 50  # of slices with few rows, of which there may be thousands
_DISTINCT = 50  # numbers with up to so many values are sliced by value


@dataclass(frozen=True)
class SliceResult:
    """One part of the rows.

    Attributes:
        columns: that tell it apart.
        value: what they are, for people.
        rows: of it.
        small: whether there are too few to say much.
        metrics: of it; the counts of a binary label are among them.
        intervals: of the metrics.
    """

    columns: tuple[str, ...]
    value: str
    rows: int
    small: bool
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)


def columns_of(item: s.Slice, spec: TransformSpec, kept: Collection[str]) -> list[str]:
    """Columns of the dataset that a slice needs.

    Args:
        item: the slice.
        spec: the dataset's transform.
        kept: raw columns of the dataset; they are taken where a feature has the same name.
    """
    return [
        name
        for column in item.columns
        for name in ([f"kept_{column}"] if column in kept else _dataset_columns(column, spec))
    ]


def codes_of(item: s.Slice, spec: TransformSpec, rows: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Which part each row is of.

    Args:
        item: the slice.
        spec: the dataset's transform.
        rows: with the columns of `columns_of`.

    Returns:
        int64 (rows,): positions in the list of the parts' names.
    """
    parts = [_labels(column, item.buckets, spec, rows) for column in item.columns]
    code = np.zeros(rows.num_rows, np.int64)
    for codes, names in parts:
        code = code * len(names) + codes
    there, code = np.unique(code, return_inverse=True)
    named = []
    for value in there.tolist():
        words, rest = [], value
        for _, names in reversed(parts):
            rest, place = divmod(rest, len(names))
            words.append(names[place])
        named.append(", ".join(reversed(words)))
    return code, named


def slice_results(
    item: s.Slice,
    codes: np.ndarray,
    names: Sequence[str],
    scorer_of_rows: Callable[[np.ndarray], AnyScorer],
    weight: np.ndarray,
    settings: s.Evaluate,
) -> list[SliceResult]:
    """Metrics of every part.

    Args:
        item: the slice.
        codes, names: as `codes_of` gives them.
        scorer_of_rows: of the rows at these positions.
        weight: of all rows.
        settings: of the intervals, and from how many rows a part counts.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    found = []
    for name, begin, end in zip(names, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        rows = np.sort(order[begin:end])
        own = weight[rows]
        if not own.sum() > 0:
            continue
        scorer = scorer_of_rows(rows)
        metrics = {**scorer.counts(), **scorer(own)}
        small = len(rows) < settings.min_rows
        made = intervals(
            scorer,
            own,
            draws=min(settings.bootstrap, _FEW_DRAWS) if small else settings.bootstrap,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        found.append(SliceResult(tuple(item.columns), name, len(rows), small, metrics, made))
    return found


def worst_first(
    results: Sequence[SliceResult], metric: str, *, higher_is_better: bool
) -> list[SliceResult]:
    """The worst by a metric first; at the end those with few rows, or without the metric."""
    sign = 1.0 if higher_is_better else -1.0

    def place(result: SliceResult) -> tuple[bool, bool, float]:
        value = result.metrics.get(metric)
        return value is None, result.small, 0.0 if value is None else sign * value

    return sorted(results, key=place)


def _dataset_columns(column: str, spec: TransformSpec) -> list[str]:
    feature = _feature(column, spec)
    if isinstance(feature, CyclicFeature):
        return [f"{column}_sin", f"{column}_cos"]
    if isinstance(feature, ScaledFeature) and feature.indicator:
        return [column, f"{column}_missing"]
    return [column]


def _feature(column: str, spec: TransformSpec):  # type: ignore[no-untyped-def]
    return next((f for f in spec.features if f.name == column), None)


def _labels(
    column: str, buckets: "Sequence[float] | None", spec: TransformSpec, rows: pa.Table
) -> tuple[np.ndarray, list[str]]:
    """Positions of each row's value in the list of names, and the names."""
    if f"kept_{column}" in rows.column_names:
        return _kept(column, buckets, rows[f"kept_{column}"])
    feature = _feature(column, spec)
    if isinstance(feature, CyclicFeature):
        angle = np.arctan2(rows[f"{column}_sin"].to_numpy(), rows[f"{column}_cos"].to_numpy())
        turns = np.mod(angle.astype(np.float64) / (2 * np.pi), 1.0)
        return _numbers(column, np.round(turns * feature.period, 6), buckets)
    if isinstance(feature, ScaledFeature):
        numbers = rows[column].to_numpy().astype(np.float64) * feature.scale + feature.center
        numbers = np.expm1(numbers) if feature.log1p else numbers
        if feature.indicator:
            numbers = np.where(rows[f"{column}_missing"].to_numpy() > 0, np.nan, numbers)
        # A float32 has 7 digits; the rest is what scaling made of it.
        return _numbers(column, np.array([float(f"{n:.6g}") for n in numbers]), buckets)
    ids = rows[column].to_numpy()
    names = [f"{column}={word}" for word in _words(feature)]
    return np.minimum(ids, len(names) - 1).astype(np.int64), names


def _words(feature: "VocabularyFeature | BucketsFeature | HashFeature") -> list[str]:
    if isinstance(feature, VocabularyFeature):
        unknown = [f"unknown {i + 1}" for i in range(feature.unknown_ids)]
        unknown = ["unknown"] if feature.unknown_ids == 1 else unknown
        return [MISSING, *unknown, *feature.values]
    if isinstance(feature, BucketsFeature):
        limits = ["below", *(f"{limit:g}" for limit in feature.boundaries), "above"]
        return [MISSING, *(f"{low} to {high}" for low, high in pairwise(limits))]
    return [MISSING, *(f"bucket {i + 1}" for i in range(feature.buckets))]


def _kept(
    column: str, buckets: "Sequence[float] | None", values: pa.ChunkedArray
) -> tuple[np.ndarray, list[str]]:
    kind = values.type
    if pa.types.is_timestamp(kind):
        values = values.cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.string())
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _numbers(column, values.cast(pa.float64()).fill_null(np.nan).to_numpy(), buckets)
    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    words = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(words)).to_numpy().astype(np.int64)
    return codes, [*(f"{column}={word}" for word in words), f"{column}={MISSING}"]


def _numbers(
    column: str, numbers: np.ndarray, buckets: "Sequence[float] | None"
) -> tuple[np.ndarray, list[str]]:
    there = np.isfinite(numbers)
    distinct = np.unique(numbers[there])
    if buckets is None and len(distinct) <= _DISTINCT:
        codes = np.searchsorted(distinct, np.where(there, numbers, 0.0))
        names = [f"{column}={value:.12g}" for value in distinct]
    else:
        if buckets is None:
            shares = np.arange(1, _BUCKETS) / _BUCKETS
            buckets = np.unique(np.quantile(numbers[there], shares)).tolist()
        limits = [f"{limit:.4g}" for limit in buckets]
        codes = np.searchsorted(np.array(buckets), np.where(there, numbers, 0.0), side="right")
        names = [f"{column} below {limits[0]}"]
        names += [f"{column} {low} to {high}" for low, high in pairwise(limits)]
        names.append(f"{column} from {limits[-1]}")
    return np.where(there, codes, len(names)).astype(np.int64), [*names, f"{column} {MISSING}"]


def as_rows(results: Sequence[SliceResult]) -> list[Mapping[str, object]]:
    """For JSON."""
    return [
        {
            "columns": list(r.columns),
            "value": r.value,
            "rows": r.rows,
            "small": r.small,
            "metrics": r.metrics,
            "intervals": {n: [i.low, i.high] for n, i in r.intervals.items()},
        }
        for r in results
    ]

"""Slice rows by the values of columns, and score the model on each slice.

The values of a feature are restored from the prepared column: the word of an id, the number before
scaling. Raw columns of `dataset.keep` are used as they are.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa

from headrace.columns.dataset_columns import name_passthrough_column
from headrace.columns.histogram import MISSING_LABEL
from headrace.evaluate.bootstrap import Interval, compute_intervals
from headrace.features.kind import IdsKind, NumbersKind
from headrace.features.kinds import find_feature_kind
from headrace.labels.kind import Scorer
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

_DEFAULT_BUCKETS = 5
_MAX_SMALL_DRAWS = 50  # of a slice with few rows: there may be thousands of such slices
_MAX_DISTINCT_VALUES = 50  # columns with up to this many numbers are sliced by number


@dataclass(frozen=True)
class SliceResult:
    """The metrics of one slice of the rows.

    Attributes:
        columns: by which the rows are sliced.
        value: the values of the columns in words.
        rows: number of rows in the slice.
        is_small: whether the rows are too few for the metrics to say much.
        metrics: of these rows, counts included.
        intervals: by metric.
    """

    columns: tuple[str, ...]
    value: str
    rows: int
    is_small: bool
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)


def list_slice_columns(
    item: s.Slice, spec: TransformSpec, raw_columns: Collection[str]
) -> list[str]:
    """Return the columns of the dataset that a slice needs.

    Args:
        item: the slice of the recipe.
        spec: the dataset's transform.
        raw_columns: of the dataset; they go before features of the same name.
    """
    return [
        name
        for column in item.columns
        for name in (
            [name_passthrough_column(column)]
            if column in raw_columns
            else _list_dataset_columns(column, spec)
        )
    ]


def assign_slices(
    item: s.Slice, spec: TransformSpec, rows: pa.Table
) -> tuple[np.ndarray, list[str]]:
    """Assign each row to a slice: one combination of the columns' values.

    Args:
        item: the slice of the recipe.
        spec: the dataset's transform.
        rows: table with the columns of `list_slice_columns`.

    Returns:
        positions in the list of names, int64 (rows,); and the names, of slices that have rows.
    """
    columns = [_encode_column(column, item.buckets, spec, rows) for column in item.columns]
    combined = np.zeros(rows.num_rows, np.int64)
    for codes, names in columns:
        combined = combined * len(names) + codes
    occurring, positions = np.unique(combined, return_inverse=True)
    slice_names = []
    for code in occurring.tolist():
        words, rest = [], code
        for _, names in reversed(columns):
            rest, position = divmod(rest, len(names))
            words.append(names[position])
        slice_names.append(", ".join(reversed(words)))
    return positions, slice_names


def score_slices(
    item: s.Slice,
    codes: np.ndarray,
    names: Sequence[str],
    make_scorer: Callable[[np.ndarray], Scorer],
    weight: np.ndarray,
    settings: s.Evaluate,
) -> list[SliceResult]:
    """Compute the metrics of every slice whose rows have weight.

    Args:
        item: the slice of the recipe.
        codes, names: of `assign_slices`.
        make_scorer: from positions of rows to their scorer.
        weight: of all rows, float64 (rows,).
        settings: of the intervals, and from how many rows on a slice is not small.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    results = []
    for name, begin, end in zip(names, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        rows = np.sort(order[begin:end])
        slice_weight = weight[rows]
        if not slice_weight.sum() > 0:
            continue
        scorer = make_scorer(rows)
        is_small = len(rows) < settings.min_rows
        draws = min(settings.bootstrap, _MAX_SMALL_DRAWS) if is_small else settings.bootstrap
        intervals = compute_intervals(
            scorer, slice_weight, draws=draws, confidence=settings.confidence, seed=settings.seed
        )
        results.append(
            SliceResult(
                columns=tuple(item.columns),
                value=name,
                rows=len(rows),
                is_small=is_small,
                metrics={**scorer.count_outcomes(slice_weight), **scorer(slice_weight)},
                intervals=intervals,
            )
        )
    return results


def sort_worst_first(
    results: Sequence[SliceResult], metric: str, *, higher_is_better: bool
) -> list[SliceResult]:
    """Sort slices by a metric, the worst first; at the end small ones, then those without it."""
    sign = 1.0 if higher_is_better else -1.0

    def make_sort_key(result: SliceResult) -> tuple[bool, bool, float]:
        value = result.metrics.get(metric)
        return value is None, result.is_small, 0.0 if value is None else sign * value

    return sorted(results, key=make_sort_key)


def _list_dataset_columns(column: str, spec: TransformSpec) -> list[str]:
    feature = _find_feature(column, spec)
    return list(feature.dataset_columns) if feature else [column]


def _find_feature(column: str, spec: TransformSpec):  # type: ignore[no-untyped-def]
    return next((f for f in spec.features if f.name == column), None)


def _encode_column(
    column: str, buckets: "Sequence[float] | None", spec: TransformSpec, rows: pa.Table
) -> tuple[np.ndarray, list[str]]:
    """Return the position of each row's value in the list of names, and the names."""
    if (name := name_passthrough_column(column)) in rows.column_names:
        return _encode_raw_column(column, buckets, rows[name])
    feature = _find_feature(column, spec)
    kind = find_feature_kind(feature)
    if isinstance(kind, NumbersKind):
        columns = {name: rows[name].to_numpy() for name in feature.dataset_columns}
        return _encode_numbers(column, kind.restore_numbers(feature, columns), buckets)
    assert isinstance(kind, IdsKind)  # the recipe names no feature of another form
    names = [f"{column}={word}" for word in kind.name_ids(feature)]
    return np.minimum(rows[column].to_numpy(), len(names) - 1).astype(np.int64), names


def _encode_raw_column(
    column: str, buckets: "Sequence[float] | None", values: pa.ChunkedArray
) -> tuple[np.ndarray, list[str]]:
    """Encode a raw column as `_encode_column` does: times by day, texts and booleans by value."""
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.string())
    elif pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return _encode_numbers(
            column, values.cast(pa.float64()).fill_null(np.nan).to_numpy(), buckets
        )
    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    words = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(words)).to_numpy().astype(np.int64)
    return codes, [*(f"{column}={word}" for word in words), f"{column}={MISSING_LABEL}"]


def _encode_numbers(
    column: str, numbers: np.ndarray, buckets: "Sequence[float] | None"
) -> tuple[np.ndarray, list[str]]:
    """Encode numbers as `_encode_column` does: by number where they are few, else by bucket.

    Args:
        column: name, for the names of the buckets.
        numbers: float64 (rows,), NaN where one is missing.
        buckets: rising limits; quantiles where there are none.
    """
    is_number = np.isfinite(numbers)
    distinct = np.unique(numbers[is_number])
    if buckets is None and len(distinct) <= _MAX_DISTINCT_VALUES:
        codes = np.searchsorted(distinct, np.where(is_number, numbers, 0.0))
        names = [f"{column}={value:.12g}" for value in distinct]
    else:
        if buckets is None:
            shares = np.arange(1, _DEFAULT_BUCKETS) / _DEFAULT_BUCKETS
            buckets = np.unique(np.quantile(numbers[is_number], shares)).tolist()
        limits = [f"{limit:.4g}" for limit in buckets]
        codes = np.searchsorted(np.array(buckets), np.where(is_number, numbers, 0.0), side="right")
        names = [f"{column} below {limits[0]}"]
        names += [f"{column} {low} to {high}" for low, high in pairwise(limits)]
        names.append(f"{column} from {limits[-1]}")
    return np.where(is_number, codes, len(names)).astype(np.int64), [
        *names,
        f"{column} {MISSING_LABEL}",
    ]


def slices_to_list(results: Sequence[SliceResult]) -> list[Mapping[str, object]]:
    """Return slices as plain values, for `slices.json`."""
    return [
        {
            "columns": list(r.columns),
            "value": r.value,
            "rows": r.rows,
            "small": r.is_small,
            "metrics": r.metrics,
            "intervals": {n: [i.low, i.high] for n, i in r.intervals.items()},
        }
        for r in results
    ]

"""Slice rows by the values of columns, and score the model on each slice.

The values are raw ones, which lie beside the rows of the test split: what a feature reads, and
columns of `dataset.keep`. In versions of an older Headrace those of features are restored from the
prepared columns, the word of an id or the number before scaling, and the report says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from headrace.errors import ModelError
from headrace.evaluate.bootstrap import Interval, compute_intervals, find_intervals, move_draws
from headrace.evaluate.sketched import SketchedRows
from headrace.evaluate.slice_values import (
    MAX_VALUES,
    EncodedColumn,
    combine_columns,
    encode_booleans,
    encode_integers,
    encode_reals,
    encode_texts,
    encode_times,
)
from headrace.features.kind import IdsKind, NumbersKind
from headrace.features.kinds import find_feature_kind
from headrace.labels.scorer import Scorer
from headrace.lake.build import Build
from headrace.recipe import sections as s
from headrace.recipe.slice_limits import Limit, parse_limits
from headrace.transform.slice_columns import (
    RawSource,
    SliceColumn,
    find_slice_column,
    find_slice_problems,
)
from headrace.transform.spec import TransformSpec

_MAX_SMALL_DRAWS = 50  # of a slice with few rows: there may be thousands of such slices


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
        bounds: by how much the exact metric may differ, above 0; of others there is none.
    """

    columns: tuple[str, ...]
    value: str
    rows: int
    is_small: bool
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SliceSource:
    """A slice of the recipe, and where the values of its columns lie.

    Attributes:
        item: the slice.
        columns: of the slice, in its order.
    """

    item: s.Slice
    columns: tuple[SliceColumn, ...]

    @property
    def dataset_columns(self) -> list[str]:
        """Return the columns of the dataset that it needs."""
        return [name for column in self.columns for name in column.dataset_columns]


def find_slice_source(item: s.Slice, spec: TransformSpec, build: Build) -> SliceSource:
    """Find where the values of a slice's columns lie.

    Args:
        item: the slice of the recipe.
        spec: the dataset's transform.
        build: the record of its build.

    Raises:
        ModelError: the dataset lacks a column, or it has another type than the limits.
    """
    problems = find_slice_problems([item], spec, build)
    if problems:
        raise ModelError("; ".join(f"{p.message}; {p.fix}" for p in problems))
    columns = (find_slice_column(name, spec, build) for name in item.columns)
    return SliceSource(item, tuple(column for column in columns if column is not None))


def assign_slices(source: SliceSource, rows: pa.Table, most: int = MAX_VALUES) -> EncodedColumn:
    """Assign each row to a slice: one combination of the columns' values.

    Args:
        source: the slice, and its columns.
        rows: table with the columns of `source.dataset_columns`.
        most: slices with a value of their own; rows of rarer values are one slice.

    Returns:
        the slices that have rows, and what a reader has to know about them.
    """
    limits = None if source.item.buckets is None else parse_limits(source.item.buckets)
    encoded = [_encode_column(column, limits, rows, most) for column in source.columns]
    return combine_columns(encoded, most=most)


def score_slices(
    item: s.Slice,
    codes: np.ndarray,
    names: Sequence[str],
    make_scorer: Callable[[np.ndarray], Scorer],
    weight: np.ndarray,
    settings: s.Evaluate,
    lists: np.ndarray | None = None,
    sketch: Callable[[np.ndarray, int], SketchedRows] | None = None,
) -> list[SliceResult]:
    """Compute the metrics of every slice whose rows have weight.

    Args:
        item: the slice of the recipe.
        codes, names: of `assign_slices`.
        make_scorer: from positions of rows to their scorer.
        weight: of all rows, float64 (rows,).
        settings: of the intervals, and from how many rows on a slice is not small.
        lists: of all rows, see `ranking.LIST`; a slice has those rows of a list that are in it.
        sketch: where all rows together are sketched: from positions of rows and a number of draws
            to their sketch, by whose draws the intervals are. Metrics are still those of all rows
            of a slice, unless these are too many as well.
    """
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    results = []
    for name, begin, end in zip(names, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        rows = np.sort(order[begin:end])
        slice_weight = weight[rows]
        if not slice_weight.sum() > 0:
            continue
        is_small = len(rows) < settings.min_rows
        draws = min(settings.bootstrap, _MAX_SMALL_DRAWS) if is_small else settings.bootstrap
        if sketch is not None:
            exact = make_scorer(rows) if len(rows) <= settings.exact_rows else None
            results.append(
                _sketch_slice(item, name, slice_weight, sketch(rows, draws), exact, settings)
            )
            continue
        scorer = make_scorer(rows)
        intervals = compute_intervals(
            scorer,
            slice_weight,
            draws=draws,
            confidence=settings.confidence,
            seed=settings.seed,
            lists=None if lists is None else lists[rows],
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


def _sketch_slice(
    item: s.Slice,
    name: str,
    weight: np.ndarray,
    sketched: SketchedRows,
    exact: Scorer | None,
    settings: s.Evaluate,
) -> SliceResult:
    """Return a slice whose draws are those of a sketch, moved to its exact metrics if it has any.

    Args:
        item: the slice of the recipe.
        name: of the value.
        weight: of its rows.
        sketched: its rows.
        exact: their scorer; None where metrics are the sketch's.
        settings: of the intervals.
    """
    drawn = sketched.drawn
    if exact is not None:
        drawn = move_draws(drawn, exact(weight))
    return SliceResult(
        columns=tuple(item.columns),
        value=name,
        rows=len(weight),
        is_small=len(weight) < settings.min_rows,
        metrics={**sketched.counts, **drawn.metrics},
        intervals=find_intervals(drawn, settings.confidence),
        bounds=drawn.bounds,
    )


def sort_worst_first(
    results: Sequence[SliceResult], metric: str, *, higher_is_better: bool
) -> list[SliceResult]:
    """Sort slices by a metric, the worst first; at the end small ones, then those without it."""
    sign = 1.0 if higher_is_better else -1.0

    def make_sort_key(result: SliceResult) -> tuple[bool, bool, float]:
        value = result.metrics.get(metric)
        return value is None, result.is_small, 0.0 if value is None else sign * value

    return sorted(results, key=make_sort_key)


def _encode_column(
    column: SliceColumn, limits: "Sequence[Limit] | None", rows: pa.Table, most: int
) -> EncodedColumn:
    """Encode one column of a slice."""
    if column.is_restored:
        return _encode_restored(column, limits, rows)
    if len(column.sources) > 1:
        crossed = [
            _encode_source(item, item.column, None, rows, True, most) for item in column.sources
        ]
        encoded = combine_columns(crossed, " and ", most)
        names = [f"{column.name}: {name}" for name in encoded.names]
        return EncodedColumn(encoded.codes, names, encoded.notes)
    (item,) = column.sources
    limits = column.intervals if limits is None else limits
    return _encode_source(item, column.name, limits, rows, column.is_category, most)


def _encode_source(
    source: RawSource,
    name: str,
    limits: "Sequence[Limit] | None",
    rows: pa.Table,
    is_category: bool,
    most: int,
) -> EncodedColumn:
    """Encode raw values; `name` is shown, and a category's numbers are values of their own."""
    values = source.read_values(rows)
    if source.type == "string":
        return encode_texts(name, values, most=most)
    if source.type == "boolean":
        return encode_booleans(name, values)
    if source.type == "timestamp":
        return encode_times(name, values, limits, most=most)
    encode = encode_integers if source.type == "integer" else encode_reals
    return encode(name, values, limits, is_category=is_category, most=most)


def _encode_restored(
    column: SliceColumn, limits: "Sequence[Limit] | None", rows: pa.Table
) -> EncodedColumn:
    """Encode what the model reads of a column, as far as that says what its values were."""
    feature, name = column.feature, column.name
    assert feature is not None
    kind = find_feature_kind(feature)
    fix = "the dataset version has no raw values; `headrace prepare --full` makes one that has them"
    if isinstance(kind, NumbersKind):
        arrays = {n: rows[n].to_numpy() for n in feature.dataset_columns}
        numbers = pa.array(kind.restore_numbers(feature, arrays), from_pandas=True)
        encoded = encode_reals(name, numbers, limits)
        note = (
            f"{name} was restored from scaled numbers of 7 digits, so values may be off, on the "
            "wrong side of a limit, or missing ones at the mean"
        )
    else:
        assert isinstance(kind, IdsKind)  # the recipe names no feature of another form
        words = [f"{name}={word}" for word in kind.name_ids(feature)]
        codes = np.minimum(rows[feature.name].to_numpy(), len(words) - 1).astype(np.int64)
        encoded = EncodedColumn(codes, words)
        note = f"{name} was restored from ids, so values that share one are one slice"
        if limits is not None:
            note = f"the buckets of {name} were not applied, because it is read from ids"
    return EncodedColumn(encoded.codes, encoded.names, (*encoded.notes, f"{note}: {fix}"))


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
            **({"bounds": dict(r.bounds)} if r.bounds else {}),
        }
        for r in results
    ]

"""Merge the statistics of all tasks, in tasks, and fit the transform: the end of the first job.

All parts of one summary go to one task, which merges them in bounded memory and trims the result
to what the features use, so that the driver receives the transform and little more.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.statistics import NumberSummary, Statistics, StatisticsMerger, TextCounts
from headrace.features.kind import CountLimits
from headrace.features.kinds import find_feature_kind
from headrace.features.summaries import TextCountsRequest
from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    COUNTS,
    ROWS,
    TEXTS,
    build_blob_batch,
    forget_archives,
    read_blobs,
)
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY, collect_summary_requests

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Fitted:
    """The result of the first job.

    Attributes:
        spec: the transform.
        statistics: of the train split, trimmed; empty where the transform is reused.
        counts: of all rows.
    """

    spec: TransformSpec
    statistics: Statistics
    counts: TaskCounts


def merge_statistics(
    blobs: "DataFrame", fit_inputs: FitInputs, reused_spec: TransformSpec | None = None
) -> Fitted:
    """Run the first job: merge what its tasks counted and collected, and fit the transform.

    Args:
        blobs: as `reduce.shuffle_rows` returns them.
        fit_inputs: what is fitted.
        reused_spec: the transform where it is fitted already; then rows are counted only.

    Raises:
        LakeError: a feature cannot be fitted on these values.
    """
    import pyspark.sql.functions as F

    requests = {} if reused_spec else fit_inputs.collect_summary_requests()
    limits = find_count_limits(fit_inputs) if requests else {}
    small = blobs.where(F.col("kind") != ROWS)
    # A Python task costs some 0.2 s before it does anything; a few of them do.
    tasks = min(len(limits) + 2, 2 * find_engine(blobs.sparkSession).get_parallelism())
    merged = small.repartition(tasks, "name").sortWithinPartitions("name")
    counts, statistics = TaskCounts(), Statistics()
    for row in merged.mapInArrow(_build_merge(limits), BLOB_DDL).collect():
        if row["kind"] == COUNTS:
            counts.add_counts(TaskCounts.from_bytes(row["blob"]))
        else:
            kind = TextCounts if row["kind"] == TEXTS else NumberSummary
            statistics[row["name"]] = kind.from_bytes(bytes(row["blob"]))
    if reused_spec:
        return Fitted(reused_spec, statistics, counts)
    for key, request in requests.items():  # there may be no row at all
        empty = TextCounts if isinstance(request, TextCountsRequest) else NumberSummary
        statistics.setdefault(key, empty.merge([]))
    empty = TextCounts if fit_inputs.label_kind.has_text_values else NumberSummary
    statistics.setdefault(LABEL_KEY, empty.merge([]))
    nullable = {name for name, _ in counts.nulls}
    return Fitted(fit_inputs.fit_spec(statistics, nullable), statistics, counts)


@dataclass(frozen=True)
class _CountLimits:
    """The text counts of a column that features need.

    Attributes:
        min_count: of the rarest value.
        max_size: how many values; None for all.
        top_only: whether only the most frequent values are needed.
    """

    min_count: int
    max_size: int | None
    top_only: bool

    @staticmethod
    def for_readers(limits: Sequence[CountLimits]) -> "_CountLimits":
        """Return the limits of all features that use one summary, together.

        Args:
            limits: of those that need more than its most frequent value.
        """
        sizes = [item.max_size for item in limits]
        largest = None if None in sizes else max((n for n in sizes if n), default=None)
        least = min((item.min_count for item in limits), default=1)
        return _CountLimits(least, largest, top_only=not limits)

    def trim_counts(self, counts: TextCounts) -> TextCounts:
        """Return the counts of the values that are needed."""
        table = counts.table
        if not table.num_rows:
            return counts
        least = pc.max(table["count"]) if self.top_only else self.min_count
        frequent = table.filter(pc.greater_equal(table["count"], least))
        order = [("count", "descending"), ("value", "ascending")]
        if not frequent.num_rows:  # the most frequent value may stand for missing ones
            return TextCounts(table.sort_by(order).slice(0, 1))
        return TextCounts(frequent.sort_by(order).slice(0, self.max_size))


def find_count_limits(fit_inputs: FitInputs) -> dict[str, _CountLimits]:
    """Find what features need of every summary, by its key."""
    readers: dict[str, list[CountLimits]] = {}
    for name, section in fit_inputs.features.items():
        limits = find_feature_kind(section).find_count_limits(section)
        for key in collect_summary_requests({name: section}):
            readers.setdefault(key, []).extend([limits] if limits else [])
    return {key: _CountLimits.for_readers(items) for key, items in readers.items()}


def _build_merge(limits: dict[str, _CountLimits]) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that merges blobs, which come sorted by summary."""

    def merge_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        name: str | None = None
        mergers: dict[str, StatisticsMerger] = {}
        counts = TaskCounts()

        def finish_summary() -> pa.RecordBatch:
            rows = [(COUNTS, str(name), 0, counts.to_bytes())]
            for kind, merger in mergers.items():
                result = merger.merge_parts()
                if isinstance(result, TextCounts) and str(name) in limits:
                    result = limits[str(name)].trim_counts(result)
                rows.append((kind, str(name), 0, result.to_bytes()))
            return build_blob_batch(rows)

        for batch in batches:
            for kind, key, _, blob in read_blobs(batch):
                if key != name:
                    if name is not None:
                        yield finish_summary()
                    name, mergers, counts = key, {}, TaskCounts()
                if kind == COUNTS:
                    counts.add_counts(TaskCounts.from_bytes(blob.to_pybytes()))
                else:
                    summary = TextCounts if kind == TEXTS else NumberSummary
                    mergers.setdefault(kind, StatisticsMerger(summary)).add(blob)
        if name is not None:
            yield finish_summary()

    return merge_batches

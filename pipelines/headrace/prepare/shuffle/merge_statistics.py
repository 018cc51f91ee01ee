"""Merge the statistics of all tasks, in tasks, and fit the transform: the end of the first job.

Everything about one variable meets in one task, is merged there in bounded memory and cut to what
the features keep, so that the driver receives the transform and little more.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    COUNTS,
    ROWS,
    TEXTS,
    blob_batch,
    forget_archives,
    rows_of,
)
from headrace.prepare.shuffle.task_counts import Counts
from headrace.recipe import sections as s
from headrace.transform.fit import OF_TEXTS, Unfitted
from headrace.transform.spec import TransformSpec
from headrace.transform.statistics import Merging, NumberSummary, TextCounts
from headrace.transform.variables import LABEL, Statistics, Texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Fitted:
    """Result of the first job.

    Attributes:
        spec: the transform.
        statistics: of the train split, as far as they were kept; none of a frozen transform.
        counts: of all rows.
    """

    spec: TransformSpec
    statistics: Statistics
    counts: Counts


def fit(blobs: "DataFrame", unfitted: Unfitted, frozen: TransformSpec | None = None) -> Fitted:
    """Run the job.

    Args:
        blobs: as `gather.gathered` makes them.
        frozen: the transform where it is there already; then rows are counted only.

    Raises:
        LakeError: a feature cannot be fitted on these values.
    """
    import pyspark.sql.functions as F

    variables = {} if frozen else unfitted.variables()
    keeps = {key: _Keep.of(key, unfitted) for key in variables}
    small = blobs.where(F.col("kind") != ROWS)
    # A Python task costs some 0.2 s before it does anything; a few of them do.
    tasks = min(len(keeps) + 2, 2 * blobs.sparkSession.sparkContext.defaultParallelism)
    merged = small.repartition(tasks, "name").sortWithinPartitions("name")
    counts, statistics = Counts(), Statistics()
    for row in merged.mapInArrow(_merging(keeps), BLOB_DDL).collect():
        if row["kind"] == COUNTS:
            counts.add(Counts.from_bytes(row["blob"]))
        else:
            kind = TextCounts if row["kind"] == TEXTS else NumberSummary
            statistics[row["name"]] = kind.from_bytes(bytes(row["blob"]))
    if frozen:
        return Fitted(frozen, statistics, counts)
    for key, variable in variables.items():  # there may be no row at all
        empty = TextCounts if isinstance(variable, Texts) else NumberSummary
        statistics.setdefault(key, empty.merge([]))
    empty = TextCounts if unfitted.label.kind in OF_TEXTS else NumberSummary
    statistics.setdefault(LABEL, empty.merge([]))
    nullable = {name for name, _ in counts.nulls}
    return Fitted(unfitted.fitted(statistics, nullable), statistics, counts)


@dataclass(frozen=True)
class _Keep:
    """What features need of the counts of a text variable."""

    min_count: int
    max_size: int | None
    top_only: bool

    @staticmethod
    def of(key: str, unfitted: Unfitted) -> "_Keep":
        least, most, numbers = [], [], False
        for name, feature in unfitted.features.items():
            if isinstance(feature, s.Vocabulary | s.TextIds | s.MultiValued):
                alone = Unfitted(unfitted.raw, unfitted.derive, {name: feature})
                if key in alone.variables():
                    least.append(feature.min_count)
                    most.append(feature.max_size)
            else:
                numbers = numbers or getattr(feature, "impute", None) == "most_frequent"
        largest = None if None in most else max((m for m in most if m), default=None)
        return _Keep(min(least, default=1), largest, numbers and not least)

    def cut(self, counts: TextCounts) -> TextCounts:
        table = counts.table
        if not table.num_rows:
            return counts
        least = pc.max(table["count"]) if self.top_only else self.min_count
        kept = table.filter(pc.greater_equal(table["count"], least))
        order = [("count", "descending"), ("value", "ascending")]
        if not kept.num_rows:  # the most frequent value may stand for missing ones
            return TextCounts(table.sort_by(order).slice(0, 1))
        return TextCounts(kept.sort_by(order).slice(0, self.max_size))


def _merging(keeps: dict[str, _Keep]) -> Callable[..., Iterator[pa.RecordBatch]]:
    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        name: str | None = None
        mergings: dict[str, Merging] = {}
        counts = Counts()

        def done() -> pa.RecordBatch:
            rows = [(COUNTS, str(name), 0, counts.to_bytes())]
            for kind, merging in mergings.items():
                result = merging.result()
                if isinstance(result, TextCounts) and str(name) in keeps:
                    result = keeps[str(name)].cut(result)
                rows.append((kind, str(name), 0, result.to_bytes()))
            return blob_batch(rows)

        for batch in batches:
            for kind, found, _, blob in rows_of(batch):
                if found != name:
                    if name is not None:
                        yield done()
                    name, mergings, counts = found, {}, Counts()
                if kind == COUNTS:
                    counts.add(Counts.from_bytes(blob.to_pybytes()))
                else:
                    of = TextCounts if kind == TEXTS else NumberSummary
                    mergings.setdefault(kind, Merging(of)).add(blob)
        if name is not None:
            yield done()

    return merge

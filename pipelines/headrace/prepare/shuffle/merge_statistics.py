"""Merge the statistics of all tasks, in tasks, and fit the transform: the end of the first job.

All parts of one summary go to one task, which merges them in bounded memory and trims the result
to what the features use, so that the driver receives the transform and little more. Where that
would be more texts than a transform has itself, they are left to `many_texts`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import (
    BINS,
    BYTES_PER_BIN,
    NumberSummary,
    Statistics,
    StatisticsMerger,
    TextCounts,
)
from headrace.features import stored_texts
from headrace.features.summaries import TextCountsRequest
from headrace.lake.vocabulary_files import SidecarVocabularyFiles
from headrace.prepare.shuffle.arrow_blobs import (
    BLOB_DDL,
    COUNTS,
    READ_KEYS,
    ROWS,
    TEXTS,
    StoredBlob,
    build_blob_batch,
    forget_archives,
    read_blobs,
)
from headrace.prepare.shuffle.count_limits import CombinedLimits, find_count_limits
from headrace.prepare.shuffle.many_texts import count_many_texts
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NUMBERS_BYTES = 256 * 2**20
"""Of all columns' numbers that the driver receives. A column of very many rows has 65,536 bins, and
two thousand of them would be 5 GiB; a hundred of them have all."""
_MANY_TEXTS = "many texts"  # kind of the row of a summary that is left to `many_texts`


@dataclass(frozen=True)
class Fitted:
    """The result of the first job.

    Attributes:
        spec: the transform.
        statistics: of the train split, trimmed; empty where the transform is reused.
        counts: of all rows.
        row_ids: int64, of the rows that are read and have a key, where they are collected.
    """

    spec: TransformSpec
    statistics: Statistics
    counts: TaskCounts
    row_ids: np.ndarray


def merge_statistics(
    blobs: "DataFrame",
    fit_inputs: FitInputs,
    files: SidecarVocabularyFiles,
    reused_spec: TransformSpec | None = None,
) -> Fitted:
    """Run the first job: merge what its tasks counted and collected, and fit the transform.

    Args:
        blobs: as `reduce.shuffle_rows` returns them.
        fit_inputs: what is fitted.
        files: where a task writes vocabularies that are too large for the transform itself.
        reused_spec: the transform where it is fitted already; then rows are counted only.

    Raises:
        LakeError: a feature cannot be fitted on these values.
    """
    import pyspark.sql.functions as F

    plan = MergePlan.from_inputs(fit_inputs, reused_spec)
    small = blobs.where(F.col("kind") != ROWS)
    # A Python task costs some 0.2 s before it does anything; a few of them do.
    tasks = min(len(plan.limits) + 2, 2 * find_engine(blobs.sparkSession).get_parallelism())
    merged = small.repartition(tasks, "name").sortWithinPartitions("name")
    results = merged.mapInArrow(_build_merge(plan), BLOB_DDL).collect()

    def count_texts(key: str) -> TextCounts:
        return count_many_texts(blobs, key, plan.limits[key], files, plan.most_texts)

    return assemble_fitted(results, fit_inputs, reused_spec, count_texts)


def assemble_fitted(
    results: Iterable[Sequence[Any]],
    fit_inputs: FitInputs,
    reused_spec: TransformSpec | None,
    count_texts: Callable[[str], TextCounts],
) -> Fitted:
    """Assemble what merging tasks returned, and fit the transform.

    Args:
        results: kind, name, target and blob of each.
        fit_inputs, reused_spec: see `merge_statistics`.
        count_texts: counts those of a summary that has more than a transform has itself.
    """
    requests = {} if reused_spec else fit_inputs.collect_summary_requests()
    counts, statistics, keys = TaskCounts(), Statistics(), [np.zeros(0, np.int64)]
    for kind, name, _, blob in results:
        if kind == COUNTS:
            counts.add_counts(TaskCounts.from_bytes(blob))
        elif kind == READ_KEYS:
            keys.append(np.frombuffer(blob, np.int64))
        elif kind == _MANY_TEXTS:
            statistics[name] = count_texts(name)
        else:
            summary = TextCounts if kind == TEXTS else NumberSummary
            statistics[name] = summary.from_bytes(bytes(blob))
    if reused_spec:
        return Fitted(reused_spec, statistics, counts, np.concatenate(keys))
    for key, request in requests.items():  # there may be no row at all
        empty = TextCounts if isinstance(request, TextCountsRequest) else NumberSummary
        statistics.setdefault(key, empty.merge([]))
    empty = TextCounts if fit_inputs.label_kind.has_text_values else NumberSummary
    statistics.setdefault(LABEL_KEY, empty.merge([]))
    nullable = {name for name, _ in counts.nulls}
    spec = fit_inputs.fit_spec(statistics, nullable)
    return Fitted(spec, statistics, counts, np.concatenate(keys))


@dataclass(frozen=True)
class MergePlan:
    """What tasks merge, and within which limits.

    Attributes:
        limits: what is needed of the counts of texts.
        most_texts: beyond these a summary is left to `many_texts`, and its blobs are passed over.
        most_bins: of a column's numbers.
    """

    limits: Mapping[str, CombinedLimits]
    most_texts: int
    most_bins: int

    @staticmethod
    def from_inputs(fit_inputs: FitInputs, reused_spec: TransformSpec | None) -> "MergePlan":
        """Return the plan for what is fitted; counts are merged alone where nothing is."""
        requests = {} if reused_spec else fit_inputs.collect_summary_requests()
        numbers = sum(not isinstance(r, TextCountsRequest) for r in requests.values())
        limits = find_count_limits(fit_inputs) if requests else {}
        return MergePlan(limits, stored_texts.INLINE_TEXTS, choose_most_bins(numbers))


def choose_most_bins(summaries: int) -> int:
    """Choose how many bins the merged numbers of a column have at most.

    Args:
        summaries: of numbers, of all columns.
    """
    return max(BINS, _NUMBERS_BYTES // (BYTES_PER_BIN * max(summaries, 1)))


def _build_merge(plan: MergePlan) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that merges blobs, which come sorted by summary."""

    def merge_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        yield from merge_blobs((blob for batch in batches for blob in read_blobs(batch)), plan)

    return merge_batches


def merge_blobs(blobs: Iterable[StoredBlob], plan: MergePlan) -> Iterator[pa.RecordBatch]:
    """Merge blobs, which come sorted by summary; yield batches of blobs for `assemble_fitted`."""
    limits = plan.limits

    def can_be_many(name: str) -> bool:
        return name in limits and not limits[name].needs_top

    name: str | None = None
    mergers: dict[str, StatisticsMerger] = {}
    counts = TaskCounts()
    is_many = False

    def finish_summary() -> pa.RecordBatch:
        rows = [(COUNTS, str(name), 0, counts.to_bytes())]
        if is_many:
            return build_blob_batch([*rows, (_MANY_TEXTS, str(name), 0, b"")])
        for kind, merger in mergers.items():
            result = merger.merge_parts()
            if isinstance(result, TextCounts) and str(name) in limits:
                result = limits[str(name)].trim_counts(result)
                if can_be_many(str(name)) and result.table.num_rows > plan.most_texts:
                    rows.append((_MANY_TEXTS, str(name), 0, b""))
                    continue
            if isinstance(result, NumberSummary):
                result = result.limit_bins(plan.most_bins)
            rows.append((kind, str(name), 0, result.to_bytes()))
        return build_blob_batch(rows)

    for kind, key, _, blob in blobs:
        if kind == READ_KEYS:
            yield build_blob_batch([(kind, key, 0, blob.to_pybytes())])
            continue
        if key != name:
            if name is not None:
                yield finish_summary()
            name, mergers, counts, is_many = key, {}, TaskCounts(), False
        if kind == COUNTS:
            counts.add_counts(TaskCounts.from_bytes(blob.to_pybytes()))
        elif not is_many:
            summary = TextCounts if kind == TEXTS else NumberSummary
            merger = mergers.setdefault(kind, StatisticsMerger(summary, 2 * plan.most_texts))
            merger.add(blob)
            if can_be_many(key) and merger.merged_texts > plan.most_texts:
                mergers, is_many = {}, True
    if name is not None:
        yield finish_summary()

"""Compute the statistics of each column of the rows of a version."""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.sampling import (
    CONFIDENCE,
    compute_quantile,
    compute_rank_error,
    compute_skewness,
    estimate_distinct,
)
from headrace.columns.values import RawKind
from headrace.lake.column_totals import ColumnTotals
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import (
    LABEL_KIND,
    ColumnSummary,
    DataStatistics,
    DistinctEstimate,
    QuantileEstimate,
    TopValue,
)
from headrace.lake.row_sample import choose_sample_rows
from headrace.number_text import format_exact
from headrace.prepare.statistics.label_strength import measure_label_strengths
from headrace.prepare.statistics.rows import DescribedRows, select_numbers, store_totals
from headrace.prepare.write.task_statistics import LABEL_IN_DATASET, LABEL_NUMBER, name_raw
from headrace.transform.spec import TransformSpec

QUANTILE_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SHOWN_VALUES = 10


def summarize_rows(
    described: DescribedRows, spec: TransformSpec, scope: str
) -> tuple[DataStatistics, dict[str, np.ndarray]]:
    """Compute the statistics of rows.

    Args:
        described: the rows.
        spec: the transform, which names the raw columns and says what the label is.
        scope: whose rows they are, as `DataStatistics` has it.

    Returns:
        the statistics, without alerts; and column of the sample -> how often each distinct value
        occurs there.
    """
    sample = described.sample
    strengths = _measure_strengths(described, spec)
    columns: list[ColumnSummary] = []
    frequencies: dict[str, np.ndarray] = {}
    for raw in spec.raw:
        name = name_raw(raw.name)
        if name not in sample.columns or raw.name not in described.missing:
            continue
        missing: dict[str, int] = {
            split: described.missing[raw.name].get(split, 0) for split in SPLITS
        }
        summary, frequencies[name] = _summarize_column(described, name, raw.name, raw.kind, missing)
        strength = strengths.get(name)
        columns.append(summary.model_copy(update={"label_strength": strength}))
    if LABEL_NUMBER in sample.columns:
        none: dict[str, int] = dict.fromkeys(SPLITS, 0)
        summary, frequencies[LABEL_NUMBER] = _summarize_column(
            described, LABEL_NUMBER, LABEL_NUMBER, LABEL_KIND, none
        )
        columns.append(summary)
    statistics = DataStatistics(
        scope=scope,  # type: ignore[arg-type]
        rows={split: described.rows.get(split, 0) for split in SPLITS},
        sampled_rows=sample.rows,
        exact_up_to=choose_sample_rows(len(sample.columns)),
        confidence=CONFIDENCE,
        columns=tuple(columns),
    )
    return statistics, frequencies


def _measure_strengths(described: DescribedRows, spec: TransformSpec) -> dict[str, float]:
    sample = described.sample
    if LABEL_IN_DATASET not in sample.columns:
        return {}
    names = [name_raw(raw.name) for raw in spec.raw]
    columns = {name: sample.columns[name] for name in names if name in sample.columns}
    return measure_label_strengths(columns, sample.columns[LABEL_IN_DATASET], spec.label)


def _summarize_column(
    described: DescribedRows, name: str, shown: str, kind: str, missing: Mapping[str, int]
) -> tuple[ColumnSummary, np.ndarray]:
    """Compute the statistics of a column, and how often each distinct value is in the sample."""
    values: dict[str, int] = {
        split: described.rows.get(split, 0) - missing[split] for split in SPLITS
    }
    count = sum(values.values())
    column = described.sample.columns[name]
    if not isinstance(column, np.ndarray):
        texts, frequencies = _count_texts(column)
        summary = ColumnSummary(name=shown, kind=kind, values=values, missing=dict(missing))
        top = _list_top(lambda i: str(texts[i]), frequencies)
        sampled = int(frequencies.sum())
    else:
        numbers = select_numbers(column)
        sampled = len(numbers)
        distinct, frequencies = np.unique(numbers, return_counts=True)
        top = _list_top(lambda i: _format_value(distinct[i].item(), kind), frequencies)
        ordered = np.sort(numbers).astype(np.float64)
        whole = sum(
            (described.totals.get(s, {}).get(name, ColumnTotals()) for s in SPLITS), ColumnTotals()
        )
        summary = ColumnSummary(
            name=shown,
            kind=kind,
            values=values,
            missing=dict(missing),
            zeros=whole.zeros,
            mean=whole.sum.compute_mean(whole.values),
            low=whole.low,
            high=whole.high,
            is_limit_exact=name not in described.uncertain,
            quantiles=_list_quantiles(ordered, count, whole),
            skewness=compute_skewness(ordered),
            totals=store_totals(described.totals, name),
        )
    distinct_count = estimate_distinct(frequencies, count)
    return summary.model_copy(
        update={
            "sampled": sampled,
            "rank_error": compute_rank_error(sampled, count),
            "distinct": DistinctEstimate(
                low=distinct_count.low, estimate=distinct_count.estimate, high=distinct_count.high
            ),
            "top": top,
        }
    ), frequencies


def _list_quantiles(
    ordered: np.ndarray, count: int, whole: ColumnTotals
) -> tuple[QuantileEstimate, ...]:
    if not len(ordered) or whole.low is None or whole.high is None:
        return ()
    limits = (float(whole.low), float(whole.high))
    quantiles = (compute_quantile(ordered, share, count, limits) for share in QUANTILE_SHARES)
    return tuple(
        QuantileEstimate(share=q.share, value=q.value, low=q.low, high=q.high) for q in quantiles
    )


def _count_texts(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct texts and how often each occurs, in the order of their bytes."""
    counted = pc.value_counts(texts.drop_null())
    values, counts = counted.field("values"), counted.field("counts")
    order = pc.sort_indices(values)
    return values.take(order), counts.take(order).to_numpy()


def _list_top(name_value: Callable[[int], str], frequencies: np.ndarray) -> tuple[TopValue, ...]:
    """Return the most frequent values; those of a single row of the sample name a row."""
    total = int(frequencies.sum())
    order = np.argsort(-frequencies, kind="stable")[:_SHOWN_VALUES]
    return tuple(
        TopValue(
            value=name_value(i), sampled=int(frequencies[i]), share=float(frequencies[i] / total)
        )
        for i in order.tolist()
        if frequencies[i] > 1
    )


def _format_value(number: float, kind: RawKind | str) -> str:
    if kind == "timestamp":
        return np.datetime_as_string(np.datetime64(int(number), "us"), unit="s").replace("T", " ")
    return format_exact(number) if isinstance(number, float) else str(number)

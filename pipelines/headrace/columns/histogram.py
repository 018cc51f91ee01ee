"""Count the values of a column over fixed bins or labels, so that counts of files add up."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headrace.columns.statistics import NumberSummary

AXES_FILE = "axes.json"
"""Name of the file in the build that fitted a transform."""
MISSING_LABEL = "missing"
"""Name of id 0 where it stands for missing values."""
_EMPTY_SUFFIX = " is empty"  # no name of a feature has a space
_MOST_GROUPS = 16
NUMBER_BINS = 20
"""Bins of equal width of a histogram of numbers; those that are too full are split."""
# A bin that has more of the rows than this is split, by quantiles so far apart.
_FULLEST_SHARE = 0.2
_QUANTILES = np.arange(1, 200) / 200
_QUANTILES_OF_A_BIN = 10
_SHOWN_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class HistogramAxis:
    """The axis over which the values of one dataset column are counted.

    Attributes:
        name: the column.
        edges: of numbers, limits of the bins on the column's own scale: of equal width, and those
            that are too full split (see `split_full_bins`).
        shown_edges: the same before scaling.
        labels: of ids, one a counted position; the last ones take all further ids.
        unknown: ids from here (inclusive) to there are out of the vocabulary.
        padded: id 0 is padding and not counted.
        quantiles: of the train split, before scaling.
        rows_of: dataset column of lists of ids whose rows are counted, by whether they are empty:
            nothing but padding; "" where values are counted.
        groups: how many labels at the end are groups of ids without a label of their own, which are
            dealt to them in turns; 1 where the last takes them all.
    """

    name: str
    edges: tuple[float, ...] = ()
    shown_edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    unknown: tuple[int, int] | None = None
    padded: bool = False
    quantiles: tuple[float, ...] = ()
    rows_of: str = ""
    groups: int = 1

    @property
    def column(self) -> str:
        """Return the dataset column that is counted."""
        return self.rows_of or self.name

    def count_values(self, values: np.ndarray) -> np.ndarray:
        """Return counts, int64 of shape (bins,) or (labels,).

        Args:
            values: of the column, shape (rows,) or (rows, values of a row).
        """
        if self.rows_of:
            present = int(np.count_nonzero(values.any(axis=1)))
            return np.array([len(values) - present, present], np.int64)
        flat = values.reshape(-1)
        if self.labels:
            if self.padded:
                flat = flat[flat != 0]
            first = len(self.labels) - self.groups
            if self.groups > 1:
                flat = np.where(flat < first, flat, first + (flat - first) % self.groups)
            return np.bincount(np.minimum(flat, len(self.labels) - 1), minlength=len(self.labels))
        low, high = self.edges[0], self.edges[-1]
        bins = len(self.edges) - 1
        if self._has_equal_bins:
            position = (flat.astype(np.float64) - low) * (bins / (high - low))
            return np.bincount(np.clip(position, 0, bins - 1).astype(np.int64), minlength=bins)
        bin_of = np.searchsorted(np.array(self.edges[1:-1]), flat, side="right")
        return np.bincount(bin_of, minlength=bins)

    @cached_property
    def _has_equal_bins(self) -> bool:
        edges = self.shown_edges or self.edges
        return edges == tuple(np.linspace(edges[0], edges[-1], len(edges)).tolist())

    def count_unknown(self, values: np.ndarray) -> int:
        """Return how many ids are out of the vocabulary."""
        if self.unknown is None:
            return 0
        first, end = self.unknown
        return int(np.count_nonzero((values >= first) & (values < end)))


def make_empty_axis(name: str) -> HistogramAxis:
    """Return an axis of a column of lists of ids: how many rows have none.

    The ids of such rows are padding, which the column's own axis leaves out, so that a column that
    comes without any value would be no drift.
    """
    return HistogramAxis(f"{name}{_EMPTY_SUFFIX}", labels=(MISSING_LABEL, "present"), rows_of=name)


def make_hash_axis(name: str, buckets: int, *, padded: bool = False) -> HistogramAxis:
    """Return an axis of ids by hash, which have no names: groups of buckets.

    It tells rows that nearly all come with one value from rows of many.

    Args:
        name: of the dataset column.
        buckets: of the hash.
        padded: whether id 0 is padding; else it is what is missing.
    """
    groups = min(buckets, _MOST_GROUPS)
    labels = tuple(f"hash {number + 1}" for number in range(groups))
    first = "padding" if padded else MISSING_LABEL
    return HistogramAxis(name, labels=(first, *labels), padded=padded, groups=groups)


def make_text_axis(
    name: str, unknown: Sequence[str], shown: Sequence[str], others: int, *, padded: bool = False
) -> HistogramAxis:
    """Return an axis of ids of a vocabulary: its most frequent texts, and groups of the others.

    Args:
        name: of the dataset column.
        unknown: labels of the ids of texts that are not in it.
        shown: its most frequent texts.
        others: how many more there are.
        padded: whether id 0 is padding; else it is what is missing.
    """
    groups = max(1, min(others, _MOST_GROUPS))
    rest = [f"other {n + 1}" for n in range(groups)] if groups > 1 else ["other"]
    first = "padding" if padded else MISSING_LABEL
    return HistogramAxis(
        name,
        labels=(first, *unknown, *shown, *rest),
        unknown=(1, 1 + len(unknown)),
        padded=padded,
        groups=groups,
    )


def find_with_missing(labels: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the columns of which missing values, or rows without any, are counted by a label.

    Args:
        labels: name of an axis -> its labels.
    """
    return frozenset(
        name.removesuffix(_EMPTY_SUFFIX)
        for name, own in labels.items()
        # Hashed lists of an older Headrace had these two labels, and no count of the first.
        if tuple(own[:1]) == (MISSING_LABEL,) and (len(own) > 2 or name.endswith(_EMPTY_SUFFIX))
    )


def make_number_axis(
    name: str, summary: NumberSummary, center: float, scale: float
) -> HistogramAxis:
    """Return an axis from the 0.5% to the 99.5% quantile of the train split.

    Args:
        name: of the dataset column.
        summary: of the train split's values, before scaling.
        center, scale: of the dataset column.
    """
    low, high = widen_constant_range(summary.quantile(0.005), summary.quantile(0.995))
    shown = split_full_bins(np.linspace(low, high, NUMBER_BINS + 1), summary)
    quantiles = tuple(summary.quantile(q) for q in _SHOWN_QUANTILES) if summary.rows else ()
    edges = (shown - center) / scale
    return HistogramAxis(name, tuple(edges.tolist()), tuple(shown.tolist()), quantiles=quantiles)


def split_full_bins(edges: np.ndarray, summary: NumberSummary) -> np.ndarray:
    """Split bins that have more than 20% of the rows, by quantiles that are 5% of the rows apart.

    A few numbers far from the others, a long tail for one, leave most rows to a single bin of equal
    width, in which they could become anything unseen. A value that 5% of the rows have is told
    from its neighbours.

    Args:
        edges: of bins of equal width, float64 (bins + 1,), rising.
        summary: of the rows; nothing is split where there are none.

    Returns:
        These edges, and those between the parts of a bin, float64, rising.
    """
    rows = summary.rows
    if not rows:
        return edges
    ranks = np.floor((rows - 1) * _QUANTILES)
    at_ranks = summary.mean[np.searchsorted(np.cumsum(summary.count) - 1, ranks)]
    values, counts = np.unique(at_ranks, return_counts=True)
    cuts, gathered = [], 0
    for position in range(1, len(values)):
        gathered += counts[position - 1]
        if max(gathered, counts[position]) >= _QUANTILES_OF_A_BIN:
            cuts.append(values[position - 1] / 2 + values[position] / 2)
            gathered = 0
    inner = edges[1:-1]
    places = np.searchsorted(inner, summary.mean, side="right")
    counted = np.bincount(places, weights=summary.count, minlength=len(inner) + 1)
    is_full = counted > _FULLEST_SHARE * rows
    kept = [
        cut
        for cut in cuts
        if edges[0] < cut < edges[-1] and is_full[np.searchsorted(inner, cut, side="right")]
    ]
    return np.unique(np.concatenate([edges, kept]))


def merge_equal_bins(
    edges: Sequence[float], counts: Sequence[int]
) -> tuple[tuple[float, ...], list[int]]:
    """Merge the parts of bins that were split, for a picture of bins of equal width.

    Args:
        edges: of the bins, shape (bins + 1,).
        counts: of them, shape (bins,).

    Returns:
        The edges and counts of `NUMBER_BINS` bins; those that were given where they are not parts
        of such bins.
    """
    equal = np.linspace(edges[0], edges[-1], NUMBER_BINS + 1)
    if not np.isin(equal, edges).all():
        return tuple(edges), list(counts)
    begins = np.searchsorted(edges, equal[:-1])
    return tuple(equal.tolist()), np.add.reduceat(np.asarray(counts), begins).tolist()


def widen_constant_range(low: float, high: float) -> tuple[float, float]:
    """Return the range, or a margin around its only number where it is empty."""
    if high > low:
        return low, high
    margin = max(0.5, abs(low) * 1e-6)
    return low - margin, low + margin


def axes_to_json(axes: Iterable[HistogramAxis]) -> str:
    """Return the text of `AXES_FILE`, for a build that counts on the same axes later."""
    return json.dumps([asdict(axis) for axis in axes])


def axes_from_json(text: str) -> tuple[HistogramAxis, ...]:
    """Return the axes that `axes_to_json` wrote."""
    axes = []
    for plain in json.loads(text):
        lists: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()
        }
        axes.append(HistogramAxis(**lists))
    return tuple(axes)

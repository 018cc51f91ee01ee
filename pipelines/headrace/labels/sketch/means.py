"""Compute means of rows and one ROC AUC over ranks, for metrics of an epoch: without any draws."""

from collections.abc import Mapping

import numpy as np

from headrace.labels.sketch.binned_curves import Bounded, bound_areas
from headrace.labels.sketch.integer_sums import sum_by_cell
from headrace.labels.sketch.rank_sums import RankSums
from headrace.labels.sketch.score_bins import MAX_BINS, divide_scores

_ROWS_PER_BIN = 4  # of `evaluate.exact_rows`: a sketch takes no more memory than the exact way


def choose_bins(exact_rows: int) -> int:
    """Return into about how many bins rows are divided that are more than so many."""
    return max(1, min(MAX_BINS, exact_rows // _ROWS_PER_BIN))


def sketch_means(numbers: Mapping[str, np.ndarray], ranks: RankSums) -> dict[str, float]:
    """Return the means of all ranks' rows, the same at any number of ranks; nothing of no row.

    Args:
        numbers: name -> of each row, (own rows,), finite; of several labels (own rows, labels).
        ranks: that compute them together.
    """
    values = {name: array.reshape(-1).astype(np.float64) for name, array in numbers.items()}
    own_largest = [np.abs(array).max(initial=0.0) for array in values.values()]
    largest = ranks.find_largest(np.array(own_largest))
    means = {}
    for (name, array), high in zip(values.items(), largest.tolist(), strict=True):
        own = sum_by_cell(array, None, 1, high)
        (count,) = ranks.add(np.array([len(array)], np.int64)).tolist()
        total = type(own)(own.unit, ranks.add(own.sums)).to_numbers()[0]
        if count:
            means[name] = float(total / count)
    return means


def sketch_area(positive: np.ndarray, score: np.ndarray, ranks: RankSums, bins: int) -> Bounded:
    """Return the ROC AUC of all ranks' rows and its bound; NaN where one class occurs alone.

    Args:
        positive: bool (own rows,).
        score: float32 or float64 (own rows,), finite; of all ranks there is a row.
        ranks: that compute it together.
        bins: see `choose_bins`.
    """
    order = np.argsort(score)
    ascending, before = score[order], np.append(0, np.cumsum(positive[order]))
    (rows,) = ranks.add(np.array([len(score)], np.int64)).tolist()
    divided = divide_scores(ascending, rows, ranks, bins)
    starts = np.append(np.searchsorted(ascending, divided.first), len(ascending))
    positives = ranks.add(np.diff(before[starts]).astype(np.int64))
    others = divided.counts - positives
    return bound_areas(positives.astype(float), others.astype(float), divided.is_single)[0]

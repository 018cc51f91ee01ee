"""Measure how well scores rank the rows of lists: NDCG and recall at k, averaged over lists.

A list is the rows that belong together: those of a user, a query or a session. Järvelin and
Kekäläinen (2002, DOI 10.1145/582415.582418) define the gain with its logarithmic discount; a row of
label 1 has gain 1. Rows of equal scores have no order, and each gets the mean gain of their places
(McSherry and Najork 2008), as in scikit-learn, so that neither the order of rows nor a constant
prediction wins anything.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from headrace.labels.scorer import Scorer

LIST = "list of a row"
"""Array of rows that says to which list each belongs, int64 (rows,), -1 where it is in none; no
column has a name with a space."""
LIST_COUNTS = ("lists", "lists_without_positives", "lists_of_one_row", "rows_without_list")
"""Numbers of an evaluation with lists, of which neither way is better."""

_NAME = re.compile(r"(ndcg|recall)_at_[1-9]\d*")


def is_ranking_metric(name: str) -> bool:
    """Return whether a metric is one of lists; of all of these higher values are better."""
    return bool(_NAME.fullmatch(name))


def list_ranking_metrics(cutoffs: Sequence[int]) -> list[str]:
    """Return the names of the metrics at these places: `ndcg_at_10`, `recall_at_10`."""
    return [f"{metric}_at_{cutoff}" for cutoff in cutoffs for metric in ("ndcg", "recall")]


class RankedLists:
    """The rows of lists, each list ranked by score, to be measured under any weights."""

    def __init__(
        self, lists: np.ndarray, truth: np.ndarray, score: np.ndarray, cutoffs: Sequence[int]
    ) -> None:
        """Rank the rows once; what depends on weights comes later.

        Args:
            lists: of every row, see `LIST`.
            truth: 0 or 1, (rows,).
            score: finite, (rows,); the highest is ranked first.
            cutoffs: places that are looked at.
        """
        self._cutoffs = tuple(cutoffs)
        rows = np.flatnonzero(lists >= 0)
        self.rows_without_list = len(lists) - len(rows)
        order = rows[np.lexsort((-score[rows].astype(np.float64), lists[rows]))]
        self._order, self._is_positive = order, truth[order] > 0.5
        begins_list = _find_changes(lists[order])
        begins_tie = begins_list | _find_changes(score[order])
        self._list_starts = np.flatnonzero(begins_list)
        self._tie_starts = np.flatnonzero(begins_tie)
        self._list_of_tie = np.cumsum(begins_list)[self._tie_starts] - 1
        places = np.arange(1, len(order) + 1)
        self._discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(places + 1))])

    def measure(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights of rows, float64 (rows,).

        A row of weight 0 is in no list. A list weighs as its rows do in the mean; those without a
        positive row, and those of one row, have no metrics and do not count. Where no list counts,
        no metric is returned.
        """
        if not len(self._order):
            return {}
        present, rows, positives = self._count_present(weight[self._order])
        is_usable = (positives > 0) & (rows > 1)
        if not is_usable.any():
            return {}
        list_weight = np.zeros(len(rows))
        total = np.add.reduceat(weight[self._order], self._list_starts)
        np.divide(total, rows, out=list_weight, where=is_usable)
        in_tie = np.add.reduceat(present, self._tie_starts)
        hits = np.add.reduceat(present * self._is_positive, self._tie_starts)
        gain = np.divide(hits, in_tie, out=np.zeros(len(hits)), where=in_tie > 0)
        ends = np.cumsum(in_tie)
        before_list = np.concatenate([[0], np.cumsum(rows)[:-1]])[self._list_of_tie]
        first, last = ends - in_tie - before_list, ends - before_list
        metrics = {}
        for cutoff in self._cutoffs:
            low, high = np.minimum(first, cutoff), np.minimum(last, cutoff)
            discounted = self._sum_by_list(gain * (self._discounts[high] - self._discounts[low]))
            recalled = self._sum_by_list(gain * (high - low))
            ideal = self._discounts[np.minimum(positives, cutoff)]
            for metric, gained, possible in (
                ("ndcg", discounted, ideal),
                ("recall", recalled, positives),
            ):
                share = np.divide(gained, possible, out=np.zeros(len(rows)), where=is_usable)
                value = list_weight @ share / list_weight.sum()
                metrics[f"{metric}_at_{cutoff}"] = float(value)
        return metrics

    def count_lists(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return `LIST_COUNTS`: all lists that have rows of weight, and what does not count."""
        if not len(self._order):
            counts = [0, 0, 0]
        else:
            weights = np.ones(len(self._order)) if weight is None else weight[self._order]
            _, rows, positives = self._count_present(weights)
            has_rows = rows > 0
            without = has_rows & (positives == 0)
            single = (rows == 1) & ~without
            counts = [int(x.sum()) for x in (has_rows, without, single)]
        return dict(zip(LIST_COUNTS, map(float, [*counts, self.rows_without_list]), strict=True))

    def _count_present(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which rows have weight, and how many rows and positives each list has of them."""
        present = (weights > 0).astype(np.int64)
        rows = np.add.reduceat(present, self._list_starts)
        positives = np.add.reduceat(present * self._is_positive, self._list_starts)
        return present, rows, positives

    def _sum_by_list(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._list_of_tie, values, len(self._list_starts))


class RankingScorer:
    """A scorer of rows by the metrics of its label, and by those of their lists."""

    def __init__(
        self,
        scorer: Scorer,
        rows: Mapping[str, np.ndarray],
        score: np.ndarray,
        cutoffs: Sequence[int],
    ) -> None:
        """
        Args:
            scorer: of the label's kind.
            rows: `label` and `LIST`.
            score: by which the rows of a list are ranked, (rows,).
            cutoffs: places that are looked at.
        """
        self._scorer, self.rows = scorer, scorer.rows
        self._lists = RankedLists(rows[LIST], rows["label"], score, cutoffs)

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        """Return the metrics under these weights, float64 (rows,); see `RankedLists.measure`."""
        return {**self._scorer(weight), **self._lists.measure(weight)}

    def count_outcomes(self, weight: np.ndarray | None = None) -> dict[str, float]:
        """Return what the label's scorer counts, and `LIST_COUNTS`."""
        return {**self._scorer.count_outcomes(weight), **self._lists.count_lists(weight)}

    def describe_labels(
        self, weight: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, float | str]]:
        """Return the table of labels of the label's scorer."""
        return self._scorer.describe_labels(weight, names)


def describe_left_out(counts: Mapping[str, float]) -> str:
    """Return in words which lists and rows have no part in the metrics; empty where all have."""
    names = {
        "lists_without_positives": "lists without a positive row",
        "lists_of_one_row": "lists of one row",
        "rows_without_list": "rows without a value of the list's column",
    }
    parts = [f"{int(counts[key]):,} {text}" for key, text in names.items() if counts.get(key)]
    if not parts:
        return ""
    return f"of {int(counts['lists']):,} lists: {', '.join(parts)} are not in NDCG and recall"


def _find_changes(values: np.ndarray) -> np.ndarray:
    """Return which values differ from the one before; the first does, bool (n,)."""
    changes = np.ones(len(values), bool)
    changes[1:] = values[1:] != values[:-1]
    return changes

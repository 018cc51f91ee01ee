"""Divide scores into bins, each of few rows or of one score, whatever their distribution is.

Bins are intervals of the bit patterns of floating-point numbers in their order, so that 1e-30 and
1e-29 are as far apart as 0.1 and 1, and down to single numbers nothing is too close together. A bin
with too many rows is divided further, by rounds in which ranks add up counts: every rank gets the
same bins, and they depend on the rows alone. No round has more bins than a few times `bins`.
"""

from dataclasses import dataclass

import numpy as np

from headrace.labels.sketch.rank_sums import RankSums

MAX_BINS = 2**18
"""Bins that rows are divided evenly into; ROC AUC is then known to about 1e-6."""


@dataclass(frozen=True)
class ScoreBins:
    """Intervals of scores, ascending; no score of any rank lies between two of them.

    Attributes:
        first, last: the lowest and the highest score that a bin may have, (bins,).
        counts: rows of all ranks, int64 (bins,).
    """

    first: np.ndarray
    last: np.ndarray
    counts: np.ndarray

    @property
    def is_single(self) -> np.ndarray:
        """Return which bins have one score only: their rows are tied, and nothing is unknown."""
        return np.asarray((self.first == self.last) | (self.counts <= 1))

    def merge_evenly(self, groups: int) -> np.ndarray:
        """Return for each bin the one of so many wider bins, of about as many rows, that it is in.

        Returns:
            int64 (bins,), from 0, ascending.
        """
        middles = np.cumsum(self.counts) - self.counts / 2
        wide = np.floor(middles * (groups / self.counts.sum())).astype(np.int64)
        return np.asarray(np.unique(wide, return_inverse=True)[1].reshape(-1))


def divide_scores(
    ascending: np.ndarray, rows: int, ranks: RankSums, bins: int = MAX_BINS
) -> ScoreBins:
    """Divide the scores of all ranks.

    Args:
        ascending: this rank's scores, float32 or float64 (own rows,), finite, sorted.
        rows: of all ranks, 1 or more.
        ranks: that divide together.
        bins: of more than rows / bins rows a bin is divided further, where it can be.
    """
    ends = [-np.inf, -np.inf]
    if len(ascending):
        ends = [float(-ascending[0]), float(ascending[-1])]
    lowest, highest = ranks.find_largest(np.array(ends)) * [-1, 1]
    low, high = _number_scores(np.array([lowest, highest], ascending.dtype)).tolist()
    places = _number_scores(ascending) - np.uint64(low)  # from the lowest score on
    most = max(1, rows // bins)
    width = (high - low).bit_length()
    starts, bits = np.zeros(1, np.uint64), np.array([width], np.uint64)
    counts = np.array([rows], np.int64)
    while (is_heavy := (counts > most) & (bits > 0)).any():
        halvings = np.ceil(np.log2(counts[is_heavy] / most)).astype(np.uint64)
        halvings = np.clip(halvings, 1, bits[is_heavy]).astype(np.uint64)
        parts = (1 << halvings.astype(np.int64)).astype(np.int64)
        part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        new_bits = np.repeat(bits[is_heavy] - halvings, parts)
        new_starts = np.repeat(starts[is_heavy], parts) + (part.astype(np.uint64) << new_bits)
        new_counts = ranks.add(_count_rows(places, new_starts, new_bits))
        has_rows = new_counts > 0
        starts = np.concatenate([starts[~is_heavy], new_starts[has_rows]])
        bits = np.concatenate([bits[~is_heavy], new_bits[has_rows]])
        counts = np.concatenate([counts[~is_heavy], new_counts[has_rows]])
    order = np.argsort(starts)
    starts, bits, counts = starts[order], bits[order], counts[order]
    lasts = np.minimum(starts + _count_others(bits), np.uint64(high - low))
    first, last = (_name_scores(p + np.uint64(low), ascending.dtype) for p in (starts, lasts))
    return ScoreBins(first, last, counts)


def _count_others(bits: np.ndarray) -> np.ndarray:
    """Return how many numbers a bin of so many bits has besides its first."""
    return ~(np.uint64(2**64 - 1) << np.minimum(bits, 63)) | np.where(
        bits > 63, np.uint64(2**63), np.uint64(0)
    )


def _count_rows(places: np.ndarray, starts: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return how many of the ascending places each bin has, int64 (bins,)."""
    ends = np.searchsorted(places, starts + _count_others(bits), side="right")
    return (ends - np.searchsorted(places, starts)).astype(np.int64)


def _number_scores(scores: np.ndarray) -> np.ndarray:
    """Return whole numbers in the order of the scores, uint64; 0 and -0 have one number."""
    bits, sign = _split_type(scores.dtype)
    pattern = scores.view(bits)
    size = pattern & ~sign
    return np.asarray(np.where(pattern & sign, sign - size, sign + size).astype(np.uint64))


def _name_scores(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the scores of `_number_scores`."""
    bits, sign = _split_type(dtype)
    pattern = numbers.astype(bits)
    return np.asarray(
        np.where(pattern >= sign, pattern - sign, (sign - pattern) | sign).view(dtype)
    )


def _split_type(dtype: np.dtype) -> tuple[np.dtype, np.ndarray]:
    """Return the type of a number's bit pattern, and the pattern of the sign."""
    bits = np.dtype(f"u{dtype.itemsize}")
    return bits, np.array(2 ** (8 * bits.itemsize - 1), bits)

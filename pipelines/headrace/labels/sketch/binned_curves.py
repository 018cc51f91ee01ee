"""Compute areas and quantiles of binned rows, and by how much they may differ from the exact ones.

What a bin does not say is the order of its own rows. The bound is what the worst and the best order
of them would make of the result, so it is computed from the rows and holds for all of them; bins of
one score are ties, as they are in the exact computation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headrace.labels.scoring import divide_or_zero

_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class Bounded(NamedTuple):
    """A number, and by how much the exact one may differ from it at most."""

    value: float
    bound: float


def measure_areas(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ROC AUC and average precision, NaN where one class has no weight.

    Rows of a bin are ties: of ROC AUC a half of them counts. See `labels.curves`.

    Args:
        positive, negative: weights by bin, ascending by score, (..., bins).

    Returns:
        two arrays, (...,).
    """
    positive, negative = positive[..., ::-1], negative[..., ::-1]
    true, false = positive.cumsum(axis=-1), negative.cumsum(axis=-1)
    all_true, all_false = true[..., -1], false[..., -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        area = ((true - positive / 2) * negative).sum(axis=-1) / (all_true * all_false)
        predicted = true + false
        precision = np.divide(true, predicted, out=np.zeros_like(true), where=predicted > 0)
        average = (positive * precision).sum(axis=-1) / all_true
    is_defined = (all_true > 0) & (all_false > 0)
    return np.where(is_defined, area, np.nan), np.where(is_defined, average, np.nan)


def bound_areas(
    positive: np.ndarray, negative: np.ndarray, is_single: np.ndarray
) -> tuple[Bounded, Bounded]:
    """Return ROC AUC and average precision with their bounds; NaN where they are not defined.

    A pair of a positive and a negative row in one bin counts half, and may count 0 or 1. The
    precision at a positive row is at most what it is with all positive rows of the bin and no
    negative one, and at least what it is with none of the former and all of the latter.

    Args:
        positive, negative: weights by bin, ascending by score, (bins,).
        is_single: whether a bin has one score only, (bins,).
    """
    area, average = (float(value) for value in measure_areas(positive, negative))
    positive, negative, unknown = positive[::-1], negative[::-1], ~is_single[::-1]
    true, false = positive.cumsum(), negative.cumsum()
    before_true, before_false = true - positive, false - negative
    if not (true[-1] > 0 and false[-1] > 0):
        return Bounded(area, 0.0), Bounded(average, 0.0)
    rounding = _ROUNDING * len(positive)
    ties = float((positive * negative)[unknown].sum() / (2 * true[-1] * false[-1]))
    shares = [divide_or_zero(true, true + false) for _ in range(2)]
    best, worst = shares
    best[unknown] = divide_or_zero(true, true + before_false)[unknown]
    worst[unknown] = divide_or_zero(before_true, before_true + false)[unknown]
    highest, lowest = (float((positive * share).sum() / true[-1]) for share in (best, worst))
    return (
        Bounded(area, ties + rounding),
        Bounded(average, max(highest - average, average - lowest) + rounding),
    )


def measure_quantiles(
    weight: np.ndarray, first: np.ndarray, last: np.ndarray, shares: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the quantiles of binned numbers, the middles of their bins, and how far off they are.

    Args:
        weight: by bin, ascending by number, (..., bins), not all 0.
        first, last: the lowest and the highest number of a bin, (bins,).
        shares: from 0 to 1.

    Returns:
        quantiles and bounds, (..., shares). Where a share is reached exactly at the end of a bin,
        the quantile is between it and the next one, and the bound says so.
    """
    cumulative = weight.cumsum(axis=-1)
    total = cumulative[..., -1:]
    low, high = [], []
    for share in shares:
        # As far as rounding may shift it: on one side, and on the other.
        below = cumulative < total * share - 1e-12 * total
        not_above = cumulative <= total * share + 1e-12 * total
        low.append(below.sum(axis=-1))
        high.append(_skip_empty(weight, not_above.sum(axis=-1)))
    bottom, top = first[np.stack(low, axis=-1)], last[np.stack(high, axis=-1)]
    # Not the middle of the two sums: numbers near the largest float64 have none.
    return bottom / 2 + top / 2, top / 2 - bottom / 2


def interpolate_quantiles(
    weight: np.ndarray, first: np.ndarray, last: np.ndarray, shares: Sequence[float]
) -> np.ndarray:
    """Return quantiles as if the rows of a bin lay evenly between its ends, (..., shares).

    Args:
        weight, first, last, shares: as those of `measure_quantiles`.
    """
    cumulative = weight.cumsum(axis=-1)
    targets = cumulative[..., -1:] * np.array(shares)
    quantiles = []
    for position in range(len(shares)):
        target = targets[..., position]
        place = (cumulative < target[..., np.newaxis]).sum(axis=-1).clip(max=len(first) - 1)
        own = np.take_along_axis(weight, place[..., np.newaxis], axis=-1)[..., 0]
        end = np.take_along_axis(cumulative, place[..., np.newaxis], axis=-1)[..., 0]
        part = 1 - np.divide(end - target, own, out=np.zeros_like(target), where=own > 0)
        quantiles.append(first[place] * (1 - part) + last[place] * part)
    return np.stack(quantiles, axis=-1)


def _skip_empty(weight: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the position of the first bin with weight from each on; the last one with any."""
    bins = weight.shape[-1]
    places = np.where(weight > 0, np.arange(bins), bins)
    following = np.minimum.accumulate(places[..., ::-1], axis=-1)[..., ::-1]
    clipped = np.minimum(position, bins - 1)[..., np.newaxis]
    chosen = np.take_along_axis(following, clipped, axis=-1)[..., 0]
    last = np.where(weight > 0, np.arange(bins), 0).max(axis=-1)
    return np.asarray(np.minimum(chosen, last))

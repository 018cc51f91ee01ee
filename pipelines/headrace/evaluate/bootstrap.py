"""Intervals by the bootstrap: rows drawn anew with replacement, metrics of each draw.

Efron and Tibshirani (1993), percentile intervals. A draw is a weight a row (how often it was
drawn), so that scorers made ready once serve all draws. The rows come in an order that depends on
neither ranks nor files, so that equal seeds give equal draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Scored = Callable[[np.ndarray], Mapping[str, float]]


@dataclass(frozen=True)
class Interval:
    """A metric and where it lies."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much better a candidate is than a champion on the same rows; above 0 is better.

    Attributes:
        candidate, champion: the metric of each.
        better_by: the difference, its sign turned where lower is better.
        low: lower end of its one-sided interval.
        share_worse: of the draws, those in which the candidate is worse.
        draws: that were made.
    """

    candidate: float
    champion: float
    better_by: float
    low: float
    share_worse: float
    draws: int


def intervals(
    scored: Scored, weight: np.ndarray, *, draws: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """A two-sided interval of every metric.

    A metric that fewer than half of the draws define (a class that is hardly there) has none.

    Args:
        scored: metrics by weights, float64 (rows,).
        weight: of the rows themselves.
        draws: how often; 0 gives no intervals.
        confidence: share of the draws within.
        seed: of the draws.
    """
    whole = scored(weight)
    found: dict[str, list[float]] = {name: [] for name in whole}
    for drawn in _draws(weight, draws, seed):
        for name, value in scored(drawn).items():
            if name in found and np.isfinite(value):
                found[name].append(value)
    tail = (1 - confidence) / 2
    made = {}
    for name, values in found.items():
        if values and len(values) * 2 >= draws:
            low, high = np.quantile(values, [tail, 1 - tail])
            made[name] = Interval(whole[name], float(low), float(high))
    return made


def difference(
    candidate: Scored,
    champion: Scored,
    metric: str,
    weight: np.ndarray,
    *,
    higher_is_better: bool,
    draws: int,
    confidence: float,
    seed: int,
) -> Difference | None:
    """Compare two models on the same rows, drawn together; None where the metric is not defined.

    Args:
        candidate, champion: metrics by weights, of the same rows.
        metric: which one.
        weight: of the rows.
        higher_is_better: which way is better.
        draws, seed: see `intervals`.
        confidence: one-sided.
    """
    sign = 1.0 if higher_is_better else -1.0
    first, second = candidate(weight).get(metric), champion(weight).get(metric)
    if first is None or second is None:
        return None
    found = []
    for drawn in _draws(weight, draws, seed):
        a, b = candidate(drawn).get(metric), champion(drawn).get(metric)
        if a is not None and b is not None:
            found.append(sign * (a - b))
    if len(found) * 2 < draws or not found:
        return None
    return Difference(
        candidate=first,
        champion=second,
        better_by=sign * (first - second),
        low=float(np.quantile(found, 1 - confidence)),
        share_worse=float(np.mean(np.array(found) < 0)),
        draws=len(found),
    )


def _draws(weight: np.ndarray, draws: int, seed: int):  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    rows = len(weight)
    for _ in range(draws):
        times = np.bincount(random.integers(0, rows, rows), minlength=rows)
        drawn = weight * times
        if drawn.sum() > 0:
            yield drawn

"""Compute bootstrap intervals: rows are drawn with replacement, and each draw has its metrics.

Efron and Tibshirani (1993), percentile intervals. A draw is a weight per row (how often it was
drawn), so that one scorer serves all draws. The order of the rows depends on neither ranks nor
files, so that equal seeds give equal draws.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

MetricFunction = Callable[[np.ndarray], Mapping[str, float]]
"""From the weights of rows, float64 (rows,), to metrics by name."""


@dataclass(frozen=True)
class Interval:
    """A metric with the lower and the upper end of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The difference between candidate and champion on the same rows.

    Attributes:
        candidate, champion: the metric of each.
        better_by: the difference; above 0 the candidate is better, whichever way is better.
        low: lower end of the one-sided interval of `better_by`.
        share_worse: share of the draws in which the candidate is worse.
        draws: number of draws in which the metric is defined.
    """

    candidate: float
    champion: float
    better_by: float
    low: float
    share_worse: float
    draws: int


def compute_intervals(
    scorer: MetricFunction, weight: np.ndarray, *, draws: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Compute a two-sided interval of every metric.

    A metric that is defined in fewer than half of the draws (of a very rare class) has none.

    Args:
        scorer: metrics by weights.
        weight: of the rows themselves, float64 (rows,).
        draws: number of draws; with 0 there are no intervals.
        confidence: share of the draws within the interval.
        seed: of the draws.
    """
    metrics = scorer(weight)
    values_by_metric: dict[str, list[float]] = {name: [] for name in metrics}
    for drawn in _draw_weights(weight, draws, seed):
        for name, value in scorer(drawn).items():
            if name in values_by_metric and np.isfinite(value):
                values_by_metric[name].append(value)
    tail = (1 - confidence) / 2
    intervals = {}
    for name, values in values_by_metric.items():
        if values and len(values) * 2 >= draws:
            low, high = np.quantile(values, [tail, 1 - tail])
            intervals[name] = Interval(metrics[name], float(low), float(high))
    return intervals


def compute_difference(
    candidate: MetricFunction,
    champion: MetricFunction,
    metric: str,
    weight: np.ndarray,
    *,
    higher_is_better: bool,
    draws: int,
    confidence: float,
    seed: int,
) -> Difference | None:
    """Compare two models on the same rows, which are drawn together (a paired bootstrap).

    Args:
        candidate, champion: metrics of the same rows by weights.
        metric: the one to compare.
        weight: of the rows, float64 (rows,).
        higher_is_better: which way is better.
        draws, seed: see `compute_intervals`.
        confidence: of the one-sided interval.

    Returns:
        None where the metric is not defined, or in fewer than half of the draws.
    """
    sign = 1.0 if higher_is_better else -1.0
    candidate_metric = candidate(weight).get(metric)
    champion_metric = champion(weight).get(metric)
    if candidate_metric is None or champion_metric is None:
        return None
    differences = []
    for drawn in _draw_weights(weight, draws, seed):
        drawn_candidate, drawn_champion = candidate(drawn).get(metric), champion(drawn).get(metric)
        if drawn_candidate is not None and drawn_champion is not None:
            differences.append(sign * (drawn_candidate - drawn_champion))
    if len(differences) * 2 < draws or not differences:
        return None
    return Difference(
        candidate=candidate_metric,
        champion=champion_metric,
        better_by=sign * (candidate_metric - champion_metric),
        low=float(np.quantile(differences, 1 - confidence)),
        share_worse=float(np.mean(np.array(differences) < 0)),
        draws=len(differences),
    )


def _draw_weights(weight: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield weights of rows times how often each was drawn; draws without weight are skipped."""
    random = np.random.default_rng(seed)
    rows = len(weight)
    for _ in range(draws):
        times = np.bincount(random.integers(0, rows, rows), minlength=rows)
        drawn = weight * times
        if drawn.sum() > 0:
            yield drawn

"""Compute bootstrap intervals: rows are drawn with replacement, and each draw has its metrics.

Efron and Tibshirani (1993), percentile intervals. A draw is a weight per row (how often it was
drawn), so that one scorer serves all draws. Rows of a list are drawn together, as they are no
independent samples. The order of the rows depends on neither ranks nor
files, so that equal seeds give equal draws. Draws of many rows are dealt to the cores that this
process may use, and have the same bits on any number of them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from headrace.cores import count_cores

_ROWS_ALONE = 10_000  # OpenBLAS sums the products of fewer by one thread, too
_MAX_THREADS = 16  # each has a draw's arrays: some 100 bytes a row

Result = TypeVar("Result")

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


@dataclass(frozen=True)
class DrawnMetrics:
    """The metrics of rows, and of every draw of them.

    Equal rows, weights and seeds have equal draws, so that of two models draw by draw is compared.

    Attributes:
        metrics: of the rows themselves.
        draws: of each draw; those without weight are left out.
        requested: number of draws that were asked for.
        bounds: by how much the exact metrics may differ from these, above 0; of metrics that were
            computed from all rows there is none.
    """

    metrics: Mapping[str, float]
    draws: list[Mapping[str, float]]
    requested: int
    bounds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PairedDifference:
    """The difference between a model and a reference on the same rows, which are drawn together.

    Attributes:
        model, reference: the metric of each.
        better_by: the difference; above 0 the model is better, whichever way is better.
        draws: of `better_by`, ascending, float64; empty where no interval can be given.
        bound: by how much the exact difference may differ from this one; intervals are so much
            wider on either side.
    """

    model: float
    reference: float
    better_by: float
    draws: np.ndarray = field(repr=False, compare=False)
    bound: float = 0.0

    def find_lower_end(self, confidence: float) -> float | None:
        """Return the lower end of the one-sided interval; None where there is none."""
        if not len(self.draws):
            return None
        return float(np.quantile(self.draws, 1 - confidence)) - self.bound

    def find_interval(self, confidence: float) -> tuple[float, float] | None:
        """Return both ends of the two-sided interval; None where there is none."""
        if not len(self.draws):
            return None
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.draws, [tail, 1 - tail])
        return float(low) - self.bound, float(high) + self.bound


def draw_metrics(
    scorer: MetricFunction,
    weight: np.ndarray,
    *,
    draws: int,
    seed: int,
    lists: np.ndarray | None = None,
) -> DrawnMetrics:
    """Compute metrics, and those of every draw.

    Args:
        scorer: metrics by weights.
        weight: of the rows themselves, float64 (rows,).
        draws: number of draws.
        seed: of the draws.
        lists: of every row, see `ranking.LIST`; None where each row is drawn by itself.
    """
    drawn = list(_map_draws(scorer, weight, draws, seed, lists))
    return DrawnMetrics(scorer(weight), drawn, draws)


def compute_intervals(
    scorer: MetricFunction,
    weight: np.ndarray,
    *,
    draws: int,
    confidence: float,
    seed: int,
    lists: np.ndarray | None = None,
) -> dict[str, Interval]:
    """Compute a two-sided interval of every metric; see `find_intervals`.

    Args:
        scorer: metrics by weights.
        weight: of the rows themselves, float64 (rows,).
        draws: number of draws; with 0 there are no intervals.
        confidence: share of the draws within the interval.
        seed: of the draws.
        lists: see `draw_metrics`.
    """
    drawn = draw_metrics(scorer, weight, draws=draws, seed=seed, lists=lists)
    return find_intervals(drawn, confidence)


def find_intervals(drawn: DrawnMetrics, confidence: float) -> dict[str, Interval]:
    """Return a two-sided interval of every metric.

    A metric that is defined in fewer than half of the draws (of a very rare class) has none. Where
    the metric itself is known to a bound, the interval is wider by it on either side.

    Args:
        drawn: metrics and draws.
        confidence: share of the draws within the interval.
    """
    tail = (1 - confidence) / 2
    intervals = {}
    for name, value in drawn.metrics.items():
        values = [d[name] for d in drawn.draws if name in d and np.isfinite(d[name])]
        if values and len(values) * 2 >= drawn.requested:
            low, high = np.quantile(values, [tail, 1 - tail])
            bound = drawn.bounds.get(name, 0.0)
            intervals[name] = Interval(value, float(low) - bound, float(high) + bound)
    return intervals


def pair_draws(
    model: DrawnMetrics, reference: DrawnMetrics, metric: str, *, higher_is_better: bool
) -> PairedDifference | None:
    """Compare a model and a reference, draw by draw.

    Args:
        model, reference: of the same rows, weights and seed.
        metric: the one to compare.
        higher_is_better: which way is better.

    Returns:
        None where the metric is not defined of both; without draws where it is defined in fewer
        than half of them.
    """
    own, other = model.metrics.get(metric), reference.metrics.get(metric)
    if own is None or other is None or not np.isfinite([own, other]).all():
        return None
    sign = 1.0 if higher_is_better else -1.0
    differences = np.sort(
        [
            sign * (a[metric] - b[metric])
            for a, b in zip(model.draws, reference.draws, strict=True)
            if metric in a and metric in b and np.isfinite([a[metric], b[metric]]).all()
        ]
    )
    if len(differences) * 2 < model.requested:
        differences = np.empty(0)
    bound = model.bounds.get(metric, 0.0) + reference.bounds.get(metric, 0.0)
    return PairedDifference(own, other, sign * (own - other), differences, bound)


def move_draws(drawn: DrawnMetrics, exact: Mapping[str, float]) -> DrawnMetrics:
    """Return the draws around metrics that are known exactly, and so have no bounds."""
    moves = {name: value - drawn.metrics.get(name, value) for name, value in exact.items()}
    draws: list[Mapping[str, float]] = [
        {n: v + moves[n] for n, v in draw.items() if n in moves} for draw in drawn.draws
    ]
    return DrawnMetrics(exact, draws, drawn.requested)


def find_difference(
    candidate: DrawnMetrics,
    champion: DrawnMetrics,
    metric: str,
    *,
    higher_is_better: bool,
    confidence: float,
) -> Difference | None:
    """Compare two models of which all draws were computed before, as `compute_difference` does."""
    paired = pair_draws(candidate, champion, metric, higher_is_better=higher_is_better)
    if paired is None or not len(paired.draws):
        return None
    low = paired.find_lower_end(confidence)
    assert low is not None
    return Difference(
        candidate=paired.model,
        champion=paired.reference,
        better_by=paired.better_by,
        low=low,
        share_worse=float(np.mean(paired.draws < 0)),
        draws=len(paired.draws),
    )


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
    lists: np.ndarray | None = None,
) -> Difference | None:
    """Compare two models on the same rows, which are drawn together (a paired bootstrap).

    Args:
        candidate, champion: metrics of the same rows by weights.
        metric: the one to compare.
        weight: of the rows, float64 (rows,).
        higher_is_better: which way is better.
        draws, seed: see `compute_intervals`.
        confidence: of the one-sided interval.
        lists: see `draw_metrics`.

    Returns:
        None where the metric is not defined, or in fewer than half of the draws.
    """
    sign = 1.0 if higher_is_better else -1.0
    candidate_metric = candidate(weight).get(metric)
    champion_metric = champion(weight).get(metric)
    if candidate_metric is None or champion_metric is None:
        return None
    differences = [
        sign * (drawn_candidate - drawn_champion)
        for drawn_candidate, drawn_champion in _map_draws(
            lambda drawn: (candidate(drawn).get(metric), champion(drawn).get(metric)),
            weight, draws, seed, lists,
        )
        if drawn_candidate is not None and drawn_champion is not None
    ]  # fmt: skip
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


def _map_draws(
    function: Callable[[np.ndarray], Result],
    weight: np.ndarray,
    draws: int,
    seed: int,
    lists: np.ndarray | None,
) -> Iterator[Result]:
    """Yield what a function makes of the weights of each draw, in the order of the draws.

    NumPy works without the interpreter's lock, so threads do. A sum of products is computed by one
    thread, as its bits would depend on their number otherwise.

    Args:
        function: of weights, float64 (rows,); called by several threads at a time.
        weight, draws, seed, lists: see `draw_metrics`.
    """
    drawn = _draw_weights(weight, draws, seed, lists)
    if len(weight) <= _ROWS_ALONE:
        yield from map(function, drawn)
        return
    threads = min(count_cores(), _MAX_THREADS)
    pending: deque[Future[Result]] = deque()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads, "draws") as pool:
        for weights in drawn:  # by this thread, one after the other: they are one random sequence
            pending.append(pool.submit(function, weights))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _draw_weights(
    weight: np.ndarray, draws: int, seed: int, lists: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield weights of rows times how often each was drawn; draws without weight are skipped."""
    random = np.random.default_rng(seed)
    unit_of_row = None if lists is None else _number_units(lists)
    units = len(weight) if unit_of_row is None else int(unit_of_row.max(initial=-1)) + 1
    for _ in range(draws):
        times = np.bincount(random.integers(0, units, units), minlength=units)
        if unit_of_row is not None:
            times = times[unit_of_row]
        drawn = weight * times
        if drawn.sum() > 0:
            yield drawn


def _number_units(lists: np.ndarray) -> np.ndarray:
    """Return which rows are drawn together: those of a list; a row without one is alone."""
    units, is_alone = lists.copy(), lists < 0
    units[is_alone] = lists.max(initial=-1) + 1 + np.arange(is_alone.sum())
    return np.asarray(np.unique(units, return_inverse=True)[1].reshape(-1))

"""Measure permutation importance: how much worse the metric is with a feature's values shuffled.

Breiman 2001; Fisher, Rudin, Dominici 2019, arXiv:1801.01489; on rows that the model was not trained
on. Correlated features share their importance, so that each of them may look useless.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from headrace.models.feature_columns import locate_features
from headrace.transform.spec import TransformSpec

REPEATS = 3
"""Permutations of each feature."""
_ROWS_TIMES_FEATURES = 2_000_000
"""Each permutation predicts all features of all rows: with rows of their own number, two thousand
features took four hundred times as long as a hundred. 20,000 rows, the recipe's default, are full
up to a hundred features, and two thousand of them take twenty times as long."""
_FEWEST_ROWS = 500


@dataclass(frozen=True)
class Importance:
    """The importance of one feature over `REPEATS` permutations.

    Attributes:
        feature: its name.
        drop: how much worse the metric is without the feature, the mean.
        std: standard deviation of the drop.
    """

    feature: str
    drop: float
    std: float


def limit_rows(rows: int, features: int) -> int:
    """Return on how many rows importance is measured, where there are very many features."""
    return min(rows, max(_FEWEST_ROWS, _ROWS_TIMES_FEATURES // max(features, 1)))


def score_permutations(
    inputs: Mapping[str, np.ndarray],
    spec: TransformSpec,
    score: Callable[[Mapping[str, np.ndarray]], float],
    *,
    seed: int,
    rank: int = 0,
    size: int = 1,
) -> np.ndarray:
    """Compute the metric with the values of each feature permuted among the rows.

    Args:
        inputs: the model's, of some rows.
        spec: names the features.
        score: the metric by inputs.
        seed: of the permutations.
        rank, size: this rank, and the number of ranks; features are distributed over them.

    Returns:
        float64 (features, REPEATS), 0 where a feature belongs to another rank: the sum over ranks
        has all.
    """
    rows = len(next(iter(inputs.values())))
    locations = locate_features(spec)
    scores = np.zeros((len(locations), REPEATS))
    matrices: dict[str, np.ndarray] = {}
    for number, (name, columns) in enumerate(locations.values()):
        if number % size != rank:
            continue
        for repeat in range(REPEATS):
            order = np.random.default_rng([seed, number, repeat]).permutation(rows)
            array = inputs[name]
            if columns is None:
                scores[number, repeat] = score({**inputs, name: array[order]})
                continue
            # One copy of all columns, of which a feature's are changed and restored.
            if name not in matrices:
                matrices[name] = array.copy()
            matrix = matrices[name]
            own = array[:, list(columns)]
            matrix[:, list(columns)] = own[order]
            scores[number, repeat] = score({**inputs, name: matrix})
            matrix[:, list(columns)] = own
    return scores


def compute_importances(
    spec: TransformSpec, baseline: float, permuted: np.ndarray, *, higher_is_better: bool
) -> list[Importance]:
    """Return the importance of every feature, the most important first.

    Args:
        spec: names the features.
        baseline: the metric without a permutation.
        permuted: of `score_permutations`, the sum over all ranks.
        higher_is_better: of the metric.
    """
    drops = baseline - permuted if higher_is_better else permuted - baseline
    importances = [
        Importance(name, float(row.mean()), float(row.std()))
        for name, row in zip(locate_features(spec), drops, strict=True)
    ]
    return sorted(importances, key=lambda item: -item.drop)

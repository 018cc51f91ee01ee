"""How much each feature matters: what is lost when its values are dealt out anew among the rows.

Permutation importance (Breiman 2001; Fisher, Rudin, Dominici 2019, arXiv:1801.01489), on rows that
were not trained on. Correlated features share what they are worth, so that each may look useless.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from headrace.transform.spec import TransformSpec

REPEATS = 3


@dataclass(frozen=True)
class Importance:
    """Of one feature: how much worse the metric is without it, over `REPEATS` permutations."""

    feature: str
    loss: float
    spread: float


def places_of(spec: TransformSpec) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """Feature -> the input it is in and its columns there; None for an input of its own."""
    found: dict[str, tuple[str, tuple[int, ...] | None]] = {}
    shaped = {f.name for f in spec.shaped}
    for feature in spec.features:
        name = feature.name
        if name in shaped:
            found[name] = (name, None)
        elif name in (f.name for f in spec.categorical):
            place = [f.name for f in spec.categorical].index(name)
            found[name] = ("categorical", (place,))
        else:
            own = {name, f"{name}_missing", f"{name}_sin", f"{name}_cos"}
            places = tuple(i for i, column in enumerate(spec.numeric) if column in own)
            found[name] = ("numeric", places)
    return found


def losses_of(
    inputs: Mapping[str, np.ndarray],
    spec: TransformSpec,
    score: Callable[[Mapping[str, np.ndarray]], float],
    *,
    seed: int,
    share: tuple[int, int] = (0, 1),
) -> np.ndarray:
    """The metric with each feature permuted, float64 (features, REPEATS); 0 where not one's share.

    Args:
        inputs: the model's, of some rows.
        spec: names the features.
        score: the metric by inputs.
        seed: of the permutations.
        share: (rank, size): features are dealt out among the ranks.
    """
    rows = len(next(iter(inputs.values())))
    rank, size = share
    places = places_of(spec)
    found = np.zeros((len(places), REPEATS))
    for number, (name, columns) in enumerate(places.values()):
        if number % size != rank:
            continue
        for repeat in range(REPEATS):
            order = np.random.default_rng([seed, number, repeat]).permutation(rows)
            array = inputs[name]
            if columns is None:
                changed = array[order]
            else:
                changed = array.copy()
                changed[:, list(columns)] = array[order][:, list(columns)]
            found[number, repeat] = score({**inputs, name: changed})
    return found


def importances(
    spec: TransformSpec, whole: float, permuted: np.ndarray, *, higher_is_better: bool
) -> list[Importance]:
    """The most important first.

    Args:
        spec: names the features.
        whole: the metric as it is.
        permuted: of all ranks together.
        higher_is_better: of the metric.
    """
    losses = whole - permuted if higher_is_better else permuted - whole
    found = [
        Importance(name, float(row.mean()), float(row.std()))
        for name, row in zip(places_of(spec), losses, strict=True)
    ]
    return sorted(found, key=lambda item: -item.loss)

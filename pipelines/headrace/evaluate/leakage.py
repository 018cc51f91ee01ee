"""How much of the label a single feature says: one that says nearly all is probably a leak.

Each feature alone is given to a small decision tree, or for ids to the mean label of each id, that
is fitted on one half of some rows and judged on the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.evaluate.curves import Ranked, roc_auc
from headrace.evaluate.importance import places_of
from headrace.recipe import sections as s
from headrace.transform.spec import LabelSpec, TransformSpec

# A copy of the label gives 1. Of a regression it takes more to be suspicious: what is to be
# forecast is often close to what it is now.
LIMITS = {"binary": 0.95, "classes": 0.95, "multi_label": 0.95, "regression": 0.995}
_LEAVES, _LEAST_ROWS = 64, 100
_LEAST_WITH = 10  # rows with a label, and without it, from which its AUC says something


@dataclass(frozen=True)
class Strength:
    """What a feature says of the label by itself, 0 to 1."""

    feature: str
    strength: float
    limit: float
    allowed: bool = False

    @property
    def suspicious(self) -> bool:
        return self.strength >= self.limit and not self.allowed


def strengths(
    inputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
    spec: TransformSpec,
    settings: s.Leakage,
) -> list[Strength]:
    """The strongest first; none where there are too few rows to say.

    Lists and images are left out: no single one of their values is a feature.

    Args:
        inputs: the model's, of some rows in an order that says nothing.
        truth: labels of these rows as the dataset has them.
        spec: names the features.
        settings: limit, and features that may be strong.
    """
    if len(truth) < _LEAST_ROWS:
        return []
    limit = settings.limit if settings.limit is not None else LIMITS[spec.label.kind]
    found = []
    for feature, (name, columns) in places_of(spec).items():
        if columns is None:
            continue
        values = inputs[name][:, list(columns)]
        strength = _strength(values, truth, spec.label, ids=name == "categorical")
        found.append(Strength(feature, strength, limit, feature in settings.allow))
    return sorted(found, key=lambda item: -item.strength)


def _strength(values: np.ndarray, truth: np.ndarray, label: LabelSpec, *, ids: bool) -> float:
    fitted = np.arange(len(truth)) % 2 == 0
    judged = ~fitted
    if label.kind == "classes":
        guess = _guess_class(values, truth.astype(np.int64), fitted, ids=ids)[judged]
        seen = truth[judged]
        most = np.bincount(truth[fitted].astype(np.int64)).argmax()
        errors, without = np.mean(guess != seen), np.mean(seen != most)
        return float(np.clip(1 - errors / without, 0, 1)) if without > 0 else 0.0
    guess = _guess_number(values, truth.astype(np.float64), fitted, ids=ids)[judged]
    seen = truth[judged].astype(np.float64)
    if label.kind == "multi_label":  # the one of which it says most
        enough = np.minimum(seen.sum(axis=0), (1 - seen).sum(axis=0)) >= _LEAST_WITH
        pairs = ((seen[:, i], guess[:, i]) for i in np.flatnonzero(enough))
        return max((_strength_of_one(*pair) for pair in pairs), default=0.0)
    if label.kind == "binary":
        return _strength_of_one(seen, guess)
    spread = ((seen - seen.mean()) ** 2).sum()
    return float(np.clip(1 - ((seen - guess) ** 2).sum() / spread, 0, 1)) if spread > 0 else 0.0


def _strength_of_one(seen: np.ndarray, guess: np.ndarray) -> float:
    area = roc_auc(*Ranked.of(seen, guess).counts(np.ones(len(seen))))
    return 0.0 if np.isnan(area) else float(np.clip(2 * area - 1, 0, 1))


def _guess_number(
    values: np.ndarray, truth: np.ndarray, fitted: np.ndarray, *, ids: bool
) -> np.ndarray:
    if ids and truth.ndim == 2:
        one_by_one = (_guess_number(values, column, fitted, ids=True) for column in truth.T)
        return np.stack(list(one_by_one), axis=1)
    if ids:
        codes = np.unique(values[:, 0], return_inverse=True)[1]
        rows = np.bincount(codes[fitted], minlength=codes.max() + 1)
        sums = np.bincount(codes[fitted], truth[fitted], minlength=codes.max() + 1)
        mean = truth[fitted].mean()
        return np.asarray(((sums + mean) / (rows + 1))[codes])
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
    return np.asarray(tree.fit(values[fitted], truth[fitted]).predict(values))


def _guess_class(
    values: np.ndarray, truth: np.ndarray, fitted: np.ndarray, *, ids: bool
) -> np.ndarray:
    if ids:
        codes = np.unique(values[:, 0], return_inverse=True)[1]
        classes = int(truth.max()) + 1
        pairs = codes[fitted] * classes + truth[fitted]
        counts = np.bincount(pairs, minlength=(codes.max() + 1) * classes)
        table = counts.reshape(-1, classes) + np.bincount(truth[fitted], minlength=classes) * 1e-9
        return np.asarray(table.argmax(axis=1)[codes])
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=5, random_state=0)
    return np.asarray(tree.fit(values[fitted], truth[fitted]).predict(values))

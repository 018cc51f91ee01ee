"""Measure how well a single feature predicts the label: one that nearly equals it probably leaks.

The label is predicted from each feature alone: by a small decision tree, or for ids by the mean (of
classes the commonest class) per id, fitted on every second row and measured on the others. Called
by every rank of evaluate, for the report and the verdict, and by `init`, for the draft of a recipe.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.labels.kind import Form
from headrace.labels.spec import LabelSpec
from headrace.models.feature_columns import locate_features
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

_MAX_LEAVES, _MIN_ROWS = 64, 100


@dataclass(frozen=True)
class FeatureStrength:
    """The strength of one feature: how well it predicts the label by itself.

    Attributes:
        feature: its name.
        strength: 0 to 1.
        limit: strength from which on a feature is suspicious.
        is_allowed: whether the recipe allows it to be strong.
    """

    feature: str
    strength: float
    limit: float
    is_allowed: bool = False

    @property
    def is_suspicious(self) -> bool:
        """Return whether the feature probably leaks the label."""
        return self.strength >= self.limit and not self.is_allowed


def measure_feature_strengths(
    inputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
    spec: TransformSpec,
    settings: s.Leakage,
) -> list[FeatureStrength]:
    """Measure every feature that is a number or an id, and return the strongest first.

    Lists and images are left out: no single one of their values is a feature.

    Args:
        inputs: the model's, of some rows in an order that is independent of the label.
        truth: labels of these rows as the dataset has them.
        spec: names the features.
        settings: limit, and features that may be strong.

    Returns:
        an empty list where there are too few rows.
    """
    if len(truth) < _MIN_ROWS:
        return []
    limit = settings.limit if settings.limit is not None else spec.label.definition.leakage_limit
    strengths = []
    for feature, (name, columns) in locate_features(spec).items():
        if columns is None:
            continue
        values = inputs[name][:, list(columns)]
        strength = _measure_strength(values, truth, spec.label, ids=name == "categorical")
        strengths.append(FeatureStrength(feature, strength, limit, feature in settings.allow))
    return sorted(strengths, key=lambda item: -item.strength)


def _measure_strength(
    values: np.ndarray, truth: np.ndarray, label: LabelSpec, *, ids: bool
) -> float:
    """Return how well the values of one feature, (rows, columns), predict the label, 0 to 1."""
    fitted = np.arange(len(truth)) % 2 == 0
    measured = ~fitted
    kind = label.definition
    if kind.form is Form.CLASS:
        predicted = _predict_class(values, truth.astype(np.int64), fitted, ids=ids)
        return kind.measure_strength(truth[measured], predicted[measured], truth[fitted])
    numbers = truth.astype(np.float64)
    predicted = _predict_number(values, numbers, fitted, ids=ids)
    return kind.measure_strength(numbers[measured], predicted[measured], numbers[fitted])


def _predict_number(
    values: np.ndarray, truth: np.ndarray, fitted: np.ndarray, *, ids: bool
) -> np.ndarray:
    if ids and truth.ndim == 2:
        predictions = [_predict_number(values, column, fitted, ids=True) for column in truth.T]
        return np.stack(predictions, axis=1)
    if ids:
        codes = np.unique(values[:, 0], return_inverse=True)[1]
        rows = np.bincount(codes[fitted], minlength=codes.max() + 1)
        sums = np.bincount(codes[fitted], truth[fitted], minlength=codes.max() + 1)
        mean = truth[fitted].mean()
        return np.asarray(((sums + mean) / (rows + 1))[codes])
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(max_leaf_nodes=_MAX_LEAVES, min_samples_leaf=5, random_state=0)
    return np.asarray(tree.fit(values[fitted], truth[fitted]).predict(values))


def _predict_class(
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

    tree = DecisionTreeClassifier(max_leaf_nodes=_MAX_LEAVES, min_samples_leaf=5, random_state=0)
    return np.asarray(tree.fit(values[fitted], truth[fitted]).predict(values))

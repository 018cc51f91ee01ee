"""Measure how well a single feature predicts the label: one that nearly equals it probably leaks.

The label is predicted from each feature alone: by a small decision tree, or for ids by the mean (of
classes the commonest class) per id, fitted on every second row and measured on the others. The
ranks of evaluate share the features, for the report and the verdict; `init` measures all, for the
draft of a recipe.
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
    return list_strengths(measure_strengths(inputs, truth, spec), len(truth), spec, settings)


def measure_strengths(
    inputs: Mapping[str, np.ndarray],
    truth: np.ndarray,
    spec: TransformSpec,
    *,
    rank: int = 0,
    size: int = 1,
) -> np.ndarray:
    """Measure this rank's share of the features; see `measure_feature_strengths`.

    Returns:
        float64 (features,), 0 where a feature belongs to another rank, is a list or an image, or
        there are too few rows: the sum over ranks has all.
    """
    locations = locate_features(spec)
    strengths = np.zeros(len(locations))
    for number, (name, columns) in enumerate(locations.values()):
        if columns is None or number % size != rank or len(truth) < _MIN_ROWS:
            continue
        values = inputs[name][:, list(columns)]
        is_id = name == "categorical"
        strengths[number] = _measure_strength(values, truth, spec.label, ids=is_id)
    return strengths


def list_strengths(
    measured: np.ndarray, rows: int, spec: TransformSpec, settings: s.Leakage
) -> list[FeatureStrength]:
    """Return the strength of every feature that is a number or an id, the strongest first.

    Args:
        measured: of `measure_strengths`, the sum over all ranks.
        rows: on which they were measured.
        spec: names the features.
        settings: limit, and features that may be strong.

    Returns:
        an empty list where there are too few rows.
    """
    if rows < _MIN_ROWS:
        return []
    limit = settings.limit if settings.limit is not None else spec.label.definition.leakage_limit
    allowed = set(settings.allow)
    strengths = [
        FeatureStrength(feature, float(strength), limit, feature in allowed)
        for (feature, (_, columns)), strength in zip(
            locate_features(spec).items(), measured, strict=True
        )
        if columns is not None
    ]
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

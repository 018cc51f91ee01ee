"""Fit scikit-learn's gradient-boosted trees on prepared columns: what a table gives without effort.

Numbers stay as they are prepared, ids are categories. The trees know at most 255 of these, so of a
feature with more ids the most frequent of the sample are categories of their own, and all others
are one. Arrays in, arrays out; which rows they are is left to `compute.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.labels.kind import Form
from headrace.labels.spec import LabelSpec

MAX_COLUMNS = 8192
"""Columns from which on the histograms of a tree's nodes take too much memory."""
MAX_CLASSES = 100
"""Classes up to which trees are fitted: every iteration fits a tree for each class."""
# Of the flights, 60 iterations at 0.15 take two thirds of the time of scikit-learn's 100 at 0.1,
# for 0.002 of ROC AUC.
_ITERATIONS, _LEARNING_RATE, _MAX_TREES = 60, 0.15, 500
_STAGE = 5  # iterations after which the trees are compared on validation rows
_CATEGORIES = 254
# Of a histogram: bins of a column, each of two sums in float64 and a count.
_COLUMN_BYTES, _HISTOGRAM_BYTES = 256 * 20, 2**29


@dataclass(frozen=True)
class Rows:
    """Rows to fit on, or to choose the number of iterations by.

    Attributes:
        values: float64 (rows, columns), of `TreeColumns.build_matrix`.
        truth: labels as the dataset has them, (rows,).
        weight: float64 (rows,), above 0.
    """

    values: np.ndarray
    truth: np.ndarray
    weight: np.ndarray


class TreeColumns:
    """The columns that trees read, with the categories that they know."""

    def __init__(self, numeric: np.ndarray, categorical: np.ndarray) -> None:
        """Choose them by a sample of train rows.

        Args:
            numeric: (rows, columns), finite or not.
            categorical: ids, (rows, columns).
        """
        # scikit-learn cannot bin a column without a number, and learns nothing of a constant.
        self._numbers = [i for i in range(numeric.shape[1]) if _has_two_values(numeric[:, i])]
        self._categories = {
            i: _choose_categories(categorical[:, i])
            for i in range(categorical.shape[1])
            if _has_two_values(categorical[:, i])
        }
        self.count = len(self._numbers) + len(self._categories)
        self.is_category = [False] * len(self._numbers) + [True] * len(self._categories)

    def build_matrix(self, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        """Return what trees read of rows, float64 (rows, columns), NaN for what is not finite."""
        rows = len(numeric) if numeric.shape[1] else len(categorical)
        matrix = np.empty((rows, self.count))
        for position, column in enumerate(self._numbers):
            values = numeric[:, column]
            matrix[:, position] = np.where(np.isfinite(values), values, np.nan)
        for position, (column, known) in enumerate(self._categories.items(), len(self._numbers)):
            ids = categorical[:, column]
            places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            matrix[:, position] = np.where(known[places] == ids, places, len(known))
        return matrix


def _has_two_values(column: np.ndarray) -> bool:
    finite = column[np.isfinite(column)]
    return bool(len(finite) and (finite != finite[0]).any())


def _choose_categories(ids: np.ndarray) -> np.ndarray:
    """Return the most frequent ids, ascending; of equally frequent ones the lower ids."""
    values, counts = np.unique(ids, return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:_CATEGORIES]
    return np.asarray(np.sort(values[chosen]))


def find_obstacle(label: LabelSpec, truth: np.ndarray, columns: int) -> str | None:
    """Return the reason why no trees can be fitted; None where there is none.

    Args:
        label: what labels mean.
        truth: labels of the sample.
        columns: that the sample tells rows apart by.
    """
    if not columns:
        return "no number and no id differs among the sampled train rows"
    if columns > MAX_COLUMNS:
        return f"there are {columns:,} columns, and trees are fitted on {MAX_COLUMNS:,} at most"
    if len(label.classes) > MAX_CLASSES:
        return f"there are {len(label.classes):,} classes, and trees are fitted for {MAX_CLASSES}"
    if not len(truth) or (truth == truth[0]).all():
        return "all sampled train rows with weight have the same label"
    return None


@dataclass(frozen=True)
class Tree:
    """Fitted trees.

    Attributes:
        predict: from a matrix to the model's output, float32 (rows,) or (rows, classes).
        iterations: of boosting that are used.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    iterations: int


def fit_tree(
    label: LabelSpec,
    train: Rows,
    validation: Rows | None,
    is_category: list[bool],
    constant: np.ndarray,
) -> Tree:
    """Fit trees, with the number of iterations that is best on the validation rows.

    Args:
        label: what labels mean; of one value per row.
        train: rows to fit on.
        validation: rows to choose by; None uses all iterations.
        is_category: of each column.
        constant: of `constant.fit_constant`; classes that the sample lacks have its shares.
    """
    kind = label.definition
    center, scale = _find_scale(label, train)
    model = _make_model(label, len(is_category), is_category)
    target = train.truth if kind.form is not Form.NUMBER else (train.truth - center) / scale
    model.fit(train.values, target, sample_weight=train.weight)

    def finish(output: np.ndarray) -> np.ndarray:
        if kind.form is Form.NUMBER:
            return np.asarray(output * scale + center)
        if kind.form is Form.PROBABILITY:
            return np.asarray(output[:, 1])
        return _complete_classes(output, model.classes_.astype(np.int64), constant)

    stages = model.staged_predict if kind.form is Form.NUMBER else model.staged_predict_proba
    iterations = int(model.n_iter_)
    if validation is not None:
        losses = {
            n: _measure_loss(label, finish(output), validation)
            for n, output in _take_stages(stages(validation.values), iterations)
        }
        iterations = min(losses, key=lambda n: (losses[n], n))

    def predict(values: np.ndarray) -> np.ndarray:
        output = next(o for n, o in enumerate(stages(values), 1) if n == iterations)
        return finish(output).astype(np.float32)

    return Tree(predict, iterations)


def _make_model(label: LabelSpec, columns: int, is_category: list[bool]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    trees = len(label.classes) if label.definition.form is Form.CLASS else 1
    options: dict[str, Any] = {
        "max_iter": max(_STAGE, min(_ITERATIONS, _MAX_TREES // trees)),
        "learning_rate": _LEARNING_RATE,
        "max_leaf_nodes": int(np.clip(_HISTOGRAM_BYTES // (columns * _COLUMN_BYTES), 4, 31)),
        "categorical_features": is_category,
        "early_stopping": False,
        "random_state": 0,
    }
    if label.definition.form is Form.NUMBER:
        if (level := _find_level(label)) is not None:
            return HistGradientBoostingRegressor(loss="quantile", quantile=level, **options)
        loss = "poisson" if label.kind == "count" else "squared_error"
        return HistGradientBoostingRegressor(loss=loss, **options)
    return HistGradientBoostingClassifier(**options)


def _find_level(label: LabelSpec) -> float | None:
    """Return the level of the quantile that a model of this label predicts; None for the mean."""
    return label.loss.quantile_level if label.loss else None


def _find_scale(label: LabelSpec, rows: Rows) -> tuple[float, float]:
    """Return the center and the scale of numbers: gradients are float32, whatever the unit.

    Counts keep their zero.
    """
    if label.definition.form is not Form.NUMBER:
        return 0.0, 1.0
    mean = float(np.average(rows.truth, weights=rows.weight))
    if label.kind == "count":
        return 0.0, mean if mean > 0 else 1.0
    spread = float(np.sqrt(np.average((rows.truth - mean) ** 2, weights=rows.weight)))
    return mean, spread if spread > 0 else 1.0


def _take_stages(
    outputs: Iterator[np.ndarray], iterations: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield some numbers of iterations with their output."""
    for n, output in enumerate(outputs, 1):
        if n % _STAGE == 0 or n == iterations:
            yield n, output


def _measure_loss(label: LabelSpec, output: np.ndarray, rows: Rows) -> float:
    """Return the mean loss that trees are fitted by, under the rows' weights."""
    truth, weight = rows.truth, rows.weight
    form = label.definition.form
    if (level := _find_level(label)) is not None:
        error = truth - output
        pinball = np.maximum(level * error, (level - 1) * error)
        return float(np.average(pinball, weights=weight))
    if form is Form.NUMBER and label.kind != "count":
        return float(np.average((output - truth) ** 2, weights=weight))
    tiny = 1e-12
    if form is Form.NUMBER:
        rate = np.maximum(output, tiny)
        return float(np.average(rate - truth * np.log(rate), weights=weight))
    if form is Form.PROBABILITY:
        true = np.where(truth > 0.5, output, 1 - output)
    else:
        true = output[np.arange(len(truth)), truth.astype(np.int64)]
    return float(np.average(-np.log(np.clip(true, tiny, 1.0)), weights=weight))


def _complete_classes(output: np.ndarray, present: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return probabilities of all classes; those that the sample lacks have the constant's."""
    if len(present) == len(constant):
        return output
    complete = np.tile(constant, (len(output), 1))
    is_absent = np.ones(len(constant), bool)
    is_absent[present] = False
    complete[:, present] = output * (1 - constant[is_absent].sum())
    return complete


def split_inputs(batch: Mapping[str, np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers and the ids of a batch of inputs, each (rows, columns)."""
    numeric = batch.get("numeric", np.empty((rows, 0), np.float32))
    categorical = batch.get("categorical", np.empty((rows, 0), np.int32))
    return numeric.reshape(rows, -1), categorical.reshape(rows, -1)

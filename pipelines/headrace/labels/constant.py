"""Fit the best constant of every kind of label: what to answer without looking at a row.

A constant is the best only by one score, the one whose mean it minimizes: the base rate and the
shares of classes by log loss, the mean by squared error and by Poisson deviance. So the score and
the constant are chosen here together, and nowhere else. Metrics of yes-or-no decisions need a
decision as well, which a threshold made for a model's probabilities cannot give; see
`_choose_decisions`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from headrace.errors import ModelError
from headrace.labels.binary import BinaryScorer
from headrace.labels.kind import FittedLabel, Form
from headrace.labels.kinds import find_label_kind
from headrace.labels.losses.loss import Loss
from headrace.labels.ranking import LIST, RankedLists
from headrace.labels.scoring import AVERAGES
from headrace.number_text import format_number

_DECISIONS = ("accuracy", "precision", "recall", "f1", *AVERAGES)
_NEVER, _ALWAYS = 2.0, 0.0  # thresholds above every probability, and below


def choose_score(kind: str, loss: Loss | None = None) -> str:
    """Return the metric by which the constant of a kind is the best one: a proper score.

    Args:
        kind: name of the label's kind.
        loss: under `train.loss`; the score is its own then.
    """
    if loss is not None:
        return loss.metric
    if find_label_kind(kind).form is not Form.NUMBER:
        return "log_loss"
    return "poisson_deviance" if kind == "count" else "rmse"


def fit_constant(label: FittedLabel, truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the best constant as the model's output would be.

    Args:
        label: the fitted label.
        truth: labels as the dataset has them, (rows,), or (rows, labels).
        weight: of the rows, float64 (rows,).

    Returns:
        float64: () of one number or probability, (classes,) of classes or of several labels.

    Raises:
        ModelError: no row has weight.
    """
    if not weight.sum() > 0:
        raise ModelError(
            "the constant has no train row with weight; set evaluate.weighted to false, or check "
            "label.sample_weight"
        )
    return np.asarray(find_label_kind(label.kind).predict_constant(truth, weight, label))


def describe_constant(label: FittedLabel, constant: np.ndarray) -> str:
    """Return the constant in words.

    Args:
        label: the fitted label.
        constant: of `fit_constant`.
    """
    kind = find_label_kind(label.kind)
    if kind.form is Form.CLASS:
        best = int(constant.argmax())
        share = format_number(float(constant[best]), 4)
        return f"the shares of the classes; always {label.classes[best]!r} ({share})"
    if kind.form is Form.NUMBER:
        what = "the best by the loss" if label.loss else "the mean"
        return f"always {format_number(float(kind.convert_output(constant, label)), 6)}, {what}"
    if label.classes:
        return f"the share of each of {len(label.classes):,} labels"
    return f"the base rate, {format_number(float(constant), 4)}"


def make_constant_scorer(
    constant: np.ndarray, rows: Mapping[str, np.ndarray], label: FittedLabel
) -> Callable[[np.ndarray], Mapping[str, float]]:
    """Return the metrics of a constant by the weights of rows.

    Of a condition and of classes they depend on the weight of each label alone, so that a draw of
    a bootstrap costs a sum.

    Args:
        constant: of `fit_constant`.
        rows: `label` is read, and `ranking.LIST` where rows are in lists.
        label: the fitted label.
    """
    own = _make_own_scorer(constant, rows, label)
    if not (label.cutoffs and LIST in rows):
        return own
    truth = rows["label"]
    lists = RankedLists(rows[LIST], truth, np.zeros(len(truth)), label.cutoffs)
    return lambda weight: {**own(weight), **lists.measure(weight)}


def _make_own_scorer(
    constant: np.ndarray, rows: Mapping[str, np.ndarray], label: FittedLabel
) -> Callable[[np.ndarray], Mapping[str, float]]:
    """Return the metrics of a constant, but for those of lists."""
    kind = find_label_kind(label.kind)
    truth = rows["label"]
    if label.loss is not None or (kind.form is not Form.CLASS and label.kind != "binary"):
        output = np.broadcast_to(constant, (len(truth), *constant.shape))
        return kind.make_scorer({"label": truth, kind.output: output}, label, 0.5)
    values, positions = np.unique(truth, return_inverse=True)
    output = np.broadcast_to(constant, (len(values), *constant.shape))
    if label.kind == "binary":
        score = _choose_decisions(values, float(constant))
    else:
        score = kind.make_scorer({"label": values, kind.output: output}, label, 0.5)
    return lambda weight: score(np.bincount(positions, weight, len(values)))


def _choose_decisions(
    truth: np.ndarray, probability: float
) -> Callable[[np.ndarray], Mapping[str, float]]:
    """Return the metrics of one probability, with the decision that each metric likes best.

    Two decisions are constant: always and never. By accuracy the majority is the better one, by F1
    always, and by recall always has 1, which nothing exceeds. They are chosen by the base rate,
    not by the rows that are scored.

    Args:
        truth: 0 and 1, or one of them.
        probability: of 1, in the train split.
    """
    thresholds = (_NEVER, _ALWAYS)
    both, share = np.array([0, 1]), np.array([1 - probability, probability])
    never, always = (BinaryScorer(both, np.full(2, probability), t)(share) for t in thresholds)
    of_always = {name for name in _DECISIONS if always[name] > never[name]}
    constant = np.full(len(truth), probability)
    scorers = [BinaryScorer(truth, constant, threshold) for threshold in thresholds]

    def score(weight: np.ndarray) -> dict[str, float]:
        metrics, of_other = (scorer(weight) for scorer in scorers)
        return {**metrics, **{name: of_other[name] for name in of_always}}

    return score

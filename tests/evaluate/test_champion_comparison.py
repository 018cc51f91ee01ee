"""Two models are compared on the rows that both have, whatever their datasets look like."""

import numpy as np
import pytest

from headrace.evaluate.champion_comparison import compare_models
from headrace.evaluate.predictions import PredictedRows
from headrace.labels.losses.quantile import Quantile
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s

GATES = [{"kind": "champion", "metric": "roc_auc", "not_worse_by": 0.01}]
SETTINGS = s.Evaluate.model_validate({"gates": GATES, "bootstrap": 50})
BINARY = LabelSpec()


def make_rows(ids: list[int], labels: list[int], scores: list[float]) -> PredictedRows:
    return {
        "row_id": np.array(ids),
        "label": np.array(labels, np.float32),
        "probability": np.array(scores, np.float32),
    }


def compare(own: PredictedRows, others: PredictedRows, settings: s.Evaluate = SETTINGS):
    return compare_models("models:/m/1", (own, BINARY, 0.5), (others, BINARY, 0.5), settings)


def test_rows_are_matched_by_identity_and_label() -> None:
    own = make_rows([1, 2, 3, 4, 5], [0, 1, 0, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.1])
    others = make_rows([2, 3, 4, 5, 9], [1, 0, 1, 0, 1], [0.4, 0.6, 0.7, 0.5, 0.5])
    comparison = compare(own, others)  # 5 has another label there, 1 and 9 are on one side only
    assert (comparison.shared_rows, comparison.candidate_rows, comparison.obstacle) == (3, 5, "")
    (difference,) = comparison.differences.values()
    assert difference.candidate == 1.0  # of 2, 3, 4
    assert difference.champion == 0.5


def test_rows_of_one_identity_are_matched_in_order() -> None:
    own = make_rows([7, 7, 8], [0, 0, 1], [0.1, 0.2, 0.9])
    others = make_rows([7, 7, 7, 8], [0, 0, 0, 1], [0.3, 0.3, 0.3, 0.2])
    comparison = compare(own, others)
    assert comparison.shared_rows == 3


def test_too_few_shared_rows_are_an_obstacle() -> None:
    own = make_rows([1, 2, 3, 4, 5], [0, 1, 0, 1, 1], [0.1, 0.9, 0.2, 0.8, 0.1])
    comparison = compare(own, make_rows([1, 2], [0, 1], [0.1, 0.2]))
    assert "only 2 of 5 test rows" in comparison.obstacle


def test_another_kind_of_label_is_an_obstacle() -> None:
    own = make_rows([1, 2], [0, 1], [0.1, 0.9])
    other = LabelSpec(kind="classes", classes=("a", "b"))
    comparison = compare_models("models:/m/1", (own, BINARY, 0.5), (own, other, 0.5), SETTINGS)
    assert "another kind of label" in comparison.obstacle


def test_rows_of_several_labels_are_the_same_where_all_of_them_are() -> None:
    gates = [{"kind": "champion", "metric": "f1_micro", "not_worse_by": 0.0}]
    settings = s.Evaluate.model_validate({"gates": gates, "bootstrap": 50})
    label = LabelSpec(kind="multi_label", classes=("a", "b"))
    truth = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    own = {"row_id": np.arange(4), "label": truth, "probabilities": truth}
    changed = truth.copy()
    changed[1, 0] = 0
    others = {"row_id": np.arange(4), "label": changed, "probabilities": 1 - truth}
    comparison = compare_models("models:/m/1", (own, label, 0.5), (others, label, 0.5), settings)
    assert (comparison.shared_rows, comparison.candidate_rows, comparison.obstacle) == (3, 4, "")
    (difference,) = comparison.differences.values()
    assert (difference.candidate, difference.champion) == (1.0, 0.0)


def test_numbers_are_compared_in_their_own_unit() -> None:
    gates = [{"kind": "champion", "metric": "mae", "not_worse_by": 0.0}]
    settings = s.Evaluate.model_validate({"gates": gates, "bootstrap": 50})
    label = LabelSpec(kind="regression", center=10.0, scale=2.0)
    other_label = LabelSpec(kind="regression", center=0.0, scale=1.0)
    truth = np.linspace(5, 15, 40)
    own = {
        "row_id": np.arange(40),
        "label": ((truth - 10) / 2).astype(np.float32),
        "value": ((truth + 1 - 10) / 2).astype(np.float32),  # off by 1
    }
    others = {
        "row_id": np.arange(40),
        "label": truth.astype(np.float32),
        "value": (truth + 3).astype(np.float32),  # off by 3
    }
    comparison = compare_models(
        "models:/m/1", (own, label, 0.5), (others, other_label, 0.5), settings
    )
    (difference,) = comparison.differences.values()
    assert comparison.shared_rows == 40
    assert difference.better_by == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (0.9, None, "models:/m/1 predicts the mean or the median, and the candidate the quantile "
         "of level 0.9"),
        (0.9, 0.95, "predicts the quantile of level 0.95, and the candidate the quantile of level "
         "0.9"),
        (0.9, 0.9, ""), (0.5, None, ""), (None, None, ""),
    ],
)  # fmt: skip
def test_quantiles_and_means_are_two_questions(
    ours: float | None, theirs: float | None, text: str
) -> None:
    gates = [{"kind": "champion", "metric": "mae", "not_worse_by": 0.0}]
    settings = s.Evaluate.model_validate({"gates": gates, "bootstrap": 20})
    labels = [
        LabelSpec(kind="regression").with_loss(level and Quantile(kind="quantile", level=level))
        for level in (ours, theirs)
    ]
    rows = {"row_id": np.arange(9), "label": np.arange(9.0), "value": np.arange(9.0)[::-1]}
    models = [(rows, label, 0.5) for label in labels]
    comparison = compare_models("models:/m/1", *models, settings)
    assert text in comparison.obstacle
    assert bool(comparison.obstacle) == bool(text)

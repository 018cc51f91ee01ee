"""The analysis of predictions of every kind of label: what is computed, tabled and plotted."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import ModelError
from headrace.evaluate.analysis import (
    AnalysisInputs,
    analysis_to_dict,
    analyze_predictions,
    compute_metric,
    get_row_weights,
)
from headrace.evaluate.importance import Importance
from headrace.evaluate.leakage import FeatureStrength
from headrace.evaluate.slices import find_slice_source
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.binary import BinaryScorer
from headrace.labels.ranking import LIST
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.recipe import sections as s
from headrace.transform.spec import RawColumn, TransformSpec
from tests.labels.scored_rows import LABEL, PROBABILITIES, PROBABILITY, TRUTH

SETTINGS = s.Evaluate(bootstrap=10, min_rows=2)
CLASSES = LabelSpec(kind="classes", classes=("a", "b", "c", "d"))
LABELS = LabelSpec(kind="multi_label", classes=("fog", "rain"))
NUMBER = LabelSpec(kind="regression", center=10.0, scale=2.0)
BINARY_ROWS = {"label": LABEL, "probability": PROBABILITY}
HISTORY = {"train_loss": [(0, 0.5), (1, 0.4)]}


def make_inputs(label: LabelSpec, rows: dict[str, np.ndarray], **changed: Any) -> AnalysisInputs:
    word = VocabularyFeature(name="word", column="w", values=("x", "y"))
    raw = (RawColumn(name="w", kind="string", nullable=True),)
    return AnalysisInputs(
        **{
            "spec": TransformSpec(raw=raw, derived=(), features=(word,), label=label),
            "threshold": 0.5,
            "test": rows,
            "validation": rows,
            "train": rows,
            "slices": (),
            "slice_columns": pa.table({"raw_w": ["x", "y"] * (len(rows["label"]) // 2)}),
            "history": HISTORY,
            **changed,
        }
    )


def test_metrics_counts_and_intervals_of_the_test_split() -> None:
    other = {"label": LABEL, "probability": 1 - PROBABILITY}
    inputs = make_inputs(LabelSpec(), BINARY_ROWS, validation=other, train={})
    analysis = analyze_predictions(inputs, SETTINGS)
    scorer = BinaryScorer(LABEL, PROBABILITY, 0.5)
    expected = {**scorer.count_outcomes(), **scorer(np.ones(8)), "threshold": 0.5}
    assert analysis.metrics == expected
    interval = analysis.intervals["accuracy"]
    assert interval.low <= interval.value == expected["accuracy"] <= interval.high
    assert analysis.metric == "roc_auc"


def test_the_threshold_table_is_of_the_validation_split() -> None:
    validation = {"label": np.array([0, 1]), "probability": np.array([0.5, 0.8], np.float32)}
    inputs = make_inputs(LabelSpec(), BINARY_ROWS, validation=validation, threshold=0.33)
    table = analyze_predictions(inputs, SETTINGS).thresholds
    assert [row["threshold"] for row in table[5:8]] == [0.3, 0.33, 0.35]
    assert len(table) == 19 + 1
    by_threshold = {row["threshold"]: row for row in table}
    assert by_threshold[0.5] == {
        "threshold": 0.5, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3),
        "accuracy": 0.5, "share positive": 1.0,
    }  # fmt: skip
    assert by_threshold[0.55]["accuracy"] == 1.0
    without = make_inputs(LabelSpec(), BINARY_ROWS, validation={})
    assert analyze_predictions(without, SETTINGS).thresholds[9]["accuracy"] == 5 / 8  # of the test


def test_slices_come_the_worst_first_by_the_metric_of_the_recipe() -> None:
    settings = s.Evaluate(bootstrap=0, min_rows=2, metric="accuracy")
    inputs = make_inputs(LabelSpec(), BINARY_ROWS)
    build: Any = SimpleNamespace(kept={}, stored={"w": StoredColumn(name="raw_w", type="string")})
    source = find_slice_source(s.Slice(columns=["word"]), inputs.spec, build)
    analysis = analyze_predictions(replace(inputs, slices=[source]), settings)
    # Rows 0, 2, 4, 6 are predicted right, wrong, wrong, right; of the others only row 3 wrong.
    accuracies = [(r.value, r.metrics["accuracy"]) for r in analysis.slices]
    assert accuracies == [("word=x", 0.5), ("word=y", 0.75)]
    assert "slices.png" in analysis.figures


ALWAYS = {"predictions_by_split.png", "learning_curves.png"}
OF_PROBABILITIES = {"confusion_matrix.png", "calibration.png", "thresholds.png", "roc_and_pr.png"}
FIGURES = [
    (LabelSpec(), BINARY_ROWS, OF_PROBABILITIES),
    (CLASSES, {"label": TRUTH, "probabilities": PROBABILITIES},
     {"confusion_matrix.png", "calibration.png"}),
    (LABELS, {"label": LABEL.reshape(4, 2), "probabilities": PROBABILITY.reshape(4, 2)},
     {*OF_PROBABILITIES, "labels.png"}),
    (NUMBER, {"label": LABEL, "value": PROBABILITY}, {"predictions_and_residuals.png"}),
]  # fmt: skip


@pytest.mark.parametrize(("label", "rows", "names"), FIGURES, ids=lambda v: getattr(v, "kind", ""))
def test_figures_by_the_kind_of_label(
    label: LabelSpec, rows: dict[str, np.ndarray], names: set[str]
) -> None:
    analysis = analyze_predictions(make_inputs(label, rows), SETTINGS)
    assert set(analysis.figures) == ALWAYS | names
    assert bool(analysis.thresholds) == label.has_threshold
    assert [row["label"] for row in analysis.labels] == (["fog", "rain"] if label is LABELS else [])


def test_figures_of_features_and_curves_are_left_out_where_there_is_nothing_to_plot() -> None:
    inputs = make_inputs(LabelSpec(), BINARY_ROWS, history={}, train={}, validation={})
    assert "learning_curves.png" not in analyze_predictions(inputs, SETTINGS).figures
    one_class = {"label": np.zeros(3), "probability": np.array([0.1, 0.2, 0.3])}
    assert "roc_and_pr.png" not in analyze_predictions(
        make_inputs(LabelSpec(), one_class), SETTINGS
    ).figures  # fmt: skip
    important = make_inputs(LabelSpec(), BINARY_ROWS, importances=[Importance("word", 0.1, 0.0)])
    assert "importance.png" in analyze_predictions(important, SETTINGS).figures


def test_an_analysis_is_dumped_as_plain_values() -> None:
    inputs = make_inputs(
        LabelSpec(),
        BINARY_ROWS,
        importances=[Importance("word", 0.1, 0.02)],
        strengths=[FeatureStrength("word", 0.97, 0.95)],
    )
    tree = analysis_to_dict(analyze_predictions(inputs, SETTINGS), inputs)
    assert json.loads(json.dumps(tree)) == tree
    assert list(tree) == ["metrics", "intervals", "thresholds", "importance", "single_features"]
    assert tree["importance"] == [{"feature": "word", "loss": 0.1, "spread": 0.02}]
    assert tree["single_features"] == [{"feature": "word", "strength": 0.97, "suspicious": True}]


def test_sample_weights_count_only_where_the_recipe_says_so() -> None:
    rows = {**BINARY_ROWS, "sample_weight": np.arange(8, dtype=np.float32)}
    assert get_row_weights(rows, s.Evaluate()).tolist() == [1] * 8
    weighted = s.Evaluate(weighted=True, bootstrap=0)
    assert get_row_weights(rows, weighted).tolist() == list(range(8))
    assert get_row_weights(BINARY_ROWS, weighted).tolist() == [1] * 8  # the dataset has none
    analysis = analyze_predictions(make_inputs(LabelSpec(), rows), weighted)
    scorer = BinaryScorer(LABEL, PROBABILITY, 0.5)
    assert analysis.metrics["roc_auc"] == scorer(np.arange(8.0))["roc_auc"]


def test_rows_that_all_weigh_nothing_are_refused() -> None:
    rows = {**BINARY_ROWS, "sample_weight": np.zeros(8, np.float32)}
    with pytest.raises(ModelError, match=r"sample weight of 0; set evaluate.weighted to false"):
        get_row_weights(rows, s.Evaluate(weighted=True))


def test_one_metric_of_some_rows() -> None:
    metric = compute_metric(PROBABILITY, LABEL, LabelSpec(), 0.5, "accuracy", np.ones(8))
    assert metric == 5 / 8
    undefined = PROBABILITY[3:], LABEL[3:]
    assert np.isnan(compute_metric(*undefined, LabelSpec(), 0.5, "roc_auc", np.ones(5)))


def test_one_weight_is_used_everywhere() -> None:
    """Rows of weight 2 are as good as two rows, in every number, table and figure."""
    weight = np.array([2, 1, 0, 3, 1, 1, 1, 1], np.float32)
    repeated = np.repeat(np.arange(8), weight.astype(int))
    settings = SETTINGS.model_copy(update={"weighted": True, "bootstrap": 0, "slices": []})
    weighted = analyze_predictions(
        make_inputs(
            LabelSpec(weighted=True), {**BINARY_ROWS, "sample_weight": weight}, threshold=0.5
        ),
        settings,
    )
    rows = {name: array[repeated] for name, array in BINARY_ROWS.items()}
    plain = analyze_predictions(make_inputs(LabelSpec(), rows, threshold=0.5), settings)
    metrics = dict(weighted.metrics)
    assert metrics.pop("rows") == 8
    assert metrics.pop("weight") == plain.metrics["rows"] == 10
    assert metrics == pytest.approx({n: v for n, v in plain.metrics.items() if n != "rows"})
    for row, expected in zip(weighted.thresholds, plain.thresholds, strict=True):
        assert row == pytest.approx(expected)
    matrices = [a.figures["confusion_matrix.png"][0].chart for a in (weighted, plain)]
    assert matrices[0].counts == matrices[1].counts
    for name in ("calibration.png", "thresholds.png"):
        charts = [a.figures[name][0].chart for a in (weighted, plain)]
        for line, other in zip(charts[0].lines, charts[1].lines, strict=True):
            np.testing.assert_allclose([line.x, line.y], [other.x, other.y])
    assert matrices[0].unit == "weight of rows"
    assert matrices[1].unit == "rows"


def test_lists_have_metrics_counts_and_intervals_of_drawn_lists() -> None:
    """Rows 0 to 3 are a list of three positives, which are ranked 1, 3 and 4; the rest has none."""
    rows = {**BINARY_ROWS, LIST: np.array([0, 0, 0, 0, 1, 1, 1, 1])}
    inputs = make_inputs(LabelSpec().with_cutoffs([1, 2]), rows)
    analysis = analyze_predictions(inputs, s.Evaluate(bootstrap=50, min_rows=2))
    metrics = analysis.metrics
    assert (metrics["ndcg_at_1"], metrics["recall_at_1"]) == (1.0, pytest.approx(1 / 3))
    assert metrics["recall_at_2"] == pytest.approx(1 / 3)
    assert (metrics["lists"], metrics["lists_without_positives"]) == (2, 1)
    # One list of two is drawn twice, or both once, or the other twice, which has no metric.
    assert len(analysis.drawn.draws) == 50
    assert {d.get("recall_at_1") for d in analysis.drawn.draws} == {1 / 3, None}
    assert analysis.intervals["recall_at_1"].low == pytest.approx(1 / 3)

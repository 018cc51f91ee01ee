"""What holds for every kind of label."""

import numpy as np
import pytest

from headrace.labels.kind import Form, LabelKind, Values, clip_probability
from headrace.labels.kinds import KINDS, find_label_kind, is_lower_better
from headrace.labels.spec import LabelSpec


def test_documents_list_the_kinds_in_this_order() -> None:
    assert list(KINDS) == ["binary", "classes", "multi_label", "regression", "count"]
    assert all(find_label_kind(name) is kind for name, kind in KINDS.items())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_agrees_with_itself(kind: LabelKind) -> None:
    assert kind.main_metric in kind.metrics
    assert kind.example_gate["metric"] in kind.metrics
    assert "loss" in kind.validation_metrics
    assert set(kind.tagged_metrics) <= set(kind.metrics)
    assert kind.main_metric in kind.tagged_metrics
    assert kind.is_higher_better(kind.example_gate["metric"])
    assert set(kind.served_columns) == set(kind.prediction_types)
    assert kind.has_threshold == (kind.form is Form.PROBABILITY)
    assert not kind.has_unit or kind.form is Form.NUMBER
    assert kind.has_text_values == (kind.values is not Values.NUMBER)
    assert kind.has_text_values == (kind.class_nouns is not None)
    assert 0 < kind.leakage_limit < 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_metrics_that_are_scored_have_a_direction(kind: LabelKind) -> None:
    """Counts, and metrics that say nothing by themselves, are the only ones without."""
    random = np.random.default_rng(0)
    classes = ("a", "b", "c", "d", "e", "f") if kind.has_text_values else ()
    label = LabelSpec(kind=kind.name, classes=classes)
    shape = (200, *kind.get_label_shape(label))
    truth = random.integers(0, 6 if kind.form is Form.CLASS else 2, shape)
    output = random.random((200, 6) if kind.has_text_values else shape)
    rows = {"label": truth.astype(kind.dtype), kind.output: output, "baseline": random.random(200)}
    scorer = kind.make_scorer(rows, label, 0.5)
    scores = {**scorer(np.ones(200)), **scorer.count_outcomes()}
    assert not set(kind.metrics) & set(kind.loss_metrics)
    assert set(scores) == {*kind.metrics, *kind.undirected_metrics}
    assert {kind.find_direction(name) for name in kind.undirected_metrics} == {None}


def test_lower_is_better_of_errors_alone() -> None:
    assert is_lower_better("loss")
    assert is_lower_better("mae")
    assert is_lower_better("log_loss")
    assert not is_lower_better("accuracy")
    assert not is_lower_better("r2")


def test_probabilities_have_a_finite_logarithm() -> None:
    clipped = clip_probability(np.array([0.0, 0.5, 1.0], np.float32))
    assert clipped.dtype == np.float64
    assert np.isfinite(np.log(clipped)).all()
    assert np.isfinite(np.log(1 - clipped)).all()

"""Fitting, without an engine: what the recipe asks for and what the train split's values give."""

import math
from typing import Any

import pyarrow as pa
import pytest

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.errors import LakeError
from headrace.features.hash import HashSection
from headrace.features.numbers import Clip
from headrace.features.scaled import MinMaxSection, RobustSection, StandardizeSection
from headrace.features.vocabulary import VocabularySection
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from headrace.transform.fit import FitInputs, compute_class_weights
from headrace.transform.summaries import LABEL_KEY
from tests.fitting import fit_table


def test_derived_columns_are_fitted() -> None:
    table = pa.table({"clock": [130, 1200, 1259, 9999]})
    features = {"hour": VocabularySection(kind="vocabulary")}
    derive = {"hour": s.HourOfDay(kind="hour_of_day", columns=["clock"])}
    (hour,) = fit_table(table, {"clock": "integer"}, features, derive=derive).features
    assert hour.values == ("12", "1")


def test_each_variable_is_asked_for_once() -> None:
    features = {
        "a": StandardizeSection(kind="standardize", column="x"),
        "b": MinMaxSection(kind="min_max", column="x"),
        "c": RobustSection(kind="robust", column="x", clip=Clip(iqr=1.0)),
        "d": VocabularySection(kind="vocabulary", column="x"),
        "e": VocabularySection(kind="vocabulary", column="x", min_count=5),
    }
    assert len(FitInputs({"x": "integer"}, {}, features).collect_summary_requests()) == 2


def test_labels_of_classes_are_in_the_order_of_numbers_then_texts() -> None:
    table = pa.table({"x": [1.0] * 5, LABEL_KEY: ["10", "9", "b", "-1", "a"]})
    label = s.Label(expression="y", kind="classes")
    spec = fit_table(table, {"x": "real"}, {"x": MinMaxSection(kind="min_max")}, label=label)
    assert spec.label == LabelSpec(kind="classes", classes=("-1", "9", "10", "a", "b"))


def test_a_standardized_label() -> None:
    table = pa.table({"x": [1.0] * 4, LABEL_KEY: [1.0, 2.0, 3.0, 6.0]})
    label = s.Label(expression="y", kind="regression", standardize=True, baseline="x")
    spec = fit_table(table, {"x": "real"}, {"x": MinMaxSection(kind="min_max")}, label=label)
    assert spec.label.center == pytest.approx(3.0)
    assert spec.label.scale == pytest.approx(math.sqrt(3.5))
    assert spec.label.baseline
    assert not spec.label.weighted


@pytest.mark.parametrize(
    ("values", "center", "scale"), [([2.0] * 4, 2.0, 1.0), ([1.0, 3.0], 2.0, 1.0), ([], 0.0, 1.0)]
)
def test_a_label_of_one_value_keeps_its_unit(
    values: list[float], center: float, scale: float
) -> None:
    table = pa.table({"x": [1.0] * len(values), LABEL_KEY: pa.array(values, pa.float64())})
    label = s.Label(expression="y", kind="regression", standardize=True)
    spec = fit_table(table, {"x": "real"}, {"x": HashSection(kind="hash", buckets=4)}, label=label)
    assert (spec.label.center, spec.label.scale) == (center, scale)


@pytest.mark.parametrize(
    ("weights", "weighted"),
    [({}, False), ({"class_weight": {"1": 2.0}}, True), ({"sample_weight": "x"}, True)],
)
def test_a_label_with_weights(weights: dict[str, Any], weighted: bool) -> None:
    table = pa.table({"x": [1.0, 2.0], LABEL_KEY: ["1", "2"]})
    label = s.Label(expression="y", kind="classes", **weights)
    spec = fit_table(table, {"x": "real"}, {"x": MinMaxSection(kind="min_max")}, label=label)
    assert spec.label.weighted is weighted


def test_labels_are_summarized_as_what_their_kind_has() -> None:
    texts = FitInputs({}, {}, {}, s.Label(expression="y", kind="classes"))
    assert isinstance(texts.summarize_labels(pa.array(["1", "2"])), TextCounts)
    numbers = FitInputs({}, {}, {}, s.Label(expression="y", kind="regression"))
    found = numbers.summarize_labels(pa.array([1.0, 2.0]))
    assert isinstance(found, NumberSummary)
    assert found.find_limits() == (1.0, 2.0)


def test_class_weights() -> None:
    texts = s.Label(expression="y", kind="classes", class_weight="balanced")
    fit_inputs = FitInputs({}, {}, {}, texts)
    found = fit_inputs.summarize_labels(pa.array(["a", "a", "a", "b"]))
    assert compute_class_weights(texts, found) == pytest.approx({"a": 4 / 6, "b": 2.0})
    binary = s.Label(expression="y", class_weight={"true": 5.0})
    found = FitInputs({}, {}, {}, binary).summarize_labels(pa.array([1.0, 0.0, 0.0]))
    assert compute_class_weights(binary, found) == {"true": 5.0, "false": 1.0}
    wrong = s.Label(expression="y", class_weight={"yes": 5.0})
    with pytest.raises(LakeError, match=r"names 'yes', which the train split does not have"):
        compute_class_weights(wrong, found)

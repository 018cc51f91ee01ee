"""Labels that are numbers: losses, metrics and predictions in two units, worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from headrace.errors import ModelError
from headrace.labels.kind import LabelSummary
from headrace.labels.regression import NumberScorer, Regression, find_number_range, measure_r2
from headrace.labels.spec import LabelSpec
from tests.labels.scored_rows import NUMBERS, TOLERANCE, draw_weighted_columns

KIND = Regression()
SPEC = LabelSpec(kind="regression", center=10.0, scale=2.0)


# --- the dataset ----------------------------------------------------------------------------------
def test_labels_are_standardized() -> None:
    labels, is_unseen = KIND.convert_labels(pa.chunked_array([[10.0, 14.0], [7.0]]), SPEC)
    assert labels.dtype == np.float32
    assert labels.tolist() == [0.0, 2.0, -1.5]
    assert not is_unseen.any()
    assert SPEC.array == ("float32", ())


def test_labels_that_are_all_the_same_are_a_problem() -> None:
    assert KIND.find_label_problem(LabelSummary(1200, 1200, low=2.5, high=2.5)) == (
        "every label of the train split is 2.5 (1,200 rows); there is nothing to learn"
    )
    assert KIND.find_label_problem(LabelSummary(2, 2, low=2.5, high=2.6)) is None


# --- the network ----------------------------------------------------------------------------------
def test_losses_by_hand() -> None:
    losses = KIND.make_row_losses()(tf.constant([1.0, -2.0]), tf.constant([0.5, 1.0]))
    assert losses.numpy().tolist() == [0.25, 9.0]


def test_numpy_and_tensorflow_compute_the_same_loss() -> None:
    truth, predicted = np.random.default_rng(3).normal(size=(2, 50)).astype(np.float32)
    losses = KIND.make_row_losses()(tf.constant(truth), tf.constant(predicted))
    mean_loss = KIND.compute_mean_loss(predicted, truth)
    assert mean_loss == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)


def test_validation_metrics_are_in_the_own_unit() -> None:
    truth, predicted = np.array([0.0, 1.0]), np.array([0.5, 2.0])
    # Off by 0.5 and 1 in units of 2.
    assert KIND.validate_predictions(truth, predicted, SPEC) == {"mae": 1.5}


# --- the prediction -------------------------------------------------------------------------------
def test_output_is_converted_to_the_own_unit() -> None:
    numbers = KIND.convert_output(np.array([0.0, 1.0], np.float32), SPEC)
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [10.0, 12.0]


def test_predicted_columns_by_hand() -> None:
    columns = KIND.predict_columns(np.array([10.0, 12.5]), SPEC, 0.5)
    assert {name: c.to_pylist() for name, c in columns.items()} == {"prediction": [10.0, 12.5]}
    assert {name: c.type for name, c in columns.items()} == dict(KIND.prediction_types)


def test_recorded_predictions_are_the_numbers() -> None:
    recorded = KIND.record_golden(np.array([10.0, 12.5]), SPEC, 1e-5)
    assert {name: c.to_pylist() for name, c in recorded.items()} == {"prediction": [10.0, 12.5]}
    assert KIND.golden_is_scaled


def test_the_range_of_predictions_leaves_out_the_outermost() -> None:
    assert find_number_range(np.arange(1001.0)) == (5.0, 995.0)
    assert KIND.find_prediction_range(np.full(9, 3.0)) == (2.5, 3.5)
    low, high = find_number_range(np.full(9, 1e9))
    assert (low, high) == (1e9 - 1e3, 1e9 + 1e3)


# --- evaluation -----------------------------------------------------------------------------------
def test_metrics_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 6.0])
    predicted = np.array([2.0, 2.0, 1.0, 6.0])
    scorer = NumberScorer(truth, predicted, np.array([1.0, 4.0, 3.0, 2.0], np.float32))
    metrics = scorer(np.ones(4))
    assert scorer.count_outcomes() == {"rows": 4}
    assert metrics["mse"] == pytest.approx((1 + 0 + 4 + 0) / 4)
    assert metrics["half_mse"] == pytest.approx((1 + 0 + 4 + 0) / 8)
    assert metrics["rmse"] == pytest.approx(np.sqrt(5 / 4))
    assert metrics["mae"] == pytest.approx(3 / 4)
    assert metrics["bias"] == pytest.approx((1 - 2) / 4)
    assert metrics["mape"] == pytest.approx((1 + 2 / 3) / 4)
    assert metrics["median_absolute_error"] == pytest.approx((0 + 1) / 2)
    assert (metrics["absolute_error_p90"], metrics["largest_error"]) == (2, 2)
    assert metrics["r2"] == pytest.approx(1 - 5 / (4 + 1 + 0 + 9))
    assert metrics["baseline_mae"] == pytest.approx((0 + 2 + 0 + 4) / 4)
    assert metrics["baseline_rmse"] == pytest.approx(np.sqrt((4 + 16) / 4))
    assert metrics["mae_over_baseline"] == pytest.approx(3 / 6)


def test_labels_that_are_all_the_same_have_no_r2() -> None:
    metrics = NumberScorer(np.full(3, 2.0), np.array([1.0, 2.0, 3.0]))(np.ones(3))
    assert "r2" not in metrics
    assert metrics["mae"] == pytest.approx(2 / 3)


def test_a_baseline_without_errors_has_no_ratio() -> None:
    truth = np.array([1.0, 2.0])
    metrics = NumberScorer(truth, truth + 1, truth)(np.ones(2))
    assert metrics["baseline_mae"] == 0
    assert "mae_over_baseline" not in metrics


def test_a_regression_is_scored_in_its_own_unit() -> None:
    rows = {"label": np.array([0.0, 1.0], np.float32), "value": np.array([0.5, 1.0], np.float32)}
    assert KIND.make_scorer(rows, SPEC, 0.5)(np.ones(2))["mae"] == pytest.approx(0.5)
    rows["baseline"] = np.array([9.0, 15.0], np.float32)  # in the own unit already
    assert KIND.make_scorer(rows, SPEC, 0.5)(np.ones(2))["baseline_mae"] == pytest.approx(2)


def test_a_number_has_no_table_of_labels() -> None:
    assert NumberScorer(np.ones(2), np.ones(2)).describe_labels(np.ones(2), ()) == []


@pytest.mark.parametrize("prediction", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_refused(prediction: float) -> None:
    with pytest.raises(ModelError, match="1 of 1 predictions are not finite"):
        NumberScorer(np.array([1.0]), np.array([prediction]))


def test_labels_of_two_datasets_are_equal_in_the_own_unit() -> None:
    other = LabelSpec(kind="regression", center=0.0, scale=1.0)
    truth = np.array([0.0, 1.0, 2.0], np.float32)  # 10, 12 and 14
    equal = KIND.find_equal_labels(truth, SPEC, np.array([10.0, 12.001, 14.0], np.float32), other)
    assert equal.tolist() == [True, False, True]


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e12])
@pytest.mark.parametrize("center", [0.0, 1.0, 1e6])
def test_equal_labels_are_found_at_any_size(size: float, center: float) -> None:
    """The same numbers with another center and scale, and others that are a thousandth apart."""
    numbers = size * np.array([0.0, 0.25, -1.0, 3.0, 1e-3])
    apart = numbers + 1e-3 * size * (1 if center <= 1 else 9)
    specs = (
        LabelSpec(kind="regression"),
        LabelSpec(kind="regression", center=size * center, scale=size * 0.7),
    )
    for spec in specs:
        for other in specs:
            stored, others, changed = (
                KIND.convert_labels(pa.chunked_array([values]), of)[0]
                for values, of in (
                    (numbers, spec), (numbers, other), (apart, other),
                )
            )  # fmt: skip
            assert KIND.find_equal_labels(stored, spec, others, other).all()
            if center < 1e6:  # there, float32 itself cannot tell them apart
                assert not KIND.find_equal_labels(stored, spec, changed, other).any()
    assert not KIND.find_equal_labels(
        np.zeros(1, np.float32), specs[0], np.array([size], np.float32), specs[0]
    ).any()


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e12])
def test_equal_labels_know_no_scale(unit: float) -> None:
    plain = LabelSpec(kind="regression")
    spec = LabelSpec(kind="regression", center=50 * unit, scale=3 * unit)
    numbers = np.linspace(-100, 100, 41) * unit
    standardized = ((numbers - spec.center) / spec.scale).astype(np.float32)
    assert KIND.find_equal_labels(standardized, spec, numbers.astype(np.float32), plain).all()
    other = (numbers + 0.001 * unit).astype(np.float32)
    assert not KIND.find_equal_labels(standardized, spec, other, plain).any()
    aligned = KIND.align_output(numbers.astype(np.float32), spec, plain)
    assert aligned == pytest.approx(standardized, rel=1e-5, abs=1e-5)


def test_strength_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert KIND.measure_strength(truth, truth, truth) == 1
    assert measure_r2(truth, np.array([1.0, 2.0, 2.0])) == pytest.approx(1 - 1 / 2)
    assert measure_r2(truth, np.array([3.0, 2.0, 1.0])) == 0
    assert measure_r2(np.ones(3), truth) == 0


@settings(max_examples=200, deadline=None)
@given(draw_weighted_columns(NUMBERS, NUMBERS))
def test_metrics_equal_those_of_scikit_learn(rows: list[np.ndarray]) -> None:
    truth, predicted, weight = rows
    # In eighths, whose sums are exact: where half the weight is reached exactly, rounding decides.
    weight = np.ceil(weight * 8) / 8
    metrics = NumberScorer(truth, predicted)(weight)
    options = {"sample_weight": weight}
    mse = sk.mean_squared_error(truth, predicted, **options)
    expected = {
        "mse": mse,
        "half_mse": mse / 2,
        "rmse": sk.root_mean_squared_error(truth, predicted, **options),
        "mae": sk.mean_absolute_error(truth, predicted, **options),
        "mape": sk.mean_absolute_percentage_error(truth, predicted, **options),
        "median_absolute_error": sk.median_absolute_error(truth, predicted, **options),
    }
    shared = {name: metrics[name] for name in expected}
    assert shared == pytest.approx(expected, abs=TOLERANCE, rel=TOLERANCE)
    if "r2" in metrics and len(truth) > 1:
        r2 = sk.r2_score(truth, predicted, **options)
        assert metrics["r2"] == pytest.approx(r2, abs=1e-6, rel=1e-7)


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_equal_weights_give_the_median(rows: list[tuple[float, float]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*rows, strict=True))
    metrics = NumberScorer(truth, predicted)(np.ones(len(rows)))
    assert metrics["median_absolute_error"] == np.median(np.abs(predicted - truth))

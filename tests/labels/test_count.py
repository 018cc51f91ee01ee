"""Labels that are counts: the Poisson loss and deviance, worked out by hand and beside others."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from sklearn import metrics as sk

from headrace.errors import LakeError
from headrace.labels.count import Count, CountScorer
from headrace.labels.kind import LabelSummary
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp
from headrace.transform.spec import TransformSpec
from tests.models.specs import NUMBER, make_spec

KIND = Count()
SPEC = LabelSpec(kind="count")


def test_negative_labels_are_a_problem_wherever_they_are() -> None:
    assert KIND.find_label_problem(LabelSummary(9, 9, low=-1, high=3)) == (
        "a label of kind count is 0 or more, and the smallest of the train split is -1"
    )
    assert KIND.find_label_problem(LabelSummary(9, 9, low=0, high=3)) is None
    assert "every label" in str(KIND.find_label_problem(LabelSummary(9, 9, low=2, high=2)))
    with pytest.raises(LakeError, match=r"label\.expression gives -2, and a label of kind count"):
        KIND.convert_labels(pa.chunked_array([[1.0, -2.0]]), SPEC)
    labels, unknown = KIND.convert_labels(pa.chunked_array([[1.0], [7.0]]), SPEC)
    assert (labels.dtype, labels.tolist(), unknown.any()) == (np.float32, [1.0, 7.0], False)


def test_losses_by_hand() -> None:
    # rate 2, counts 3 and 0: 2 - 3 ln 2 and 2
    logits = tf.math.log(tf.constant([2.0, 2.0]))
    losses = KIND.make_row_losses()(tf.constant([3.0, 0.0]), logits)
    np.testing.assert_allclose(losses, [2 - 3 * np.log(2), 2], rtol=1e-6)
    mean = KIND.compute_mean_loss(np.array([2.0, 2.0], np.float32), np.array([3.0, 0.0]))
    assert mean == pytest.approx((4 - 3 * np.log(2)) / 2)


def test_a_rate_of_0_has_a_finite_loss() -> None:
    assert np.isfinite(KIND.compute_mean_loss(np.zeros(2, np.float32), np.array([0.0, 4.0])))


def test_deviance_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    truth, rate = random.poisson(3, 200).astype(float), random.uniform(0.1, 9, 200)
    weight = random.integers(0, 3, 200).astype(float)
    scores = CountScorer(truth, rate)(weight)
    expected = sk.mean_poisson_deviance(truth, rate, sample_weight=weight)
    assert scores["poisson_deviance"] == pytest.approx(expected, rel=1e-9)
    assert scores["mae"] == pytest.approx(
        sk.mean_absolute_error(truth, rate, sample_weight=weight), rel=1e-9
    )


def test_the_network_ends_in_a_rate() -> None:
    spec: TransformSpec = make_spec(NUMBER, label=SPEC)
    model = build_model(Mlp(kind="mlp", hidden=[1]), spec)
    model.set_weights([np.array([[1.0]]), np.zeros(1), np.array([[0.5]]), np.array([0.1])])
    (rate,) = model({"numeric": tf.constant([[2.0]])}).numpy()
    assert rate == pytest.approx(np.exp(0.5 * 2 + 0.1), rel=1e-6)
    assert model.output_names == ["value"]

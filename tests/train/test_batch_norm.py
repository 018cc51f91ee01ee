"""Moments over the global batch: by hand, and as Keras's own layer has them without padding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.train.batch_norm import GlobalMoments
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads


def layer_model(*shape: int) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.5, epsilon=0.0)(inputs))


def moments_of(inputs: list, weights: list[float]) -> tuple[list[float], list[float]]:
    values = tf.constant(inputs, tf.float32)
    moments = GlobalMoments(layer_model(*values.shape[1:]), SoloCollectives())
    with moments.count_rows(tf.constant(weights)):
        mean, variance = moments.compute_moments(values, list(range(values.shape.rank - 1)))
    return mean.numpy().tolist(), variance.numpy().tolist()


def test_rows_count_once_whatever_they_weigh_and_padding_never() -> None:
    mean, variance = moments_of([[1.0], [3.0], [99.0]], [1.0, 2.5, 0.0])
    assert (mean, variance) == ([2.0], [1.0])


def test_every_pixel_of_an_image_counts() -> None:
    # two images of 1 x 2 pixels, one channel: 0, 2 and 4, 6; the third is padding
    mean, variance = moments_of([[[[0.0], [2.0]]], [[[4.0], [6.0]]], [[[9.0], [9.0]]]], [1, 1, 0])
    assert (mean, variance) == ([3.0], [(9 + 1 + 1 + 9) / 4])


def test_padding_alone_has_moments_of_zero() -> None:
    assert moments_of([[5.0]], [0.0]) == ([0.0], [0.0])


@pytest.mark.parametrize("shape", [(3,), (4, 2, 3)])
def test_without_padding_it_is_kerass_own_layer(shape: tuple[int, ...]) -> None:
    rows = np.random.default_rng(0).normal(2, 3, (8, *shape)).astype(np.float32)
    plain, replaced = layer_model(*shape), layer_model(*shape)
    moments = GlobalMoments(replaced, SoloCollectives())
    with moments.count_rows(tf.ones(8)):
        output = replaced(rows, training=True)
    np.testing.assert_allclose(output, plain(rows, training=True), atol=1e-5)
    for ours, theirs in zip(replaced.weights, plain.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    # inference takes the moving statistics, and needs no count of rows
    np.testing.assert_allclose(replaced(rows), plain(rows), atol=1e-5)


def test_moments_are_those_of_all_ranks_rows() -> None:
    rows = [([[1.0], [3.0]], [1.0, 1.0]), ([[5.0], [70.0]], [1.0, 0.0])]

    def compute_on_rank(collectives: ThreadCollectives) -> list[float]:
        inputs, weights = rows[collectives.rank]
        moments = GlobalMoments(layer_model(1), collectives)
        with moments.count_rows(tf.constant(weights)):
            mean, variance = moments.compute_moments(tf.constant(inputs), [0])
        return [float(mean[0]), float(variance[0])]

    # 1, 3 and 5: mean 3, squared distances 4, 0 and 4
    expected = [3.0, pytest.approx(8 / 3)]
    assert run_on_threads(2, compute_on_rank) == [expected, expected]


def test_training_without_a_count_of_rows_is_a_defect() -> None:
    model = layer_model(1)
    GlobalMoments(model, SoloCollectives())
    with pytest.raises(AssertionError, match="count_rows"):
        model(np.ones((2, 1), np.float32), training=True)

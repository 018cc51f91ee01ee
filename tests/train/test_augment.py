"""Augmentation: images and numbers by hand, and the same draws at any number of ranks."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from headrace.recipe.sections import Augment
from headrace.train.augment import Augmentation

STEP = tf.constant(5)
IMAGE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)[:, :, None]


def augmentation(rank: int = 0, size: int = 1, seed: int = 1, **settings: Any) -> Augmentation:
    return Augmentation(Augment(**settings), images=("photo",), seed=seed, rank=rank, size=size)


def image_batch(rows: int) -> dict[str, tf.Tensor]:
    return {
        "photo": tf.constant(np.repeat(IMAGE[None], rows, axis=0)),
        "label": tf.range(rows, dtype=tf.float32),
        "weight": tf.ones(rows),
    }


def number_batch(values: list[float], weights: list[float] | None = None) -> dict[str, tf.Tensor]:
    rows = len(values)
    return {
        "photo": tf.zeros([rows, 1, 1, 1], tf.uint8),
        "numeric": tf.constant(values)[:, None],
        "categorical": tf.ones([rows, 2], tf.int32),
        "label": tf.range(rows, dtype=tf.float32),
        "weight": tf.constant(weights or [1.0] * rows),
    }


def shift_image(down: int, right: int) -> np.ndarray:
    """Return the image moved by one pixel at most, zeros moved in."""
    padded = np.zeros((5, 5, 1), np.uint8)
    padded[1 + down : 4 + down, 1 + right : 4 + right] = IMAGE
    return padded[1:4, 1:4]


def test_a_recipe_without_augmentation_is_inactive() -> None:
    assert not augmentation().is_active
    assert augmentation(noise=0.1).is_active


@pytest.mark.parametrize(
    ("settings", "mirrored"),
    [
        ({"flip_horizontal": True}, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ({"flip_vertical": True}, [[7, 8, 9], [4, 5, 6], [1, 2, 3]]),
    ],
)
def test_about_half_of_the_images_are_mirrored(
    settings: dict[str, bool], mirrored: list[list[int]]
) -> None:
    batch = augmentation(**settings)(image_batch(400), STEP)
    images = batch["photo"].numpy()[..., 0].tolist()
    assert images.count(mirrored) + images.count(IMAGE[..., 0].tolist()) == 400
    assert 150 < images.count(mirrored) < 250
    assert batch["label"].numpy().tolist() == list(range(400))


def test_images_are_shifted_by_every_offset_within_the_limit() -> None:
    images = augmentation(shift=1)(image_batch(200), STEP)["photo"].numpy()
    assert images.dtype == np.uint8
    expected = {shift_image(d, r).tobytes() for d in (-1, 0, 1) for r in (-1, 0, 1)}
    assert {image.tobytes() for image in images} == expected


def test_noise_has_the_recipes_deviation_and_reaches_numbers_alone() -> None:
    plain = number_batch([7.0] * 4096)
    noisy = augmentation(noise=0.5)(plain, STEP)
    difference = noisy["numeric"].numpy() - 7.0
    assert np.std(difference) == pytest.approx(0.5, rel=0.05)
    assert np.mean(difference) == pytest.approx(0.0, abs=0.03)
    for name in ("photo", "categorical", "label", "weight"):
        np.testing.assert_array_equal(noisy[name], plain[name])
    assert plain["numeric"][0, 0] == 7.0  # the caller's batch is left alone


def test_mixup_mixes_each_row_with_its_neighbour() -> None:
    values = [0.0, 10.0, 20.0, 40.0, 5.0]
    batch = augmentation(mixup=0.4)(number_batch(values), STEP)
    share = batch["mixup_weight"].numpy()
    assert (share >= 0.5).all() and (share <= 1).all()
    assert share[:4].max() < 1
    # row i with row i ^ 1, and the last of an odd number with itself
    assert batch["mixup_label"].numpy().tolist() == [1, 0, 3, 2, 4]
    partners = np.array([10.0, 0.0, 40.0, 20.0, 5.0])
    np.testing.assert_allclose(
        batch["numeric"].numpy()[:, 0], share * values + (1 - share) * partners, rtol=1e-6
    )
    assert batch["label"].numpy().tolist() == [0, 1, 2, 3, 4]


def test_a_padding_row_is_mixed_into_no_other() -> None:
    batch = augmentation(mixup=0.4)(number_batch([3.0, 99.0], [1.0, 0.0]), STEP)
    assert batch["mixup_weight"].numpy()[0] == 1.0
    assert batch["numeric"].numpy()[0, 0] == 3.0


def test_mixed_images_are_rounded_to_whole_levels() -> None:
    batch = image_batch(2) | {"photo": tf.constant([[[[0]]], [[[201]]]], tf.uint8)}
    mixed = augmentation(mixup=0.4)(batch, STEP)
    share = mixed["mixup_weight"].numpy()
    assert mixed["photo"].dtype == tf.uint8
    levels = [201 * (1 - share[0]), 201 * share[1]]
    assert mixed["photo"].numpy().reshape(-1).tolist() == [round(float(level)) for level in levels]


def test_two_ranks_draw_what_one_rank_draws() -> None:
    settings: dict[str, Any] = {"noise": 0.5, "mixup": 0.4}
    values = [float(value) for value in range(8)]
    alone = augmentation(**settings)(number_batch(values), STEP)
    halves = [
        augmentation(rank, 2, **settings)(number_batch(values[rank * 4 : rank * 4 + 4]), STEP)
        for rank in (0, 1)
    ]
    for name in ("numeric", "mixup_weight"):
        together = np.concatenate([half[name].numpy() for half in halves])
        np.testing.assert_array_equal(together, alone[name])


def test_a_draw_belongs_to_its_seed_and_its_step() -> None:
    def draw(seed: int, step: int) -> list[float]:
        batch = augmentation(seed=seed, noise=1.0)(number_batch([0.0] * 3), tf.constant(step))
        return batch["numeric"].numpy()[:, 0].tolist()

    assert draw(1, 5) == draw(1, 5)
    assert len({tuple(draw(seed, step)) for seed, step in ((1, 5), (1, 6), (2, 5))}) == 3

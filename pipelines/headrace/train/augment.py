"""Augment train rows in the graph of the training step: flips, shifts, noise and mixup.

Every random number is a function of the seed, the step and the row's position in the global batch,
so the same rows are changed in the same way at any number of ranks, and after a resume.
"""

from collections.abc import Mapping

import tensorflow as tf

from headrace.recipe import sections as s

Batch = dict[str, tf.Tensor]

# The purpose of a random number, mixed into its seed.
_FLIP_H, _FLIP_V, _SHIFT, _NOISE, _MIX = range(5)


class Augmentation:
    """The augmentation of a recipe, applied to the batches of one rank.

    Attributes:
        is_active: whether anything is changed at all.
    """

    def __init__(
        self, settings: s.Augment, *, images: tuple[str, ...], seed: int, rank: int, size: int
    ) -> None:
        """
        Args:
            settings: section of the recipe.
            images: names of uint8 inputs of shape (batch, height, width, channels).
            seed: seed of the training.
            rank, size: this rank's rows are the `rank`-th of `size` equal parts of the batch.
        """
        self._settings, self._images = settings, images
        self._seed, self._rank, self._size = seed, rank, size
        self.is_active = settings != s.Augment()

    def __call__(self, batch: Mapping[str, tf.Tensor], step: tf.Tensor) -> Batch:
        """Return the augmented batch.

        With mixup it also has `mixup_label`, the partners' labels, and `mixup_weight` float32
        (batch,), the share of a row's own label.

        Args:
            batch: inputs, label, weight.
            step: int32 scalar, counted over all epochs.
        """
        settings, batch = self._settings, dict(batch)
        rows = tf.shape(batch["label"])[0]
        for name in self._images:
            batch[name] = self._augment_images(batch[name], rows, step)
        if settings.noise and "numeric" in batch:
            columns = batch["numeric"].shape[1]
            noise = self._draw_random(_NOISE, step, rows, tf.random.stateless_normal, (columns,))
            batch["numeric"] += settings.noise * noise
        if settings.mixup:
            batch = self._mix_rows(batch, rows, step)
        return batch

    def _augment_images(self, images: tf.Tensor, rows: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        settings = self._settings
        for is_enabled, purpose, axis in (
            (settings.flip_horizontal, _FLIP_H, 2),
            (settings.flip_vertical, _FLIP_V, 1),
        ):
            if is_enabled:
                uniform = self._draw_random(purpose, step, rows, tf.random.stateless_uniform)
                is_flipped = uniform[:, None, None, None] < 0.5
                images = tf.where(is_flipped, tf.reverse(images, [axis]), images)
        if settings.shift:
            images = self._shift_images(images, rows, step)
        return images

    def _shift_images(self, images: tf.Tensor, rows: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        pixels, height, width = self._settings.shift, images.shape[1], images.shape[2]
        uniform = self._draw_random(_SHIFT, step, rows, tf.random.stateless_uniform, (2,))
        offset = tf.cast(tf.floor(uniform * (2 * pixels + 1)), tf.int32)
        padded = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
        pixel_rows = offset[:, 0, None] + tf.range(height)
        pixel_columns = offset[:, 1, None] + tf.range(width)
        shifted = tf.gather(padded, pixel_rows, axis=1, batch_dims=1)
        return tf.gather(shifted, pixel_columns, axis=2, batch_dims=1)

    def _mix_rows(self, batch: Batch, rows: tf.Tensor, step: tf.Tensor) -> Batch:
        """Mix each row with its neighbour in the batch, and return the batch with their labels."""
        alpha = self._settings.mixup
        first = self._draw_random(_MIX, step, rows, _make_gamma_sampler(alpha))
        second = self._draw_random(_MIX + 1, step, rows, _make_gamma_sampler(alpha))
        share = tf.math.divide_no_nan(first, first + second)
        # The larger share is the row's own, so that its sample weight still fits.
        share = tf.maximum(share, 1 - share)
        partners = self._find_partners(rows)
        has_partner = tf.gather(batch["weight"], partners) > 0  # padding is nobody's partner
        share = tf.where(has_partner, share, tf.ones_like(share))
        for name in (*self._images, *(["numeric"] if "numeric" in batch else [])):
            value = tf.cast(batch[name], tf.float32)
            own_share = tf.reshape(share, [-1] + [1] * (value.shape.rank - 1))
            value = own_share * value + (1 - own_share) * tf.gather(value, partners)
            if batch[name].dtype == tf.uint8:
                value = tf.round(value)
            batch[name] = tf.cast(value, batch[name].dtype)
        return batch | {"mixup_label": tf.gather(batch["label"], partners), "mixup_weight": share}

    def _find_partners(self, rows: tf.Tensor) -> tf.Tensor:
        """Return each row's partner, i ^ 1 for row i; (batch,).

        No number of ranks separates these pairs. The last row of an odd batch is its own partner.
        """
        index = tf.range(rows)
        return tf.minimum(tf.bitwise.bitwise_xor(index, 1), rows - 1)

    def _draw_random(
        self,
        purpose: int,
        step: tf.Tensor,
        rows: tf.Tensor,
        draw: "tf.types.experimental.PolymorphicFunction",
        shape: tuple[int, ...] = (),
    ) -> tf.Tensor:
        """Draw numbers for the global batch, and return those of this rank: (rows, *shape)."""
        seed = tf.stack([tf.constant((self._seed * 16 + purpose) % 2**31, tf.int32), step])
        global_shape = tf.concat([[rows * self._size], tf.constant(shape, tf.int32)], 0)
        numbers = draw(global_shape, seed=seed)
        return numbers[self._rank * rows : (self._rank + 1) * rows]


def _make_gamma_sampler(alpha: float) -> "tf.types.experimental.PolymorphicFunction":
    """Return a function like `tf.random.stateless_uniform` that draws from Gamma(alpha, 1)."""

    def draw_gamma(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_gamma(shape, seed=seed, alpha=alpha)

    return draw_gamma

"""Changes of train rows, in the step's graph.

Every random number belongs to a row's place in the global batch and to the step: the same rows are
changed in the same way at any number of ranks, and after a resume.
"""

from collections.abc import Mapping

import tensorflow as tf

from headrace.recipe import sections as s

Batch = dict[str, tf.Tensor]

# What a random number is for; mixed into its seed.
_FLIP_H, _FLIP_V, _SHIFT, _NOISE, _MIX = range(5)


class Augmentation:
    """What a recipe asks for, on batches of one rank.

    Attributes:
        active: whether anything is changed at all.
    """

    def __init__(
        self, settings: s.Augment, *, images: tuple[str, ...], seed: int, rank: int, size: int
    ) -> None:
        """
        Args:
            settings: of the recipe.
            images: names of uint8 inputs of shape (batch, height, width, channels).
            seed: of the training.
            rank, size: this rank's rows are the `rank`-th of `size` equal parts of the batch.
        """
        self._settings, self._images = settings, images
        self._seed, self._rank, self._size = seed, rank, size
        self.active = settings != s.Augment()

    def __call__(self, batch: Mapping[str, tf.Tensor], step: tf.Tensor) -> Batch:
        """The changed batch; with mixup also `mixed_with` (labels) and `mixed_share` float32.

        Args:
            batch: inputs, label, weight.
            step: int32 scalar, counted over all epochs.
        """
        settings, batch = self._settings, dict(batch)
        rows = tf.shape(batch["label"])[0]
        for name in self._images:
            batch[name] = self._image(batch[name], rows, step)
        if settings.noise and "numeric" in batch:
            columns = batch["numeric"].shape[1]
            noise = self._random(_NOISE, step, rows, tf.random.stateless_normal, (columns,))
            batch["numeric"] += settings.noise * noise
        if settings.mixup:
            batch = self._mixed(batch, rows, step)
        return batch

    def _image(self, images: tf.Tensor, rows: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        settings = self._settings
        for asked, purpose, axis in (
            (settings.flip_horizontal, _FLIP_H, 2),
            (settings.flip_vertical, _FLIP_V, 1),
        ):
            if asked:
                chosen = self._random(purpose, step, rows, tf.random.stateless_uniform) < 0.5
                turned = tf.reverse(images, [axis])
                images = tf.where(chosen[:, None, None, None], turned, images)
        if settings.shift:
            images = self._shifted(images, rows, step)
        return images

    def _shifted(self, images: tf.Tensor, rows: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        pixels, height, width = self._settings.shift, images.shape[1], images.shape[2]
        uniform = self._random(_SHIFT, step, rows, tf.random.stateless_uniform, (2,))
        offset = tf.cast(tf.floor(uniform * (2 * pixels + 1)), tf.int32)
        padded = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
        down = offset[:, 0, None] + tf.range(height)
        along = offset[:, 1, None] + tf.range(width)
        found = tf.gather(padded, down, axis=1, batch_dims=1)
        return tf.gather(found, along, axis=2, batch_dims=1)

    def _mixed(self, batch: Batch, rows: tf.Tensor, step: tf.Tensor) -> Batch:
        """Neighbours with each other, in pairs."""
        alpha = self._settings.mixup
        first = self._random(_MIX, step, rows, _gamma(alpha))
        second = self._random(_MIX + 1, step, rows, _gamma(alpha))
        share = tf.math.divide_no_nan(first, first + second)
        # The larger part is the row's own, so that its weight is still its own.
        share = tf.maximum(share, 1 - share)
        other = self._partners(rows)
        there = tf.gather(batch["weight"], other) > 0
        share = tf.where(there, share, tf.ones_like(share))
        for name in (*self._images, *(["numeric"] if "numeric" in batch else [])):
            value = tf.cast(batch[name], tf.float32)
            part = tf.reshape(share, [-1] + [1] * (value.shape.rank - 1))
            value = part * value + (1 - part) * tf.gather(value, other)
            if batch[name].dtype == tf.uint8:
                value = tf.round(value)
            batch[name] = tf.cast(value, batch[name].dtype)
        return batch | {"mixed_with": tf.gather(batch["label"], other), "mixed_share": share}

    def _partners(self, rows: tf.Tensor) -> tf.Tensor:
        """Row i with i ^ 1: pairs of neighbours, which no number of ranks parts; (batch,)."""
        index = tf.range(rows)
        return tf.minimum(tf.bitwise.bitwise_xor(index, 1), rows - 1)

    def _random(
        self,
        purpose: int,
        step: tf.Tensor,
        rows: tf.Tensor,
        draw: "tf.types.experimental.PolymorphicFunction",
        shape: tuple[int, ...] = (),
    ) -> tf.Tensor:
        """Numbers of this rank's rows, out of those of the whole global batch: (rows, *shape)."""
        seed = tf.stack([tf.constant((self._seed * 16 + purpose) % 2**31, tf.int32), step])
        whole = draw(tf.concat([[rows * self._size], tf.constant(shape, tf.int32)], 0), seed=seed)
        return whole[self._rank * rows : (self._rank + 1) * rows]


def _gamma(alpha: float) -> "tf.types.experimental.PolymorphicFunction":
    def draw(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_gamma(shape, seed=seed, alpha=alpha)

    return draw

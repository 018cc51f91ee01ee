"""Define the kind `image`: an image as it is, uint8 (height, width, channels); zeros where missing.

A raw value is a PNG or JPEG file, or a list of height x width x channels integers in that order.
"""

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.features.kind import ColumnSection, FeatureKind, FittedColumnFeature
from headrace.features.lists import pad_list_tensors, pad_lists
from headrace.features.text_index import TextIndex
from headrace.recipe_section import Count
from headrace.schema import ColumnType

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable

_PILLOW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_SHOWN_LEVELS = 16


class ImageSection(ColumnSection):
    """PNG or JPEG bytes, or a list of height x width x channels integers; kept as uint8."""

    accepted_types = frozenset({ColumnType.BINARY, ColumnType.INTEGERS})

    kind: Literal["image"]
    height: Count
    width: Count
    channels: Literal[1, 3, 4] = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels."""
        return self.height, self.width, self.channels


class ImageFeature(FittedColumnFeature):
    """An image as it is, 0 to 255; the model scales it."""

    kind: Literal["image"] = "image"
    name: str
    column: str
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels."""
        return self.height, self.width, self.channels


class ImageKind(FeatureKind[ImageSection, ImageFeature]):
    """An image as it is."""

    form = "image"
    sections = (ImageSection,)
    fitted = ImageFeature

    def fit_feature(self, name: str, section: ImageSection, statistics: Statistics) -> ImageFeature:
        """Return the feature; nothing is learnt."""
        return ImageFeature(
            name=name,
            column=section.column or name,
            height=section.height,
            width=section.width,
            channels=section.channels,
        )

    def compute_arrays(
        self, feature: ImageFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the pixels, uint8 (n, height, width, channels).

        Image files are decoded one by one: there is no vectorised decoder.

        Raises:
            ValueError: a file is no such image.
        """
        values = columns[feature.column]
        if values.is_list:
            elements = np.where(values.missing, 0, np.clip(np.asarray(values.array), 0, 255))
            flat = pad_lists(values, elements.astype(np.uint8), math.prod(feature.shape), 0)
            return {feature.name: flat.reshape(-1, *feature.shape)}
        pixels = np.zeros((len(values.array), *feature.shape), np.uint8)
        for row, file in enumerate(values.array.to_pylist()):
            if file is not None:
                pixels[row] = decode_image(file, feature.shape)
        return {feature.name: pixels}

    def compute_tensors(
        self,
        feature: ImageFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the pixels, uint8 (batch, height, width, channels)."""
        column = columns[feature.column]
        if column.kind == "integers":
            return {feature.name: _shape_pixel_tensors(column, feature)}
        return {feature.name: _decode_file_tensors(column, feature)}

    def list_axes(
        self, feature: ImageFeature, section: ImageSection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return one axis of all pixels' levels."""
        edges = tuple(float(edge) for edge in np.linspace(0, 256, _SHOWN_LEVELS + 1))
        return [HistogramAxis(feature.name, edges, edges)]

    def make_example_values(
        self, feature: ImageFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return a black and a white image as lists of pixels; files are left to the caller."""
        pixels = math.prod(feature.shape)
        return ([0] * pixels, [255] * pixels) if in_lists else None


def decode_image(file: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of a PNG or JPEG file, uint8 (height, width, channels).

    The file's own size and mode must be those of the shape: converting or resizing here and in the
    model's graph would not give equal pixels.

    Raises:
        ValueError: says in one sentence what the file is and what is wanted.
    """
    from PIL import Image as PillowImage

    height, width, channels = shape
    mode = _PILLOW_MODES[channels]
    try:
        with PillowImage.open(io.BytesIO(file), formats=("PNG", "JPEG")) as image:
            if image.size != (width, height) or image.mode != mode:
                raise ValueError(
                    f"an image of {image.height} x {image.width}, mode {image.mode}; "
                    f"wanted {height} x {width}, mode {mode}"
                )
            return np.asarray(image, np.uint8).reshape(shape)
    except (OSError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise ValueError(f"no readable PNG or JPEG file: {error}") from None


def find_image_problem(file: bytes | None, shape: tuple[int, ...]) -> str | None:
    """Return why `decode_image` refuses the file, or None; a missing file is no problem."""
    if file is None:
        return None
    try:
        decode_image(file, shape)
    except ValueError as error:
        return str(error)
    return None


def _shape_pixel_tensors(column: "Column", feature: ImageFeature) -> "tf.Tensor":
    import tensorflow as tf

    flat = pad_list_tensors(column, math.prod(feature.shape))
    limited = tf.clip_by_value(flat.tensor, tf.constant(0, tf.int64), tf.constant(255, tf.int64))
    return tf.reshape(tf.cast(limited, tf.uint8), (-1, *feature.shape))


def _decode_file_tensors(column: "Column", feature: ImageFeature) -> "tf.Tensor":
    import tensorflow as tf

    def decode_file(file: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.io.is_jpeg(file),  # libjpeg's accurate transform is Pillow's too
            lambda: tf.io.decode_jpeg(file, feature.channels, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(file, feature.channels),
        )

    def decode_row(row: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        file, missing = row
        return tf.cond(
            missing,
            lambda: tf.zeros(feature.shape, tf.uint8),
            lambda: tf.ensure_shape(decode_file(file), feature.shape),
        )

    signature = tf.TensorSpec(feature.shape, tf.uint8)
    return tf.map_fn(decode_row, (column.tensor, column.missing), fn_output_signature=signature)

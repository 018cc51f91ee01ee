"""Execute a `TransformSpec` inside the model: Keras layers on TensorFlow tensors.

Raw tensors have shape (batch,), those of list kinds (batch, width) padded at the end, and one
encoding of *missing* a kind, because a TensorFlow tensor has no nulls: `MISSING_INTEGER` in int64,
NaN (or an infinity) in float64, and in strings and bytes the one byte 0xFF, which is no UTF-8
text and no image file. The semantics are in `spec.py`; `arrow.py` is the other
execution of them, `graph_columns.py` has the raw and derived columns.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from headrace.transform.columns import LIST_KINDS
from headrace.transform.graph_columns import (
    MISSING_STRING,
    TENSOR_DTYPE,
    Column,
    derive,
    read,
    real,
    text,
)
from headrace.transform.kernels import FLOAT32_MAX, PUNCTUATION, WHITE_SPACE
from headrace.transform.spec import (
    FIRST_UNKNOWN_ID,
    MISSING_ID,
    SEPARATOR,
    BucketsFeature,
    CyclicFeature,
    HashFeature,
    ImageFeature,
    OnScale,
    ScaledFeature,
    SeriesFeature,
    TokensFeature,
    TransformSpec,
    VocabularyFeature,
)

__all__ = ["MISSING_STRING", "TENSOR_DTYPE", "TransformLayer", "raw_inputs", "raw_signature"]


def raw_signature(spec: TransformSpec) -> dict[str, tf.TensorSpec]:
    """What each raw tensor is, by tensor name."""
    return {
        tensor: tf.TensorSpec(
            (None, None) if raw.kind in LIST_KINDS else (None,), TENSOR_DTYPE[raw.kind], tensor
        )
        for tensor, raw in spec.tensors.items()
    }


def raw_inputs(spec: TransformSpec) -> dict[str, keras.KerasTensor]:
    """One Keras input a raw column by tensor name: shape (batch,), of list kinds (batch, None)."""
    return {
        tensor: keras.Input(shape=item.shape[1:], dtype=item.dtype.name, name=tensor)
        for tensor, item in raw_signature(spec).items()
    }


class TransformLayer(keras.layers.Layer):
    """Raw tensors in, the model's inputs out.

    Input: dict of tensor name -> tensor as `raw_inputs` makes them.
    Output: dict of `spec.inputs`: their names, dtypes and shapes.
    """

    def __init__(self, spec: TransformSpec, **options: Any) -> None:
        # float64 inputs must stay float64 until the last step: no autocast to the policy's dtype.
        super().__init__(autocast=False, **{**options, "trainable": False})
        self.spec = spec
        self._tables = {
            f.name: _table(f)
            for f in spec.features
            if isinstance(f, VocabularyFeature | TokensFeature) and f.values
        }

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        columns = {c.name: read(raw[name], c.kind) for name, c in self.spec.tensors.items()}
        found = {d.name: derive(d, [columns[c] for c in d.columns]) for d in self.spec.derived}
        columns |= found
        outputs: dict[str, tf.Tensor] = {}
        for feature in self.spec.features:
            outputs |= self._feature(feature, columns)
        return {
            name: (
                tf.stack([outputs[column] for column in item.columns], axis=1)
                if name in ("numeric", "categorical")
                else outputs[name]
            )
            for name, item in self.spec.inputs.items()
        }

    def compute_output_spec(self, raw: Any) -> dict[str, keras.KerasTensor]:
        return {
            name: keras.KerasTensor((None, *item.shape), item.dtype)
            for name, item in self.spec.inputs.items()
        }

    def _feature(self, feature: Any, columns: dict[str, Column]) -> dict[str, tf.Tensor]:
        name = feature.name
        if isinstance(feature, HashFeature):
            return {name: _hash([columns[c] for c in feature.columns], feature.buckets)}
        column = columns[feature.column]
        if isinstance(feature, ScaledFeature):
            value, missing = _scaled(column, feature)
            found = {name: value}
            if feature.indicator:
                found[f"{name}_missing"] = tf.cast(missing, tf.float32)
            return found
        if isinstance(feature, CyclicFeature):
            sine, cosine = _cyclic(column, feature.period)
            return {f"{name}_sin": sine, f"{name}_cos": cosine}
        if isinstance(feature, BucketsFeature):
            return {name: _buckets(column, feature.boundaries)}
        if isinstance(feature, VocabularyFeature):
            return {name: self._lookup(column, feature, feature.fill)}
        if isinstance(feature, TokensFeature):
            return {name: self._tokens(column, feature)}
        if isinstance(feature, SeriesFeature):
            return {name: _scaled(_padded(column, feature.length), feature)[0]}
        return {name: _image(column, feature)}

    def _lookup(
        self, column: Column, feature: "VocabularyFeature | TokensFeature", fill: str | None
    ) -> tf.Tensor:
        words, missing = text(column), column.missing
        if fill is not None:
            words = tf.where(missing, tf.constant(fill.encode()), words)
        ids = tf.fill(tf.shape(words), tf.constant(FIRST_UNKNOWN_ID, tf.int64))
        if feature.unknown_ids > 1:
            ids += tf.strings.to_hash_bucket_fast(words, feature.unknown_ids)
        if feature.values:
            known = self._tables[feature.name].lookup(words)
            ids = tf.where(known >= 0, known, ids)
        if fill is None:
            ids = tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids)
        return tf.cast(ids, tf.int32)

    def _tokens(self, column: Column, feature: TokensFeature) -> tf.Tensor:
        if column.kind == "string":
            column = _words(column, feature)
        column = _padded(column, feature.length)
        if feature.buckets is not None:
            return _hash([column], feature.buckets)
        return self._lookup(column, feature, None)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "spec": self.spec.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransformLayer":
        return cls(**{**config, "spec": TransformSpec.from_json(config["spec"])})


def _table(feature: "VocabularyFeature | TokensFeature") -> tf.lookup.StaticHashTable:
    keys = tf.constant([value.encode() for value in feature.values], tf.string)
    first = FIRST_UNKNOWN_ID + feature.unknown_ids
    ids = tf.range(first, first + len(feature.values), dtype=tf.int64)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, ids), default_value=-1
    )


def _scaled(column: Column, feature: OnScale) -> tuple[tf.Tensor, tf.Tensor]:
    numbers, missing = real(column), column.missing
    low, high = feature.clip
    if low is not None:
        numbers = tf.maximum(numbers, tf.constant(low, tf.float64))
    if high is not None:
        numbers = tf.minimum(numbers, tf.constant(high, tf.float64))
    if feature.log1p:
        missing = tf.logical_or(missing, numbers <= -1)
        numbers = tf.math.log1p(tf.where(missing, tf.zeros_like(numbers), numbers))
    numbers = tf.where(missing, tf.constant(feature.fill, tf.float64), numbers)
    result = (numbers - feature.center) / feature.scale
    return tf.cast(tf.clip_by_value(result, -FLOAT32_MAX, FLOAT32_MAX), tf.float32), missing


def _cyclic(column: Column, period: float) -> tuple[tf.Tensor, tf.Tensor]:
    """As `kernels.cyclic`, which says why so."""
    rest = tf.truncatemod(real(column), tf.constant(period, tf.float64))
    far = tf.minimum(tf.abs(rest), period - tf.abs(rest))
    behind = tf.not_equal(rest < 0, tf.abs(rest) > period / 2)
    up = tf.where(far > period / 4, period / 2 - far, far)
    sine = tf.sin(up / period * (2 * math.pi))
    cosine = tf.sin((period / 4 - far) / period * (2 * math.pi))
    both = (tf.where(behind, -sine, sine), cosine)
    zero = tf.zeros_like(sine)
    found = [tf.cast(tf.where(column.missing, zero, wave), tf.float32) for wave in both]
    return found[0], found[1]


def _buckets(column: Column, boundaries: tuple[float, ...]) -> tf.Tensor:
    limits = tf.constant(boundaries, tf.float64, shape=(len(boundaries),))
    found = tf.searchsorted(limits, real(column), side="right") + 1
    return tf.where(column.missing, tf.constant(MISSING_ID, tf.int32), found)


def _hash(columns: list[Column], buckets: int) -> tf.Tensor:
    joined, missing = text(columns[0]), columns[0].missing
    for column in columns[1:]:
        joined = tf.strings.join([joined, text(column)], SEPARATOR)
        missing = tf.logical_or(missing, column.missing)
    ids = 1 + tf.strings.to_hash_bucket_fast(joined, buckets)
    return tf.cast(tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids), tf.int32)


def _words(column: Column, feature: TokensFeature) -> Column:
    """The words of a text column as a list column."""
    words = tf.where(column.missing, tf.constant(b""), column.tensor)
    if feature.lower:
        words = tf.strings.lower(words)
    if feature.strip_punctuation:
        words = tf.strings.regex_replace(words, PUNCTUATION, " ")
    words = tf.strings.regex_replace(words, WHITE_SPACE, " ")
    split = tf.strings.split(tf.strings.regex_replace(words, "^ | $", ""), " ")
    return read(split.to_tensor(default_value=MISSING_STRING), "strings", empty_is_missing=True)


def _padded(column: Column, length: int) -> Column:
    """The list column with exactly `length` elements a row, further ones missing."""
    width = tf.maximum(length - tf.shape(column.tensor)[1], 0)
    more = [[0, 0], [0, width]]
    tensor = tf.pad(column.tensor, more)[:, :length]
    missing = tf.pad(column.missing, more, constant_values=True)[:, :length]
    return Column(
        LIST_KINDS[column.kind],
        tf.ensure_shape(tensor, (None, length)),
        tf.ensure_shape(missing, (None, length)),
    )


def _image(column: Column, feature: ImageFeature) -> tf.Tensor:
    if column.kind == "integers":
        size = feature.height * feature.width * feature.channels
        flat = _padded(column, size)
        limited = tf.clip_by_value(
            flat.tensor, tf.constant(0, tf.int64), tf.constant(255, tf.int64)
        )
        return tf.reshape(tf.cast(limited, tf.uint8), (-1, *feature.shape))

    def decode(file: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            tf.io.is_jpeg(file),  # libjpeg's accurate transform is Pillow's too
            lambda: tf.io.decode_jpeg(file, feature.channels, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(file, feature.channels),
        )

    def one(inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        file, missing = inputs
        return tf.cond(
            missing,
            lambda: tf.zeros(feature.shape, tf.uint8),
            lambda: tf.ensure_shape(decode(file), feature.shape),
        )

    signature = tf.TensorSpec(feature.shape, tf.uint8)
    return tf.map_fn(one, (column.tensor, column.missing), fn_output_signature=signature)

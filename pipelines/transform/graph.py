"""Execute a `TransformSpec` inside the model: Keras layers on TensorFlow tensors.

Raw tensors have shape (batch,) and one encoding of *missing* a kind, because a TensorFlow tensor
has no nulls: `MISSING_INTEGER` in int64, NaN (or an infinity) in float64, and in strings the byte
0xFF, which no UTF-8 text contains. The semantics are in `spec.py`; `arrow.py` is the other
execution of them.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.transform.spec import (
    FIRST_ID,
    MISSING_ID,
    MISSING_INTEGER,
    UNKNOWN_ID,
    HashFeature,
    RawKind,
    StandardizeFeature,
    TransformSpec,
    VocabularyFeature,
)

MISSING_STRING = b"\xff"
TENSOR_DTYPE: dict[RawKind, str] = {"integer": "int64", "real": "float64", "string": "string"}
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def raw_inputs(spec: TransformSpec) -> dict[str, keras.KerasTensor]:
    """One Keras input a raw column by tensor name, shape (batch,), dtype by kind."""
    return {
        tensor: keras.Input(shape=(), dtype=TENSOR_DTYPE[raw.kind], name=tensor)
        for tensor, raw in spec.tensors.items()
    }


class TransformLayer(keras.layers.Layer):
    """Raw tensors in, the model's inputs out.

    Input: dict of tensor name -> tensor of shape (batch,) as `raw_inputs` makes them.
    Output: dict with `numeric` float32 (batch, numeric features) and `categorical` int32
    (batch, categorical features); a group without features is left out.
    """

    def __init__(self, spec: TransformSpec, **options: Any) -> None:
        # float64 inputs must stay float64 until the last step: no autocast to the policy's dtype.
        super().__init__(autocast=False, **{**options, "trainable": False})
        self.spec = spec
        self._tables = {
            feature.name: _table(feature)
            for feature in spec.features
            if isinstance(feature, VocabularyFeature) and feature.values
        }

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        columns = {c.name: _read(raw[name], c.kind) for name, c in self.spec.tensors.items()}
        for derived in self.spec.derived:
            columns[derived.name] = _derive(derived.op, [columns[c] for c in derived.columns])
        groups = {}
        if self.spec.numeric:
            numeric = [_standardize(columns[f.column], f) for f in self.spec.numeric]
            groups["numeric"] = tf.stack(numeric, axis=1)
        if self.spec.categorical:
            ids = [self._ids(columns[f.column], f) for f in self.spec.categorical]
            groups["categorical"] = tf.stack(ids, axis=1)
        return groups

    def compute_output_spec(self, raw: Any) -> dict[str, keras.KerasTensor]:
        groups = {}
        if self.spec.numeric:
            groups["numeric"] = keras.KerasTensor((None, len(self.spec.numeric)), "float32")
        if self.spec.categorical:
            groups["categorical"] = keras.KerasTensor((None, len(self.spec.categorical)), "int32")
        return groups

    def _ids(self, column: "_Column", feature: "VocabularyFeature | HashFeature") -> tf.Tensor:
        text, missing = _text(column), column.missing
        if isinstance(feature, HashFeature):
            ids = 1 + tf.strings.to_hash_bucket_fast(text, feature.buckets)
        elif feature.values:
            ids = self._tables[feature.name].lookup(text)
        else:
            ids = tf.fill(tf.shape(text), tf.constant(UNKNOWN_ID, tf.int64))
        return tf.cast(tf.where(missing, tf.constant(MISSING_ID, tf.int64), ids), tf.int32)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "spec": self.spec.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransformLayer":
        return cls(**{**config, "spec": TransformSpec.from_json(config["spec"])})


class _Column:
    def __init__(self, kind: RawKind, tensor: tf.Tensor, missing: tf.Tensor) -> None:
        self.kind, self.tensor, self.missing = kind, tensor, missing


def _table(feature: VocabularyFeature) -> tf.lookup.StaticHashTable:
    keys = tf.constant([value.encode() for value in feature.values], tf.string)
    ids = tf.range(FIRST_ID, FIRST_ID + len(feature.values), dtype=tf.int64)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, ids), default_value=UNKNOWN_ID
    )


def _read(tensor: tf.Tensor, kind: RawKind) -> _Column:
    if kind == "string":
        return _Column(kind, tensor, tf.equal(tensor, MISSING_STRING))
    if kind == "integer":
        missing = tf.equal(tensor, tf.constant(MISSING_INTEGER, tf.int64))
        return _Column(kind, tf.where(missing, tf.zeros_like(tensor), tensor), missing)
    missing = tf.logical_not(tf.math.is_finite(tensor))
    return _Column(kind, tf.where(missing, tf.zeros_like(tensor), tensor), missing)


def _derive(op: str, inputs: list[_Column]) -> _Column:
    missing = inputs[0].missing
    for column in inputs[1:]:
        missing = tf.logical_or(missing, column.missing)
    if op == "difference":
        real = _real(inputs[0]) - _real(inputs[1])
        missing = tf.logical_or(missing, tf.logical_not(tf.math.is_finite(real)))
        return _Column("real", tf.where(missing, tf.zeros_like(real), real), missing)
    if op == "day_of_week":
        value, valid = _day_of_week(*(column.tensor for column in inputs))
    else:
        clock = inputs[0].tensor
        hour, minute = clock // 100, clock % 100
        valid = (clock >= 0) & (hour <= 24) & (minute < 60)
        value = hour if op == "hour_of_day" else hour * 60 + minute
    return _Column("integer", value, tf.logical_or(missing, tf.logical_not(valid)))


def _day_of_week(y: tf.Tensor, m: tf.Tensor, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    one = tf.ones_like(y)
    in_range = (y >= 1) & (y <= 9999) & (m >= 1) & (m <= 12) & (d >= 1)
    year, month = tf.where(in_range, y, one), tf.where(in_range, m, one)
    day = tf.where(in_range & (d <= 31), d, one)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    lengths = tf.constant([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], tf.int64)
    shifts = tf.constant([0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4], tf.int64)
    length = tf.gather(lengths, month - 1) + tf.cast(leap & (month == 2), tf.int64)
    year = year - tf.cast(month < 3, tf.int64)
    sunday_based = (
        year + year // 4 - year // 100 + year // 400 + tf.gather(shifts, month - 1) + day
    ) % 7
    weekday = tf.where(sunday_based == 0, tf.constant(7, tf.int64), sunday_based)
    return weekday, in_range & (d <= length)


def _standardize(column: _Column, feature: StandardizeFeature) -> tf.Tensor:
    scaled = (_real(column) - feature.mean) / feature.scale
    scaled = tf.where(column.missing, tf.zeros_like(scaled), scaled)
    return tf.cast(tf.clip_by_value(scaled, -_FLOAT32_MAX, _FLOAT32_MAX), tf.float32)


def _real(column: _Column) -> tf.Tensor:
    return tf.cast(column.tensor, tf.float64)


def _text(column: _Column) -> tf.Tensor:
    return column.tensor if column.kind == "string" else tf.strings.as_string(column.tensor)

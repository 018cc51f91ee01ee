"""Execute a `TransformSpec` inside the model: one Keras layer on TensorFlow tensors.

Raw tensors have shape (batch,), those of list kinds (batch, width) padded at the end; how they
encode what is missing is in `features.tensors`. What a feature gives is said and computed by its
kind in `features`; `arrow.py` is the other execution.
"""

from typing import Any

import keras
import tensorflow as tf

from headrace.columns.values import ELEMENT_KINDS
from headrace.features.kinds import find_feature_kind
from headrace.features.tensors import TENSOR_DTYPES, read_tensor
from headrace.transform.graph_derived import derive_tensors
from headrace.transform.spec import TransformSpec


def make_raw_signature(spec: TransformSpec) -> dict[str, tf.TensorSpec]:
    """Return what each raw tensor is, by tensor name."""
    return {
        tensor: tf.TensorSpec(
            (None, None) if raw.kind in ELEMENT_KINDS else (None,), TENSOR_DTYPES[raw.kind], tensor
        )
        for tensor, raw in spec.tensors.items()
    }


def make_raw_inputs(spec: TransformSpec) -> dict[str, keras.KerasTensor]:
    """Return a Keras input per raw column by tensor name: (batch,), of list kinds (batch, None)."""
    return {
        tensor: keras.Input(shape=item.shape[1:], dtype=item.dtype.name, name=tensor)
        for tensor, item in make_raw_signature(spec).items()
    }


class TransformLayer(keras.layers.Layer):
    """Raw tensors in, the model's inputs out.

    Input: dict of tensor name -> tensor as `make_raw_inputs` has them.
    Output: dict of `spec.inputs`: their names, dtypes and shapes.
    """

    def __init__(self, spec: TransformSpec, **options: Any) -> None:
        # float64 inputs must stay float64 until the last step: no autocast to the policy's dtype.
        super().__init__(autocast=False, **{**options, "trainable": False})
        self.spec = spec
        tables = {f.name: find_feature_kind(f).build_table(f) for f in spec.features}
        # An attribute, so that Keras tracks them and an exported model has them.
        self._tables = {name: table for name, table in tables.items() if table is not None}

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return the model's inputs of raw tensors."""
        columns = {c.name: read_tensor(raw[name], c.kind) for name, c in self.spec.tensors.items()}
        columns |= {
            d.name: derive_tensors(d, [columns[c] for c in d.columns]) for d in self.spec.derived
        }
        tensors: dict[str, tf.Tensor] = {}
        for feature in self.spec.features:
            kind, table = find_feature_kind(feature), self._tables.get(feature.name)
            tensors |= kind.compute_tensors(feature, columns, table)
        return {
            name: (
                tf.stack([tensors[column] for column in item.columns], axis=1)
                if name in ("numeric", "categorical")
                else tensors[name]
            )
            for name, item in self.spec.inputs.items()
        }

    def compute_output_spec(self, raw: Any) -> dict[str, keras.KerasTensor]:
        """Return shapes and dtypes of the outputs; Keras calls it."""
        return {
            name: keras.KerasTensor((None, *item.shape), item.dtype)
            for name, item in self.spec.inputs.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes the layer of again; Keras calls it."""
        return {**super().get_config(), "spec": self.spec.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TransformLayer":
        """Return the layer of a config; Keras calls it."""
        return cls(**{**config, "spec": TransformSpec.from_json(config["spec"])})

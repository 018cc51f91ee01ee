"""Execute a `TransformSpec` inside the model: one Keras layer on TensorFlow tensors.

Raw tensors have shape (batch,), those of list kinds (batch, width) padded at the end; how they
encode what is missing is in `features.tensors`. What a feature gives is said and computed by its
kind in `features`; `arrow.py` is the other execution.
"""

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from headrace.columns.values import ELEMENT_KINDS, RawKind
from headrace.features.kinds import find_feature_kind
from headrace.features.tensors import TENSOR_DTYPES, Block, Column, read_tensor
from headrace.transform.graph_conditions import find_rows
from headrace.transform.graph_derived import derive_tensors
from headrace.transform.graph_stacks import GraphColumns, plan_stacks, select_columns
from headrace.transform.rules import select_null_rules
from headrace.transform.spec import TransformSpec


def make_raw_signature(spec: TransformSpec) -> dict[str, tf.TensorSpec]:
    """Return what each raw tensor is, by tensor name; those that only rules read are the last."""
    return {
        tensor: tf.TensorSpec(
            (None, None) if raw.kind in ELEMENT_KINDS else (None,), TENSOR_DTYPES[raw.kind], tensor
        )
        for tensor, raw in {**spec.tensors, **spec.rule_tensors}.items()
    }


def make_raw_inputs(spec: TransformSpec) -> dict[str, keras.KerasTensor]:
    """Return a Keras input per raw column by tensor name: (batch,), of list kinds (batch, None)."""
    return {
        tensor: keras.Input(shape=item.shape[1:], dtype=item.dtype.name, name=tensor)
        for tensor, item in make_raw_signature(spec).items()
        if tensor in spec.tensors
    }


def find_violations(spec: TransformSpec, raw: dict[str, tf.Tensor]) -> tf.Tensor:
    """Find the rows that rules leave without a prediction.

    Args:
        spec: has one such rule at least.
        raw: the tensors of `make_raw_signature`; of a column that a row does not have, what stands
            for null, whose rules are for the caller to pass over.

    Returns:
        bool (batch, rules).
    """
    tensors = {**spec.tensors, **spec.rule_tensors}
    columns = {c.name: _read_for_rules(raw[name], c.kind) for name, c in tensors.items()}
    found = [find_rows(rule.violated, columns) for rule in spec.rejecting_rules]
    return tf.stack(found, axis=1)


def _read_for_rules(tensor: tf.Tensor, kind: RawKind) -> Column:
    """Read a raw tensor with the infinities in place, which are numbers to rules."""
    column = read_tensor(tensor, kind)
    return replace(column, tensor=tensor) if kind in ("real", "reals") else column


def _apply_null_rules(spec: TransformSpec, columns: GraphColumns) -> None:
    """Mark what breaks a rule as missing in columns; rules see them as they came."""
    for rule in select_null_rules(spec.rules or ()):
        name = str(rule.column)
        before = _read_for_rules(*columns.get_raw(name))
        if before.kind in ELEMENT_KINDS:  # each element by itself
            (source,) = rule.violated.list_columns()
            shape = tf.shape(before.tensor)
            flat = Column(
                ELEMENT_KINDS[before.kind],
                tf.reshape(before.tensor, [-1]),
                tf.reshape(before.missing, [-1]),
            )
            violated = tf.reshape(find_rows(rule.violated, {source: flat}), shape)
        else:
            violated = find_rows(rule.violated, {name: before})
        column = columns[name]
        missing = tf.logical_or(column.missing, violated)
        tensor = tf.where(missing, tf.zeros_like(column.tensor), column.tensor)
        columns[name] = replace(column, tensor=tensor, missing=missing)


class TransformLayer(keras.layers.Layer):
    """Raw tensors in, the model's inputs out.

    Input: dict of tensor name -> tensor as `make_raw_inputs` has them.
    Output: dict of `spec.inputs`: their names, dtypes and shapes.
    """

    def __init__(self, spec: TransformSpec, **options: Any) -> None:
        # float64 inputs must stay float64 until the last step: no autocast to the policy's dtype.
        super().__init__(autocast=False, **{**options, "trainable": False})
        self.spec = spec
        self._plan = plan_stacks(spec)
        tables = {f"alone_{f.name}": find_feature_kind(f).build_table(f) for f in self._plan.alone}
        tables |= {
            name: stack.kind.build_stack_table(stack.features)
            for name, stack in self._plan.stacks.items()
        }
        # An attribute, so that Keras tracks them and an exported model has them.
        self._tables = {name: table for name, table in tables.items() if table is not None}

    def call(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return the model's inputs of raw tensors."""
        columns = GraphColumns(self.spec, raw)
        _apply_null_rules(self.spec, columns)
        for derived in self.spec.derived:
            columns[derived.name] = derive_tensors(derived, [columns[c] for c in derived.columns])
        tensors: dict[str, tf.Tensor] = {}
        for feature in self._plan.alone:
            kind, table = find_feature_kind(feature), self._tables.get(f"alone_{feature.name}")
            tensors |= kind.compute_tensors(feature, columns, table)
        blocks: list[Block] = []
        for name, stack in self._plan.stacks.items():
            table = self._tables.get(name)
            blocks += stack.kind.compute_stack(stack.features, columns.stack(stack.columns), table)
        inputs = {}
        for name, item in self.spec.inputs.items():
            if name not in ("numeric", "categorical"):
                inputs[name] = tensors[name]
                continue
            alone = tuple(column for column in item.columns if column in tensors)
            own = [Block(alone, tf.stack([tensors[c] for c in alone], axis=1))] if alone else []
            inputs[name] = select_columns([*own, *blocks], item.columns)
        return inputs

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

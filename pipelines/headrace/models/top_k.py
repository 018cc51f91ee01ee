"""Export the search of a two-tower model: a query's features in, the best items and scores out.

A SavedModel that TensorFlow alone loads. It has the transform, the query's tower, and the vector of
every item that the train split has; each request is one product with all of them (brute force, and
so exact) and a partial sort.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.columns.values import MISSING_INTEGER
from headrace.features.tensors import MISSING_STRING
from headrace.models.items import Catalog
from headrace.models.predict import place_on_cpu
from headrace.models.two_tower import ITEM_VECTOR, QUERY_VECTOR
from headrace.recipe import sections as s
from headrace.transform.graph import TransformLayer, make_raw_signature
from headrace.transform.spec import TransformSpec

TOP_K = "top_k"
"""Name of the signature."""
COLUMNS_FILE = "columns.json"
"""What the tensors of the signature are, beside the SavedModel."""
_ITEMS_PER_CALL = 4096


def export_top_k(
    model: keras.Model,
    spec: TransformSpec,
    section: s.TwoTower,
    catalog: Catalog,
    folder: str,
) -> None:
    """Write the SavedModel whose signature `top_k` finds the best items of queries.

    It takes `k`, int32 (), and the raw columns that the query's features read, as `serve` takes
    them. It returns `scores`, float32 (batch, k), the highest first, which `serve` makes a
    probability of by a sigmoid; `items`, int32 (batch, k), the items' numbers from 0; and for each
    feature of the item that is an id or a number `value_0`, …: its words, or its number, NaN where
    it is missing. Where there are fewer items than k, all are returned. `columns.json` says which
    tensor is which column. Rules of the recipe are not applied.

    Args:
        model: of `build.build_model`.
        spec: fitted transform.
        section: of the recipe; names the features of both towers.
        catalog: all items.
        folder: local, to write into.
    """
    raw = select_query_tensors(spec, section.query.features)
    values = catalog.name_values(spec, section.item.features)
    named = {f"value_{number}": feature for number, feature in enumerate(values)}
    module = tf.Module()
    module.transform = TransformLayer(spec, name="transform")
    module.tower = keras.Model(model.input, model.get_layer(QUERY_VECTOR).output)
    with place_on_cpu():
        module.vectors = tf.Variable(compute_item_vectors(model, catalog), trainable=False)
        module.values = {
            tensor: tf.Variable(_to_tensor(values[feature]), trainable=False)
            for tensor, feature in named.items()
        }
    signature = make_raw_signature(spec)

    def find_best(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = tf.shape(inputs[raw[0]])[0]
        tensors = {
            name: inputs[name] if name in inputs else _make_missing(signature[name], rows)
            for name in spec.tensors
        }
        vectors = module.tower(module.transform(tensors), training=False)
        scores = tf.matmul(vectors, module.vectors, transpose_b=True) / section.temperature
        best = tf.math.top_k(scores, tf.minimum(inputs["k"], len(catalog)))
        values_of_best = {
            name: tf.gather(variable, best.indices) for name, variable in module.values.items()
        }
        return {"scores": best.values, "items": best.indices, **values_of_best}

    own_signature = {name: signature[name] for name in raw}
    own_signature["k"] = tf.TensorSpec((), tf.int32, "k")
    module.top_k = tf.function(find_best, input_signature=[own_signature], autograph=False)
    tf.saved_model.save(module, folder, signatures={TOP_K: module.top_k})
    described: dict[str, Any] = {
        "inputs": {
            name: {"column": spec.tensors[name].name, "kind": spec.tensors[name].kind}
            for name in raw
        },
        "outputs": {name: {"feature": feature} for name, feature in named.items()},
        "items": len(catalog),
    }
    text = json.dumps(described, indent=1, ensure_ascii=False)
    (Path(folder) / COLUMNS_FILE).write_text(text, encoding="utf-8")


def select_query_tensors(spec: TransformSpec, features: list[str]) -> list[str]:
    """Return the raw tensors that these features read, in the order of `spec.tensors`."""
    derived = {item.name: item.columns for item in spec.derived}
    columns = {
        column
        for feature in spec.features
        if feature.name in features
        for source in feature.source_columns
        for column in derived.get(source, (source,))
    }
    return [name for name, column in spec.tensors.items() if column.name in columns]


def compute_item_vectors(model: keras.Model, catalog: Catalog) -> np.ndarray:
    """Return the vector of every item, float32 (items, width)."""
    tower = keras.Model(model.input, model.get_layer(ITEM_VECTOR).output)
    parts = []
    for start in range(0, len(catalog), _ITEMS_PER_CALL):
        items = {n: a[start : start + _ITEMS_PER_CALL] for n, a in catalog.items.items()}
        inputs = catalog.columns.fill_inputs(items)
        parts.append(np.asarray(tower(inputs, training=False), np.float32))
    return np.concatenate(parts)


def _make_missing(item: tf.TensorSpec, rows: tf.Tensor) -> tf.Tensor:
    """Return a raw tensor of missing values, for what no feature of the query reads."""
    shape = [rows, 1] if len(item.shape) == 2 else [rows]
    if item.dtype == tf.string:
        return tf.fill(shape, tf.constant(MISSING_STRING))
    missing = MISSING_INTEGER if item.dtype == tf.int64 else np.nan
    return tf.fill(shape, tf.constant(missing, item.dtype))


def _to_tensor(values: np.ndarray) -> tf.Tensor:
    if values.dtype != object:
        return tf.constant(values)
    return tf.constant([str(value).encode() for value in values])

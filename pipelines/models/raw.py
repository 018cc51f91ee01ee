"""The model that takes raw rows: transform and network in one TensorFlow graph, as a SavedModel.

Written with Keras's `ExportArchive`, so that loading needs TensorFlow alone: no Headrace, no
custom objects, no Spark.
"""

import keras
import tensorflow as tf

from pipelines.transform.graph import TENSOR_DTYPE, TransformLayer, raw_inputs
from pipelines.transform.spec import TransformSpec

ENDPOINT = "serve"


def with_transform(model: keras.Model, spec: TransformSpec) -> keras.Model:
    """Raw tensors (see `transform.graph`) in, probability float32 (batch,) out; shared weights."""
    inputs = raw_inputs(spec)
    return keras.Model(inputs, model(TransformLayer(spec, name="transform")(inputs)))


def export_raw_model(model: keras.Model, spec: TransformSpec, folder: str) -> None:
    """Write the SavedModel; its one endpoint `serve` takes a dict of raw tensors.

    Tensors are named by position; `TransformSpec.tensors` says which column each one is.
    """
    raw_model = with_transform(model, spec)
    signature = {
        tensor: tf.TensorSpec((None,), TENSOR_DTYPE[raw.kind], name=tensor)
        for tensor, raw in spec.tensors.items()
    }

    def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"probability": raw_model(inputs, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(raw_model)
    archive.add_endpoint(ENDPOINT, serve, input_signature=[signature])
    archive.write_out(folder, verbose=False)

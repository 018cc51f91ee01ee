"""The series of a spec as one tensor of steps, for the families that read them in order."""

import keras

from headrace.models.inputs import Tensors
from headrace.transform.spec import SeriesFeature, TransformSpec


def series_names(spec: TransformSpec) -> tuple[str, ...]:
    """Names of the series, in the order they are stacked."""
    return tuple(f.name for f in spec.shaped if isinstance(f, SeriesFeature))


def stacked_series(inputs: Tensors, spec: TransformSpec) -> keras.KerasTensor:
    """float32 (batch, length, series); all of one length."""
    return keras.ops.stack([inputs[name] for name in series_names(spec)], axis=-1)

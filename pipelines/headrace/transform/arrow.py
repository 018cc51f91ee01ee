"""Execute a `TransformSpec` on Arrow batches: no Spark, no TensorFlow.

The kernels are in `kernels.py`, their semantics in `spec.py`; `graph.py` is the other execution.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from headrace.transform import kernels
from headrace.transform.columns import Values, derive, read_column
from headrace.transform.image import decode
from headrace.transform.spec import (
    BucketsFeature,
    CyclicFeature,
    DerivedColumn,
    FittedFeature,
    HashFeature,
    ImageFeature,
    RawKind,
    ScaledFeature,
    SeriesFeature,
    TokensFeature,
    TransformSpec,
    VocabularyFeature,
)


class ArrowTransform:
    """A spec made ready to run; building it costs one Arrow array a vocabulary."""

    def __init__(self, spec: TransformSpec) -> None:
        self.spec = spec
        self._vocabularies = {
            f.name: pa.array(f.values, pa.string())
            for f in spec.features
            if isinstance(f, VocabularyFeature | TokensFeature)
        }

    def __call__(self, batch: "pa.RecordBatch | pa.Table") -> dict[str, np.ndarray]:
        """Dataset column -> values, in the order of the spec's features.

        float32 or int32 of shape (rows,) for scalars, (rows, length) for tokens and series, uint8
        (rows, height, width, channels) for images.

        Raises:
            KeyError: a raw column is not in the batch.
            pyarrow.ArrowInvalid: a raw column does not cast to its kind.
            ValueError: an image is none.
        """
        raw = {column.name: column.kind for column in self.spec.raw}
        columns = read_columns(batch, raw, self.spec.derived)
        outputs: dict[str, np.ndarray] = {}
        for feature in self.spec.features:
            outputs |= self._feature(feature, columns)
        return outputs

    def _feature(
        self, feature: FittedFeature, columns: Mapping[str, Values]
    ) -> dict[str, np.ndarray]:
        name = feature.name
        if isinstance(feature, HashFeature):
            crossed = [columns[c] for c in feature.columns]
            return {name: kernels.hash_ids(crossed, feature.buckets)}
        values = columns[feature.column]
        if isinstance(feature, ScaledFeature):
            found = {name: kernels.scaled(values, feature)}
            if feature.indicator:
                found[f"{name}_missing"] = kernels.indicator(values, feature)
            return found
        if isinstance(feature, CyclicFeature):
            sine, cosine = kernels.cyclic(values, feature)
            return {f"{name}_sin": sine, f"{name}_cos": cosine}
        if isinstance(feature, BucketsFeature):
            return {name: kernels.bucket_ids(values, np.array(feature.boundaries, np.float64))}
        if isinstance(feature, VocabularyFeature):
            vocabulary = self._vocabularies[name]
            return {
                name: kernels.vocabulary_ids(values, vocabulary, feature.unknown_ids, feature.fill)
            }
        if isinstance(feature, TokensFeature):
            return {name: kernels.token_ids(values, feature, self._vocabularies[name])}
        if isinstance(feature, SeriesFeature):
            return {name: kernels.series(values, feature)}
        return {name: pixels(values, feature)}


def stacked_inputs(columns: Mapping[str, np.ndarray], spec: TransformSpec) -> dict[str, np.ndarray]:
    """The model's inputs of a dataset's columns, as `ArrowTransform` makes them.

    Returns:
        input name -> array of `spec.inputs`' dtype and shape (rows, …).
    """
    return {
        name: (
            np.stack([columns[c] for c in item.columns], axis=1)
            if name in ("numeric", "categorical")
            else columns[name]
        )
        for name, item in spec.inputs.items()
    }


def read_columns(
    batch: "pa.RecordBatch | pa.Table",
    raw: Mapping[str, RawKind],
    derived: tuple[DerivedColumn, ...],
) -> dict[str, Values]:
    """Raw and derived columns of a batch by name; derived names hide raw ones."""
    columns = {name: read_column(batch[name], kind) for name, kind in raw.items()}
    found = {d.name: derive(d, [columns[c] for c in d.columns]) for d in derived}
    return columns | found


def pixels(values: Values, feature: ImageFeature) -> np.ndarray:
    """uint8 of shape (n, height, width, channels).

    Image files are decoded one by one: there is no vectorised decoder.
    """
    if kernels.is_list(values):
        size = feature.height * feature.width * feature.channels
        elements = np.where(values.missing, 0, np.clip(np.asarray(values.array), 0, 255))
        flat = kernels.padded(values, elements.astype(np.uint8), size, 0)
        return flat.reshape(-1, *feature.shape)
    out = np.zeros((len(values.array), *feature.shape), np.uint8)
    for row, file in enumerate(values.array.to_pylist()):
        if file is not None:
            out[row] = decode(file, feature.shape)
    return out

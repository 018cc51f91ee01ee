"""Execute a `TransformSpec` on Arrow batches: no Spark, no TensorFlow.

What a feature gives is said and computed by its kind in `features`; `graph.py` is the other
execution.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from headrace.columns.values import RawKind, Values, read_column
from headrace.features.kinds import find_feature_kind
from headrace.features.stored_texts import TextFiles
from headrace.transform.derived import derive_values
from headrace.transform.rules import FittedRule, apply_null_rules
from headrace.transform.spec import DerivedColumn, TransformSpec


class ArrowTransform:
    """A spec made ready to run; building it costs an index for each vocabulary that has no file."""

    def __init__(self, spec: TransformSpec) -> None:
        self.spec = spec
        self._kinds = [find_feature_kind(feature) for feature in spec.features]
        self._vocabularies = [
            kind.build_vocabulary(feature)
            for kind, feature in zip(self._kinds, spec.features, strict=True)
        ]

    def __call__(
        self, batch: "pa.RecordBatch | pa.Table", missing: "Counter[str] | None" = None
    ) -> dict[str, np.ndarray]:
        """Return dataset column -> values, in the order of the spec's features.

        Args:
            batch: rows with their raw columns.
            missing: rows where a raw column is missing are added here, those included whose value a
                rule takes away.

        Returns:
            float32 or int32 of shape (rows,) for scalars, (rows, length) for tokens and series,
            uint8 (rows, height, width, channels) for images.

        Raises:
            KeyError: a raw column is not in the batch.
            pyarrow.ArrowInvalid: a raw column does not cast to its kind.
            ValueError: an image file cannot be decoded.
        """
        raw = {column.name: column.kind for column in self.spec.raw}
        columns = read_columns(batch, raw, self.spec.derived, self.spec.rules or ())
        if missing is not None:
            for name in raw:
                values = columns[name]
                nulls = batch[name].null_count if values.is_list else values.missing.sum()
                missing[name] += int(nulls)
        arrays: dict[str, np.ndarray] = {}
        for kind, feature, vocabulary in zip(
            self._kinds, self.spec.features, self._vocabularies, strict=True
        ):
            arrays |= kind.compute_arrays(feature, columns, vocabulary)
        return arrays


@lru_cache(maxsize=1)
def load_transform(text: str, files: TextFiles | None = None) -> ArrowTransform:
    """Load a transform once in a process, such as a Spark worker: vocabularies may be large.

    Args:
        text: the transform's JSON; the newest text stays loaded.
        files: tells where the files beside it lie.
    """
    return ArrowTransform(TransformSpec.from_json(text, files=files))


def stack_inputs(columns: Mapping[str, np.ndarray], spec: TransformSpec) -> dict[str, np.ndarray]:
    """Return the model's inputs made of a dataset's columns, as `ArrowTransform` returns them.

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
    rules: Sequence[FittedRule] = (),
) -> dict[str, Values]:
    """Return raw and derived columns of a batch by name; derived names hide raw ones.

    Args:
        batch: rows with their raw columns.
        raw: the kinds of these.
        derived: what is computed of them.
        rules: those that make values missing act before anything else.
    """
    columns = {name: read_column(batch[name], kind) for name, kind in raw.items()}
    columns = apply_null_rules(columns, rules)
    return columns | {d.name: derive_values(d, [columns[c] for c in d.columns]) for d in derived}

"""Warm-start a training with the weights of another model.

Rows of embedding tables are taken over by what their ids stand for (`models.row_matching`), so the
other model may have older vocabularies. All other weights have to have the same shapes.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from headrace.errors import ModelError, TrainError
from headrace.models.load import load_keras_model
from headrace.models.row_matching import FeatureRows, locate_feature_rows, match_ids
from headrace.models.table_plans import list_model_tables
from headrace.recipe import sections as s
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.run import make_artifact_folder
from headrace.tracking.store import Store
from headrace.train.finite import check_model
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class RowsTakenOver:
    """How many rows of a feature's embeddings were taken over.

    Attributes:
        feature: name of the feature.
        kept: ids that both models have.
        new: ids that the other model did not have; their rows stay as they were initialised.
        gone: ids of the other model that are no longer there.
    """

    feature: str
    kept: int
    new: int
    gone: int

    def describe(self) -> str:
        """Return the counts in words."""
        return f"{self.feature}: {self.kept:,} ids kept, {self.new:,} new, {self.gone:,} gone"


def load_initial_weights(
    model: keras.Model, source: str, store: Store, section: s.Model, spec: TransformSpec
) -> list[RowsTakenOver]:
    """Set the weights of `model` to those of a `.keras` file or of a registered model.

    Args:
        model: whose weights are set.
        source: path of a file, or `models:/NAME/VERSION`.
        store: where registered models are.
        section: that `model` was built by.
        spec: the transform that it was built for. A file has none of its own and is taken to be
            trained on the same one.

    Returns:
        counts of rows, for every feature with ids.

    Raises:
        TrainError: there is no such file, it is no model, its weights have other shapes, or they
            are not finite.
        ModelError: the registry has no such model.
    """
    is_registered = source.startswith("models:/")
    source_spec = spec
    with make_artifact_folder() if is_registered else nullcontext(Path()) as folder:
        file = source
        if is_registered:
            version = find_model(store, source)
            file = download_model_file(store, version, "keras_model", str(folder))
            transform = download_model_file(store, version, "transform", str(folder))
            text = Path(transform).read_text(encoding="utf-8")
            source_spec = TransformSpec.from_json(text, f"the transform of {source}")
        elif not Path(file).is_file():
            raise TrainError(f"train.initial_model {source} does not exist")
        try:
            source_model = load_keras_model(file, f"train.initial_model {source}")
        except ModelError as error:
            raise TrainError(str(error)) from None
    check_model(source_model, None, f"in train.initial_model {source}")
    rows = _locate_rows(model, section, spec)
    source_rows = _locate_rows(source_model, section, source_spec)
    if rows is None or source_rows is None:  # a model of the user's own, or of another family
        rows, source_rows = {}, {}
    _copy_weights(model, source_model, rows, source_rows, source)
    return [_copy_rows(rows[key], source_rows[key]) for key in rows if key in source_rows]


def _locate_rows(
    model: keras.Model, section: s.Model, spec: TransformSpec
) -> dict[tuple[str, str], FeatureRows] | None:
    """Locate a model's rows by feature, whichever layout its tables have."""
    for shared in (True, False):
        layout = section.model_copy(update={"embeddings": s.Embeddings(shared=shared)})
        rows = locate_feature_rows(model, list_model_tables(layout, spec), spec)
        if rows is not None:
            return rows
    return None


def _copy_weights(
    model: keras.Model,
    source_model: keras.Model,
    rows: Mapping[tuple[str, str], FeatureRows],
    source_rows: Mapping[tuple[str, str], FeatureRows],
    source: str,
) -> None:
    """Copy all weights but those of tables whose rows are matched."""
    weights = _list_other_weights(model, rows)
    source_weights = _list_other_weights(source_model, source_rows)
    shapes = [tuple(weight.shape) for weight in weights]
    source_shapes = [tuple(weight.shape) for weight in source_weights]
    for key in rows.keys() & source_rows.keys():
        width, source_width = (located[key].layer.output_dim for located in (rows, source_rows))
        if width != source_width:
            raise TrainError(
                f"train.initial_model {source} has embeddings of {source_width} numbers for "
                f"{key[1]}, the recipe's model of {width}: the width follows from the number of "
                "ids; use the model section and the vocabulary that it was trained with"
            )
    if shapes != source_shapes:
        difference = ""
        for weight, source_shape in zip(weights, source_shapes, strict=False):
            if tuple(weight.shape) != source_shape:
                difference = f"; {weight.path} is {tuple(weight.shape)}, there {source_shape}"
                break
        raise TrainError(
            f"train.initial_model {source} has {len(source_shapes)} weights, the recipe's model "
            f"{len(shapes)}{difference}; use the model section and the dataset that it was "
            "trained on"
        )
    for weight, source_weight in zip(weights, source_weights, strict=True):
        weight.assign(source_weight)


def _list_other_weights(
    model: keras.Model, rows: Mapping[tuple[str, str], FeatureRows]
) -> Sequence[keras.Variable]:
    tables = {id(located.layer.embeddings) for located in rows.values()}
    return [weight for weight in model.weights if id(weight) not in tables]


def _copy_rows(target: FeatureRows, source: FeatureRows) -> RowsTakenOver:
    """Copy the rows of the ids that both features have, and count them."""
    source_ids, ids = match_ids(source.feature, target.feature)
    table = np.array(keras.ops.convert_to_numpy(target.layer.embeddings))
    source_table = keras.ops.convert_to_numpy(source.layer.embeddings)
    table[target.rows.start + ids] = source_table[source.rows.start + source_ids]
    target.layer.embeddings.assign(table)
    return RowsTakenOver(
        feature=target.feature.name,
        kept=len(ids),
        new=len(target.rows) - len(ids),
        gone=len(source.rows) - len(ids),
    )

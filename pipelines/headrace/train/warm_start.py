"""Warm-start a training with the weights of another model.

Rows of embedding tables are taken over by what their ids stand for (`models.row_matching`), so the
other model may have older vocabularies. All other weights have to have the same shapes.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from headrace.errors import ModelError, TrainError
from headrace.features.kind import FittedFeature
from headrace.features.stored_texts import TextFolder
from headrace.models.load import load_keras_model
from headrace.models.mapped_tables import list_mapped_tables
from headrace.models.row_matching import FeatureRows, locate_feature_rows, match_ids
from headrace.models.table_plans import EmbeddingTable, list_model_tables
from headrace.models.table_storage import list_chunks
from headrace.recipe import sections as s
from headrace.tracking.model import TEXTS, download_model_file, find_model
from headrace.tracking.run import make_artifact_folder
from headrace.tracking.store import Store
from headrace.train.finite import check_model
from headrace.train.sharded_tables import list_sharded_tables
from headrace.train.table_rows import TableWriter, read_table
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


class InitialModel:
    """A model whose weights a training begins with.

    Attributes:
        shares_tables: whether its categoricals share embedding tables; None where it has none that
            are known, as a model of the user's own.
    """

    def __init__(self, source: str, store: Store, section: s.Model, spec: TransformSpec) -> None:
        """Load a `.keras` file or a registered model.

        Args:
            source: path of a file, or `models:/NAME/VERSION`.
            store: where registered models are.
            section: of the model that is to be trained.
            spec: its transform. A file has none of its own and is taken to be trained on the same
                one.

        Raises:
            TrainError: there is no such file, it is no model, or its weights are not finite.
            ModelError: the registry has no such model.
        """
        self._source, self._section, self._spec = source, section, spec
        is_registered = source.startswith("models:/")
        source_spec = spec
        with make_artifact_folder() if is_registered else nullcontext(Path()) as folder:
            file = source
            if is_registered:
                version = find_model(store, source)
                file = download_model_file(store, version, "keras_model", str(folder))
                transform = download_model_file(store, version, "transform", str(folder))
                text = Path(transform).read_text(encoding="utf-8")
                where = f"the transform of {source}"
                source_spec = TransformSpec.from_json(text, where)
                if source_spec.stored_texts:  # opened while the folder is there, and mapped
                    files = TextFolder(download_model_file(store, version, TEXTS, str(folder)))
                    source_spec = TransformSpec.from_json(text, where, files)
                    for texts in source_spec.stored_texts:
                        texts.open_index()
            elif not Path(file).is_file():
                raise TrainError(f"train.initial_model {source} does not exist")
            try:
                self._model = load_keras_model(file, f"train.initial_model {source}")
            except ModelError as error:
                raise TrainError(str(error)) from None
        check_model(self._model, None, f"in train.initial_model {source}")
        self._source_spec = source_spec
        self.shares_tables, self._rows = _locate_rows(self._model, section, source_spec)

    def copy_weights(self, model: keras.Model) -> list[RowsTakenOver]:
        """Set the weights of a model of the same layout of tables.

        Args:
            model: built by the section and for the transform that this was loaded for.

        Returns:
            counts of rows, for every feature with ids.

        Raises:
            TrainError: weights have other shapes.
        """
        layout, rows = _locate_rows(model, self._section, self._spec)
        source_rows = self._rows
        if layout != self.shares_tables:  # another family
            rows, source_rows = {}, {}
        self._check_ids({name for _, name in rows.keys() & source_rows.keys()})
        _copy_weights(model, self._model, rows, source_rows, self._source)
        return _copy_rows(rows, source_rows)

    def _check_ids(self, located: Collection[str]) -> None:
        """Check that ids stand for what they did, of features whose rows cannot be told apart.

        Args:
            located: names of features whose rows are matched by value. Not among them are those of
                composed tables, of which no row is of one id, and those that a model of the user's
                own looks up.

        Raises:
            TrainError: they stand for something else, so that rows would be taken for those of
                other values.
        """
        source_features = {feature.name: feature for feature in self._source_spec.features}
        for feature in self._spec.features:
            if not feature.cardinality or feature.name in located:
                continue
            if not _has_same_ids(source_features.get(feature.name), feature):
                raise TrainError(
                    f"train.initial_model {self._source} has other ids for {feature.name}, and "
                    f"rows of a {self._section.kind} model's table cannot be matched by value "
                    "(model.embeddings.compose_above, model.kind: python, another model section): "
                    "use the vocabulary that it was trained with"
                )


def _has_same_ids(source: FittedFeature | None, target: FittedFeature) -> bool:
    """Return whether every id of a feature stands for the same in another one."""
    if source is None or source.cardinality != target.cardinality:
        return False
    source_ids, ids = match_ids(source, target)
    return len(ids) == target.cardinality and bool((source_ids == ids).all())


def _plan_layout(section: s.Model, spec: TransformSpec, shared: bool) -> tuple[EmbeddingTable, ...]:
    embeddings = section.embeddings.model_copy(update={"shared": shared})
    return list_model_tables(section.model_copy(update={"embeddings": embeddings}), spec)


Rows = Mapping[tuple[str, str], FeatureRows]
"""See `locate_feature_rows`."""


def _locate_rows(
    model: keras.Model, section: s.Model, spec: TransformSpec
) -> tuple[bool | None, Rows]:
    """Return whether tables are shared, and each feature's rows; None and none where not known."""
    for shared in (True, False):
        tables = _plan_layout(section, spec, shared)
        if tables and (rows := locate_feature_rows(model, tables, spec)) is not None:
            return shared, rows
    has_tables = bool(_plan_layout(section, spec, shared=True))
    return None, {} if has_tables else locate_feature_rows(model, (), spec) or {}


def _copy_weights(
    model: keras.Model,
    source_model: keras.Model,
    rows: Rows,
    source_rows: Rows,
    source: str,
) -> None:
    """Copy all weights but those of tables whose rows are matched."""
    weights = _list_other_weights(model, rows)
    source_weights = _list_other_weights(source_model, source_rows)
    moved = {*(t.layer.name for t in list_sharded_tables(model)), *list_mapped_tables(source_model)}
    matched = {located.layer.name for located in (*rows.values(), *source_rows.values())}
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
    for name in moved - matched:
        _copy_table(model.get_layer(name), _find_layer(source_model, name), source)


def _copy_table(
    layer: keras.layers.Embedding, source_layer: keras.layers.Layer | None, source: str
) -> None:
    """Copy all rows of a table that one of the models does not have in one variable."""
    shape = (layer.input_dim, layer.output_dim)
    source_shape = (
        getattr(source_layer, "input_dim", None), getattr(source_layer, "output_dim", None)
    )  # fmt: skip
    if source_layer is None or shape != source_shape:
        raise TrainError(
            f"train.initial_model {source} has no table {layer.name} of {shape[0]:,} rows of "
            f"{shape[1]} numbers; use the model section and the dataset that it was trained on"
        )
    table, values = TableWriter(layer), read_table(source_layer)
    for chunk in list_chunks(*shape):
        ids = np.arange(chunk.start, chunk.stop)
        table.put_rows(ids, values, ids)


def _find_layer(model: keras.Model, name: str) -> keras.layers.Layer | None:
    return next((layer for layer in model.layers if layer.name == name), None)


def _list_other_weights(model: keras.Model, rows: Rows) -> Sequence[keras.Variable]:
    """List the weights whose rows are not matched by value, and that lie in one variable."""
    tables = {id(getattr(located.layer, "_embeddings", None)) for located in rows.values()}
    tables |= {id(table.variable) for table in list_sharded_tables(model)}
    return [weight for weight in model.weights if id(weight) not in tables]


def _copy_rows(rows: Rows, source_rows: Rows) -> list[RowsTakenOver]:
    """Copy the rows of the ids that both features have, a table at a time, and count them."""
    common = [(rows[key], source_rows[key]) for key in rows if key in source_rows]
    counts = []
    for layer in {id(target.layer): target.layer for target, _ in common}.values():
        table = TableWriter(layer)
        source_tables: dict[int, np.ndarray] = {}
        for target, source in common:
            if target.layer is not layer:
                continue
            source_id = id(source.layer)
            if source_id not in source_tables:
                source_tables[source_id] = read_table(source.layer)
            source_ids, ids = match_ids(source.feature, target.feature)
            table.put_rows(
                target.rows.start + ids, source_tables[source_id], source.rows.start + source_ids
            )
            new, gone = len(target.rows) - len(ids), len(source.rows) - len(ids)
            counts.append(RowsTakenOver(target.feature.name, len(ids), new, gone))
    return counts

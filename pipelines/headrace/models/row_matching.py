"""Match the rows of embedding tables of two models by what their ids stand for.

A vocabulary that is fitted again gives its values other ids, and another layout puts its block
elsewhere. Rows are matched by value, so that a model that begins with the weights of an earlier one
knows what that one knew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from headrace.features.kind import FIRST_UNKNOWN_ID, FittedFeature
from headrace.features.lookup import build_text_index, list_text_chunks
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.models.table_plans import EmbeddingTable
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class FeatureRows:
    """The rows of one feature in a table.

    Attributes:
        layer: the Keras layer that has the table.
        rows: of the layer's table.
        feature: whose ids they are.
    """

    layer: keras.layers.Embedding
    rows: range
    feature: FittedFeature


def locate_feature_rows(
    model: keras.Model, tables: Sequence[EmbeddingTable], spec: TransformSpec
) -> dict[tuple[str, str], FeatureRows] | None:
    """Locate the rows of every categorical and list of ids; None where the model has other tables.

    Args:
        model: of `build_model`, or loaded.
        tables: of `list_model_tables`, for the section that the model may have been built by.
        spec: the transform that it was built for.

    Returns:
        by role (`table`, `wide` or `embed`) and the feature's name.
    """
    layers = {x.name: x for x in model.layers if isinstance(x, keras.layers.Embedding)}
    features = {feature.name: feature for feature in spec.features}
    located = {}
    for table in tables:
        layer = layers.get(table.name)
        if layer is None or (layer.input_dim, layer.output_dim) != (table.rows, table.width):
            return None
        if table.divisors:  # no row stands for one id
            continue
        role = "wide" if table.name.startswith("wide.") else "table"
        for name, rows in table.locate_blocks().items():
            located[role, name] = FeatureRows(layer, rows, features[name])
    for feature in spec.select_features("tokens"):
        layer = layers.get(f"embed.{feature.name}")
        if layer is not None and layer.input_dim == feature.cardinality:
            rows = range(feature.cardinality)
            located["embed", feature.name] = FeatureRows(layer, rows, feature)
    return located


def match_ids(source: FittedFeature, target: FittedFeature) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of both features that stand for the same, int64 (n,) each.

    Values of vocabularies are matched by their text, ids of missing values with each other, and
    those of unknown values where both have as many. Hashes and intervals are matched by number,
    where there are as many: the quantiles of another day are the same intervals a little moved.
    """
    kinds = (VocabularyFeature, TokensFeature)
    if isinstance(source, kinds) and isinstance(target, kinds) and _is_looked_up(source, target):
        common = [0]
        if source.unknown_ids == target.unknown_ids:
            common = list(range(FIRST_UNKNOWN_ID + source.unknown_ids))
        index = build_text_index(source.values)
        chunks = [index.find_positions(chunk) for chunk in list_text_chunks(target.values)]
        positions = np.concatenate(chunks)
        is_known = positions >= 0
        source_ids = positions[is_known] + FIRST_UNKNOWN_ID + source.unknown_ids
        ids = np.flatnonzero(is_known) + FIRST_UNKNOWN_ID + target.unknown_ids
        same = np.array(common, np.int64)
        return np.concatenate([same, source_ids]), np.concatenate([same, ids])
    if type(source) is type(target) and source.cardinality == target.cardinality:
        same = np.arange(target.cardinality)
        return same, same
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _is_looked_up(*features: VocabularyFeature | TokensFeature) -> bool:
    return all(getattr(feature, "buckets", None) is None for feature in features)

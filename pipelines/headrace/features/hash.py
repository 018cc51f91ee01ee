"""Define the kind `hash`: a value, or several together, as an id by fingerprint, int32.

How texts are hashed is in `fingerprints`. 0 is missing; of several columns an id is missing where
one of them is.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from headrace.columns.histogram import MISSING_LABEL, HistogramAxis, make_hash_axis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.features.fingerprints import hash_column_tensors, hash_columns
from headrace.features.kind import ColumnSection, FeatureSection, FittedFeature, IdsKind
from headrace.features.text_index import TextIndex
from headrace.schema import CATEGORIES

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable

Buckets = Annotated[int, Field(ge=2, le=2**31 - 2)]


class HashSection(ColumnSection):
    """Fingerprint64 of the text modulo `buckets`, plus 1; 0 is missing."""

    accepted_types = CATEGORIES

    kind: Literal["hash"]
    buckets: Buckets


class CrossSection(FeatureSection):
    """One id for several columns together, hashed; 0 where one of them is missing."""

    accepted_types = CATEGORIES

    kind: Literal["cross"]
    columns: Annotated[list[str], Field(min_length=2)]
    buckets: Buckets

    def list_source_columns(self, name: str) -> list[str]:
        """Return the columns that are hashed together."""
        return list(self.columns)


class HashFeature(FittedFeature):
    """int32 ids by fingerprint, of one column or of several crossed."""

    kind: Literal["hash"] = "hash"
    name: str
    columns: tuple[str, ...]
    buckets: int

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Return the columns that are hashed together."""
        return self.columns

    @property
    def cardinality(self) -> int:
        """Return how many ids there are, that of missing included."""
        return self.buckets + 1


class HashKind(IdsKind[HashSection | CrossSection, HashFeature]):
    """A value, or several together, as an id by fingerprint."""

    sections = (HashSection, CrossSection)
    fitted = HashFeature

    def fit_feature(
        self, name: str, section: HashSection | CrossSection, statistics: Statistics
    ) -> HashFeature:
        """Return the feature; nothing is learnt."""
        columns = tuple(section.list_source_columns(name))
        return HashFeature(name=name, columns=columns, buckets=section.buckets)

    def compute_arrays(
        self, feature: HashFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the ids, int32 (n,)."""
        crossed = [columns[name] for name in feature.columns]
        return {feature.name: hash_columns(crossed, feature.buckets)}

    def compute_tensors(
        self,
        feature: HashFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the ids, int32 (batch,)."""
        crossed = [columns[name] for name in feature.columns]
        return {feature.name: hash_column_tensors(crossed, feature.buckets)}

    def list_axes(
        self, feature: HashFeature, section: HashSection | CrossSection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return an axis of groups of ids, which have no names."""
        return [make_hash_axis(feature.name, feature.buckets)]

    def name_ids(self, feature: HashFeature) -> list[str]:
        """Return the buckets by number."""
        return [MISSING_LABEL, *(f"bucket {i + 1}" for i in range(feature.buckets))]

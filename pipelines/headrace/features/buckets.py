"""Define the kind `buckets`: a number as the id of an interval, int32.

Id 0 means missing; any other id is 1 + the number of boundaries <= x.
"""

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from headrace.columns.histogram import MISSING_LABEL, HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.errors import Problem
from headrace.features.kind import MISSING_ID, ColumnSection, FittedColumnFeature, IdsKind
from headrace.features.numbers import get_summary
from headrace.features.summaries import NumberSummaryRequest, SummaryRequest
from headrace.features.text_index import TextIndex
from headrace.recipe_section import Finite
from headrace.schema import NUMBERS

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable

_SHOWN_INTERVALS = 30


class QuantileBucketsSection(ColumnSection):
    """Ids of intervals with equally many rows of the train split; 0 is missing."""

    accepted_types = NUMBERS

    kind: Literal["quantile_buckets"]
    buckets: Annotated[int, Field(ge=2, le=10_000)]


class FixedBucketsSection(ColumnSection):
    """Ids of the intervals between `boundaries`, each closed on the left; 0 is missing."""

    accepted_types = NUMBERS

    kind: Literal["fixed_buckets"]
    boundaries: Annotated[list[Finite], Field(min_length=1)]

    def find_limit_problems(self, where: str) -> list[Problem]:
        """Return a problem if boundaries do not increase."""
        if any(low >= high for low, high in itertools.pairwise(self.boundaries)):
            return [
                Problem(
                    f"{where}.boundaries",
                    f"got {self.boundaries}, expected rising numbers, each once",
                )
            ]
        return []


class BucketsFeature(FittedColumnFeature):
    """int32 ids of the intervals between boundaries."""

    kind: Literal["buckets"] = "buckets"
    name: str
    column: str
    boundaries: tuple[float, ...]

    @property
    def cardinality(self) -> int:
        """Return how many ids there are, that of missing included."""
        return len(self.boundaries) + 2


class BucketsKind(IdsKind[QuantileBucketsSection | FixedBucketsSection, BucketsFeature]):
    """A number as the id of an interval."""

    sections = (QuantileBucketsSection, FixedBucketsSection)
    fitted = BucketsFeature

    def list_summary_requests(
        self, name: str, section: QuantileBucketsSection | FixedBucketsSection
    ) -> list[SummaryRequest]:
        """Return the column's numbers where quantiles are asked for."""
        if isinstance(section, QuantileBucketsSection):
            return [NumberSummaryRequest(section.column or name)]
        return []

    def fit_feature(
        self,
        name: str,
        section: QuantileBucketsSection | FixedBucketsSection,
        statistics: Statistics,
    ) -> BucketsFeature:
        """Return the feature with the quantiles of the train split, or the recipe's boundaries."""
        column = section.column or name
        if isinstance(section, FixedBucketsSection):
            boundaries = tuple(section.boundaries)
        else:
            numbers = get_summary(NumberSummaryRequest(column), statistics)
            shares = (i / section.buckets for i in range(1, section.buckets))
            boundaries = tuple(sorted({numbers.quantile(share) for share in shares}))
        return BucketsFeature(name=name, column=column, boundaries=boundaries)

    def compute_arrays(
        self, feature: BucketsFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the ids, int32 (n,)."""
        values = columns[feature.column]
        boundaries = np.array(feature.boundaries, np.float64)
        ids = np.searchsorted(boundaries, values.to_float64(), side="right") + 1
        return {feature.name: np.where(values.missing, MISSING_ID, ids).astype(np.int32)}

    def compute_tensors(
        self,
        feature: BucketsFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the ids, int32 (batch,)."""
        import tensorflow as tf

        column, count = columns[feature.column], len(feature.boundaries)
        boundaries = tf.constant(feature.boundaries, tf.float64, shape=(count,))
        ids = tf.searchsorted(boundaries, column.to_float64(), side="right") + 1
        return {feature.name: tf.where(column.missing, tf.constant(MISSING_ID, tf.int32), ids)}

    def list_axes(
        self,
        feature: BucketsFeature,
        section: QuantileBucketsSection | FixedBucketsSection,
        statistics: Statistics,
    ) -> list[HistogramAxis]:
        """Return an axis of the first intervals."""
        limits = [-math.inf, *feature.boundaries, math.inf]
        intervals = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(limits)]
        labels = (MISSING_LABEL, *intervals[:_SHOWN_INTERVALS], "other")
        return [HistogramAxis(feature.name, labels=labels)]

    def make_example_values(
        self, feature: BucketsFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return the lowest and the highest boundary."""
        if not feature.boundaries:
            return None
        return feature.boundaries[0], feature.boundaries[-1]

    def name_ids(self, feature: BucketsFeature) -> list[str]:
        """Return the intervals by their limits."""
        limits = ["below", *(f"{limit:g}" for limit in feature.boundaries), "above"]
        return [MISSING_LABEL, *(f"{low} to {high}" for low, high in itertools.pairwise(limits))]

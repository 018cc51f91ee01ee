"""Define the kind `series`: a list of numbers of fixed length on one scale, float32 (length,).

The first `length` elements are taken, each as `numbers` says; elements that are null or not there
are missing.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.errors import Problem
from headrace.features.kind import FeatureKind
from headrace.features.lists import pad_list_tensors, pad_lists
from headrace.features.numbers import (
    Clip,
    Impute,
    OnScale,
    OnScaleSection,
    fit_scale,
    make_scaled_axis,
    scale_tensors,
    scale_values,
)
from headrace.features.summaries import SummaryRequest
from headrace.features.text_index import TextIndex
from headrace.recipe_section import Count
from headrace.schema import ColumnType

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable


class SeriesSection(OnScaleSection):
    """A list of numbers of one length, all on one scale; shorter lists are padded as missing."""

    accepted_types = frozenset({ColumnType.INTEGERS, ColumnType.REALS})

    kind: Literal["series"]
    length: Count
    scale: Literal["standardize", "min_max", "robust", "none"] = "standardize"
    clip: Clip | None = None
    log1p: bool = False
    impute: Impute = "mean"

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of a row's numbers."""
        return (self.length,)

    @property
    def scaling(self) -> str:
        """Return how center and scale are learnt."""
        return self.scale

    @property
    def takes_log1p(self) -> bool:
        """Return whether log(1 + x) is taken first."""
        return self.log1p

    def find_impute_problems(self, where: str) -> list[Problem]:
        """Return problems of a constant, and of most_frequent, which lists do not have."""
        if self.impute == "most_frequent":
            return [
                Problem(
                    f"{where}.impute",
                    "got most_frequent, which a series does not have",
                    "use mean, median or a constant",
                )
            ]
        return super().find_impute_problems(where)


class SeriesFeature(OnScale):
    """A list of numbers of fixed length, all on one scale."""

    kind: Literal["series"] = "series"
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of a row's numbers."""
        return (self.length,)


class SeriesKind(FeatureKind[SeriesSection, SeriesFeature]):
    """A list of numbers, all on one scale."""

    form = "series"
    sections = (SeriesSection,)
    fitted = SeriesFeature

    def list_summary_requests(self, name: str, section: SeriesSection) -> list[SummaryRequest]:
        """Return all elements of the lists, as numbers."""
        return [section.make_summary_request(name)]

    def fit_feature(
        self, name: str, section: SeriesSection, statistics: Statistics
    ) -> SeriesFeature:
        """Return the feature with center, scale, limits and fill of the train split."""
        fields: dict[str, Any] = fit_scale(name, section, statistics)
        return SeriesFeature(**fields, length=section.length)

    def compute_arrays(
        self, feature: SeriesFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the scaled numbers, float32 (n, length)."""
        lists = columns[feature.column]
        empty = Values("real", np.zeros(1), np.ones(1, bool))
        padding = scale_values(empty, feature)[0]
        elements = scale_values(lists.elements, feature)
        return {feature.name: pad_lists(lists, elements, feature.length, padding)}

    def compute_tensors(
        self,
        feature: SeriesFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return the scaled numbers, float32 (batch, length)."""
        column = pad_list_tensors(columns[feature.column], feature.length)
        return {feature.name: scale_tensors(column, [feature])[0]}

    def list_axes(
        self, feature: SeriesFeature, section: SeriesSection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return one axis of all elements."""
        return [make_scaled_axis(feature, section, statistics)]

    def make_example_values(
        self, feature: SeriesFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return a list of full length, and one of a single number."""
        numbers = [feature.restore_value(0.0), feature.restore_value(1.0)]
        return (numbers * feature.length)[: feature.length], numbers[:1]

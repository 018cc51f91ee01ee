"""Define the kind `scaled`: a number on a scale, float32.

Values and missing values are those of `numbers`. With `indicator` a second float32 column is
1 where the value is missing, else 0.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.features.kind import NumbersKind
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
from headrace.features.summaries import SummaryRequest, TextCountsRequest, prescale_numbers
from headrace.features.text_index import TextIndex

if TYPE_CHECKING:
    from headrace.features.tensors import Block, Column, LookupTable


class _NumberSection(OnScaleSection):
    clip: Clip | None = None
    """Before everything else; quantiles are those of the values as they are."""
    impute: Impute = "mean"
    """What a missing value becomes; NaN and infinities are missing. Mean, median and most frequent
    value of the train split, after clipping (and log1p)."""
    indicator: bool = False
    """One more column, `<feature>_missing`, 1 where the value was missing."""

    def list_dataset_columns(self, name: str) -> list[str]:
        """Return the number's column, and the indicator's."""
        return [name, f"{name}_missing"] if self.indicator else [name]


class _ScaledSection(_NumberSection):
    log1p: bool = False
    """Take log(1 + x) first; values of -1 and less are missing."""

    @property
    def takes_log1p(self) -> bool:
        """Return whether log(1 + x) is taken first."""
        return self.log1p


class StandardizeSection(_ScaledSection):
    """(x - mean) / standard deviation of the train split."""

    kind: Literal["standardize"]


class MinMaxSection(_ScaledSection):
    """(x - min) / (max - min) of the train split: 0 to 1 there, and beyond elsewhere."""

    kind: Literal["min_max"]


class RobustSection(_ScaledSection):
    """(x - median) / interquartile range of the train split."""

    kind: Literal["robust"]


class Log1pSection(_NumberSection):
    """log(1 + x), on no further scale; values of -1 and less are missing."""

    kind: Literal["log1p"]

    @property
    def takes_log1p(self) -> bool:
        """Return True: that is what the section is for."""
        return True


class ScaledFeature(OnScale):
    """A number."""

    kind: Literal["scaled"] = "scaled"
    indicator: bool = False

    @property
    def dataset_columns(self) -> tuple[str, ...]:
        """Return the number's column, and the indicator's."""
        return (self.name, f"{self.name}_missing") if self.indicator else (self.name,)


class ScaledKind(NumbersKind[_NumberSection, ScaledFeature]):
    """A number on a scale."""

    sections = (StandardizeSection, MinMaxSection, RobustSection, Log1pSection)
    fitted = ScaledFeature

    def list_summary_requests(self, name: str, section: _NumberSection) -> list[SummaryRequest]:
        """Return the column's numbers, and its texts where the most frequent one is needed."""
        request = section.make_summary_request(name)
        if section.impute == "most_frequent":
            return [request, TextCountsRequest(request.column)]
        return [request]

    def fit_feature(
        self, name: str, section: _NumberSection, statistics: Statistics
    ) -> ScaledFeature:
        """Return the feature with center, scale, limits and fill of the train split."""
        fields: dict[str, Any] = fit_scale(name, section, statistics)
        return ScaledFeature(**fields, indicator=section.indicator)

    def compute_arrays(
        self, feature: ScaledFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return the scaled number, and 1 where it is missing, float32 (n,) each."""
        values = columns[feature.column]
        arrays = {feature.name: scale_values(values, feature)}
        if feature.indicator:
            missing = prescale_numbers(values, feature.clip, feature.log1p)[1]
            arrays[f"{feature.name}_missing"] = missing.astype(np.float32)
        return arrays

    def get_stack_key(self, feature: ScaledFeature) -> Hashable:
        """Return whether logarithms are taken: all others are computed alike."""
        return feature.log1p

    def compute_stack(
        self, features: Sequence[ScaledFeature], stack: "Column", table: "LookupTable | None"
    ) -> "list[Block]":
        """Return the scaled numbers, and 1 where they are missing, float32."""
        import tensorflow as tf

        from headrace.features.tensors import Block

        numbers, missing = scale_tensors(stack, features)
        blocks = [Block(tuple(f.name for f in features), numbers)]
        indicated = [position for position, f in enumerate(features) if f.indicator]
        if indicated:
            names = tuple(f"{features[position].name}_missing" for position in indicated)
            flags = tf.cast(tf.gather(missing, indicated, axis=1), tf.float32)
            blocks.append(Block(names, flags))
        return blocks

    def list_axes(
        self, feature: ScaledFeature, section: _NumberSection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return an axis of the number; the indicator has none."""
        return [make_scaled_axis(feature, section, statistics)]

    def make_example_values(
        self, feature: ScaledFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return the value in the center, and one a scale above it."""
        return feature.restore_value(0.0), feature.restore_value(1.0)

    def restore_numbers(
        self, feature: ScaledFeature, columns: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Return the numbers before scaling, to the digits that a float32 has."""
        scaled = columns[feature.name].astype(np.float64)
        numbers = scaled * feature.scale + feature.center
        numbers = np.expm1(numbers) if feature.log1p else numbers
        if feature.indicator:
            numbers = np.where(columns[f"{feature.name}_missing"] > 0, np.nan, numbers)
        # A float32 has 7 digits; the rest is what scaling made of it.
        return np.array([float(f"{n:.6g}") for n in numbers])

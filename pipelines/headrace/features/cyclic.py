"""Define the kind `cyclic`: a number that goes round, as sine and cosine, float32 each.

They are those of 2 pi (x mod period) / period; missing gives 0 and 0. Sine and cosine are both
sines of an angle of a quarter turn at most, which is a difference that is exact where the sine is
near 0: there, one unit in the last place of a whole angle would be all of it.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from headrace.columns.histogram import NUMBER_BINS, HistogramAxis
from headrace.columns.statistics import Statistics
from headrace.columns.values import Values
from headrace.features.kind import ColumnSection, FittedColumnFeature, NumbersKind
from headrace.features.text_index import TextIndex
from headrace.schema import NUMBERS

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column, LookupTable


class CyclicSection(ColumnSection):
    """Sine and cosine of a number that goes round, for example an hour with period 24."""

    accepted_types = NUMBERS

    kind: Literal["cyclic"]
    period: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def list_dataset_columns(self, name: str) -> list[str]:
        """Return the columns of sine and cosine."""
        return [f"{name}_sin", f"{name}_cos"]


class CyclicFeature(FittedColumnFeature):
    """A number that goes round, as sine and cosine."""

    kind: Literal["cyclic"] = "cyclic"
    name: str
    column: str
    period: float

    @property
    def dataset_columns(self) -> tuple[str, ...]:
        """Return the columns of sine and cosine."""
        return f"{self.name}_sin", f"{self.name}_cos"


class CyclicKind(NumbersKind[CyclicSection, CyclicFeature]):
    """A number that goes round."""

    sections = (CyclicSection,)
    fitted = CyclicFeature

    def fit_feature(
        self, name: str, section: CyclicSection, statistics: Statistics
    ) -> CyclicFeature:
        """Return the feature; nothing is learnt."""
        return CyclicFeature(name=name, column=section.column or name, period=section.period)

    def compute_arrays(
        self, feature: CyclicFeature, columns: Mapping[str, Values], vocabulary: TextIndex | None
    ) -> dict[str, np.ndarray]:
        """Return sine and cosine, float32 (n,) each."""
        values, period = columns[feature.column], feature.period
        numbers = np.where(values.missing, 0.0, values.to_float64())
        rest = np.fmod(numbers, period)
        far = np.minimum(np.abs(rest), period - np.abs(rest))  # from the nearest whole turn
        behind = (rest < 0) != (np.abs(rest) > period / 2)
        up = np.where(far > period / 4, period / 2 - far, far)
        sine = np.sin(up / period * (2 * np.pi))
        cosine = np.sin((period / 4 - far) / period * (2 * np.pi))
        waves = (np.where(behind, -sine, sine), cosine)
        arrays = [np.where(values.missing, 0.0, wave).astype(np.float32) for wave in waves]
        return dict(zip(feature.dataset_columns, arrays, strict=True))

    def compute_tensors(
        self,
        feature: CyclicFeature,
        columns: "Mapping[str, Column]",
        table: "LookupTable | None",
    ) -> "dict[str, tf.Tensor]":
        """Return sine and cosine, float32 (batch,) each."""
        import tensorflow as tf

        column, period = columns[feature.column], feature.period
        rest = tf.truncatemod(column.to_float64(), tf.constant(period, tf.float64))
        far = tf.minimum(tf.abs(rest), period - tf.abs(rest))
        behind = tf.not_equal(rest < 0, tf.abs(rest) > period / 2)
        up = tf.where(far > period / 4, period / 2 - far, far)
        sine = tf.sin(up / period * (2 * math.pi))
        cosine = tf.sin((period / 4 - far) / period * (2 * math.pi))
        waves = (tf.where(behind, -sine, sine), cosine)
        zero = tf.zeros_like(sine)
        tensors = [tf.cast(tf.where(column.missing, zero, wave), tf.float32) for wave in waves]
        return dict(zip(feature.dataset_columns, tensors, strict=True))

    def list_axes(
        self, feature: CyclicFeature, section: CyclicSection, statistics: Statistics
    ) -> list[HistogramAxis]:
        """Return an axis from -1 to 1 for sine and cosine each."""
        edges = tuple(float(edge) for edge in np.linspace(-1, 1, NUMBER_BINS + 1))
        return [HistogramAxis(column, edges, edges) for column in feature.dataset_columns]

    def make_example_values(
        self, feature: CyclicFeature, *, in_lists: bool
    ) -> tuple[Any, Any] | None:
        """Return the beginning and the middle of the period."""
        return 0, feature.period / 2

    def restore_numbers(
        self, feature: CyclicFeature, columns: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Return where in the period the numbers are, to 6 decimals."""
        sine, cosine = (columns[name] for name in feature.dataset_columns)
        turns = np.mod(np.arctan2(sine, cosine).astype(np.float64) / (2 * np.pi), 1.0)
        is_missing = (sine == 0) & (cosine == 0)  # of a number one of the two is not 0
        return np.where(is_missing, np.nan, np.round(turns * feature.period, 6))

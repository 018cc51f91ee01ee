"""Bring numbers on a scale learnt from the train split: what `scaled` and `series` share.

A value x becomes float32((g(x) - center) / scale), with the arithmetic in float64. g clips to
`clip`, then takes log1p where `log1p` says so (which makes values <= -1 missing); missing gives
`fill` for g(x). A result beyond float32 is clipped to its largest finite value.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from headrace.columns.histogram import HistogramAxis, make_number_axis
from headrace.columns.statistics import (
    NumberSummary,
    Statistics,
    TextCounts,
    round_to_scale,
)
from headrace.columns.values import Values
from headrace.errors import LakeError, Problem
from headrace.features.kind import ColumnSection, FittedColumnFeature
from headrace.features.summaries import (
    Limits,
    NumberSummaryRequest,
    TextCountsRequest,
    prescale_numbers,
)
from headrace.recipe_section import Finite, Section
from headrace.schema import NUMBERS

if TYPE_CHECKING:
    import tensorflow as tf

    from headrace.features.tensors import Column

FLOAT32_MAX = float(np.finfo(np.float32).max)


# --- the recipe -----------------------------------------------------------------------------------
class Clip(Section):
    """Outliers: values beyond the limits become the limits. Give one of the three."""

    values: Annotated[list[Finite | None], Field(min_length=2, max_length=2)] | None = None
    """[low, high]; null for no limit."""
    quantiles: (
        Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)]
        | None
    ) = None
    """[low, high] quantiles of the train split, for example [0.01, 0.99]."""
    iqr: Annotated[float, Field(gt=0)] | None = None
    """Limits this many interquartile ranges outside the quartiles of the train split; 1.5 is
    usual."""


class Constant(Section):
    """A value of one's own."""

    constant: Finite | str


Impute = Literal["mean", "median", "most_frequent"] | Constant


class OnScaleSection(ColumnSection):
    """Base of the sections whose numbers are brought on a scale."""

    accepted_types = NUMBERS
    if TYPE_CHECKING:  # declared by each section, where its keys are to stand
        clip: Clip | None
        impute: Impute

    @property
    def scaling(self) -> str:
        """Return how center and scale are learnt: a kind of section, or `none`."""
        return self.kind

    @property
    def takes_log1p(self) -> bool:
        """Return whether log(1 + x) is taken first."""
        raise NotImplementedError

    def make_summary_request(self, name: str) -> NumberSummaryRequest:
        """Return a request for the summary that center, scale and limits are learnt from."""
        values = self.clip.values if self.clip else None
        fixed = (values[0], values[1]) if values else (None, None)
        return NumberSummaryRequest(self.column or name, fixed, self.takes_log1p)

    def find_limit_problems(self, where: str) -> list[Problem]:
        """Return what is wrong with `clip`."""
        return find_clip_problems(self.clip, f"{where}.clip")

    def find_impute_problems(self, where: str) -> list[Problem]:
        """Return what is wrong with a constant of one's own."""
        return find_constant_problems(self.impute, f"{where}.impute", text=False)


def find_clip_problems(clip: Clip | None, where: str) -> list[Problem]:
    """Return what is wrong with limits that are not one pair, or not ascending."""
    if clip is None:
        return []
    problems = []
    keys = [key for key in ("values", "quantiles", "iqr") if getattr(clip, key) is not None]
    if len(keys) != 1:
        shown = " and ".join(keys) or "nothing"
        problems.append(Problem(where, f"got {shown}", "give one of values, quantiles, iqr"))
    for key in ("values", "quantiles"):
        pair = getattr(clip, key)
        if pair and None not in pair and pair[0] >= pair[1]:
            problems.append(Problem(f"{where}.{key}", f"{pair[0]} is not below {pair[1]}"))
    return problems


def find_constant_problems(impute: object, where: str, *, text: bool) -> list[Problem]:
    """Return that a constant is not of the type of the values, if so.

    Args:
        impute: the recipe's.
        where: its key.
        text: whether the values are texts, and not numbers.
    """
    if not isinstance(impute, Constant) or isinstance(impute.constant, str) == text:
        return []
    expected = "a text" if text else "a number"
    return [Problem(f"{where}.constant", f"got {impute.constant!r}", expected)]


# --- the fitted form ------------------------------------------------------------------------------
class OnScale(FittedColumnFeature):
    """Numbers on a scale learnt from the train split."""

    name: str
    column: str
    clip: Limits = (None, None)
    log1p: bool = False
    fill: float = 0.0
    center: float = 0.0
    scale: float = 1.0

    def restore_value(self, scaled: float) -> float:
        """Return the value that the feature makes `scaled` of, where it is not clipped."""
        value = self.center + scaled * self.scale
        if not self.log1p:
            return value
        # What follows is log1p's reverse, within what float64 holds.
        return math.expm1(min(value, 700.0))


def fit_scale(name: str, section: OnScaleSection, statistics: Statistics) -> dict[str, object]:
    """Return the fields of `OnScale` as learnt from the train split.

    Args:
        name: of the feature.
        section: the recipe's.
        statistics: the summary of the column's numbers, and where the most frequent value stands
            for missing ones the counts of its texts.

    Raises:
        LakeError: the values' spread overflows float64.
    """
    request = section.make_summary_request(name)
    numbers = get_summary(request, statistics)
    limits = request.clip
    if section.clip and not section.clip.values:
        low, high = _fit_limits(section.clip, numbers)
        numbers = numbers.clip_values(low, high)
        # Statistics are those of the logarithms, limits those of the values.
        limits = (math.expm1(low), math.expm1(high)) if request.log1p else (low, high)
    center, scale = _fit_center_and_scale(name, request.column, section.scaling, numbers)
    return {
        "name": name,
        "column": request.column,
        "clip": limits,
        "log1p": request.log1p,
        "fill": _fit_fill(section.impute, request, limits, numbers, statistics),
        "center": center,
        "scale": scale,
    }


def get_summary(request: NumberSummaryRequest, statistics: Statistics) -> NumberSummary:
    """Return the summary of a column's numbers."""
    summary = statistics[request.key]
    assert isinstance(summary, NumberSummary)
    return summary


def _fit_limits(clip: Clip, numbers: NumberSummary) -> tuple[float, float]:
    if clip.quantiles:
        return numbers.quantile(clip.quantiles[0]), numbers.quantile(clip.quantiles[1])
    lower, upper = numbers.quantile(0.25), numbers.quantile(0.75)
    margin = float(clip.iqr or 0.0) * (upper - lower)
    return lower - margin, upper + margin


def _fit_center_and_scale(
    name: str, column: str, scaling: str, numbers: NumberSummary
) -> tuple[float, float]:
    if scaling in ("none", "log1p"):
        return 0.0, 1.0
    if scaling == "min_max":
        center, largest = numbers.find_limits()
        scale = largest - center
    elif scaling == "robust":
        center = numbers.quantile(0.5)
        scale = numbers.quantile(0.75) - numbers.quantile(0.25)
    else:
        center, scale = numbers.compute_moments()
    if not math.isfinite(scale) or not math.isfinite(center):
        raise LakeError(
            f"feature {name!r}: column {column!r} holds values so large that their spread "
            "overflows float64; clip them or leave the column out"
        )
    if scale <= 0:
        return center, 1.0
    return round_to_scale(center, scale) if scaling == "standardize" else (center, scale)


def _fit_fill(
    impute: Impute,
    request: NumberSummaryRequest,
    limits: Limits,
    numbers: NumberSummary,
    statistics: Statistics,
) -> float:
    """Return what stands for a missing value, on the scale after clip and log1p."""
    if impute == "mean":
        mean, spread = numbers.compute_moments()
        return round_to_scale(mean, spread)[0] if 0 < spread < math.inf else mean
    if impute == "median":
        return numbers.quantile(0.5)
    if isinstance(impute, Constant):
        value = float(impute.constant)
    else:
        counts = statistics[TextCountsRequest(request.column).key]
        assert isinstance(counts, TextCounts)
        ranked = counts.list_most_frequent()
        # Of several most frequent values the smallest, as scikit-learn has it.
        top = [float(text) for text, count in ranked if count == ranked[0][1]]
        value = min(top) if top else 0.0
    low, high = limits
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    return (math.log1p(value) if value > -1 else 0.0) if request.log1p else value


# --- execution ------------------------------------------------------------------------------------
def scale_values(values: Values, feature: OnScale) -> np.ndarray:
    """Return the numbers on the feature's scale, float32 (n,)."""
    numbers, missing = prescale_numbers(values, feature.clip, feature.log1p)
    with np.errstate(over="ignore", invalid="ignore"):
        result = (np.where(missing, feature.fill, numbers) - feature.center) / feature.scale
    return np.clip(result, -FLOAT32_MAX, FLOAT32_MAX).astype(np.float32)


def scale_tensors(column: "Column", features: Sequence[OnScale]) -> "tuple[tf.Tensor, tf.Tensor]":
    """Return the numbers on the features' scales, float32, and what is missing of them, bool.

    Args:
        column: (batch, features); of one feature any number of elements, (batch, length).
        features: all with `log1p`, or all without.
    """
    import tensorflow as tf

    def as_row(values: list[float]) -> tf.Tensor:
        return tf.constant(values, tf.float64)

    numbers, missing = column.to_float64(), column.missing
    lows = [-math.inf if f.clip[0] is None else f.clip[0] for f in features]
    highs = [math.inf if f.clip[1] is None else f.clip[1] for f in features]
    if any(low > -math.inf for low in lows):
        numbers = tf.maximum(numbers, as_row(lows))
    if any(high < math.inf for high in highs):
        numbers = tf.minimum(numbers, as_row(highs))
    if features[0].log1p:
        missing = tf.logical_or(missing, numbers <= -1)
        numbers = _take_log1p(tf.where(missing, tf.zeros_like(numbers), numbers), len(features))
    numbers = tf.where(missing, as_row([f.fill for f in features]), numbers)
    centered = numbers - as_row([f.center for f in features])
    result = centered / as_row([f.scale for f in features])
    return tf.cast(tf.clip_by_value(result, -FLOAT32_MAX, FLOAT32_MAX), tf.float32), missing


def _take_log1p(numbers: "tf.Tensor", features: int) -> "tf.Tensor":
    """Return log(1 + x), of each feature by itself.

    TensorFlow's kernel rounds the numbers at a tensor's end differently from those before, and the
    bits of a column shall not depend on which others there are.
    """
    import tensorflow as tf

    if features == 1:
        return tf.math.log1p(numbers)
    columns = tf.unstack(numbers, features, axis=1)
    return tf.stack([tf.math.log1p(column) for column in columns], axis=1)


# --- the data report ------------------------------------------------------------------------------
def make_scaled_axis(
    feature: OnScale, section: OnScaleSection, statistics: Statistics
) -> HistogramAxis:
    """Return the axis of a feature's numbers, of the clipped values of the train split."""
    summary = get_summary(section.make_summary_request(feature.name), statistics)
    low, high = feature.clip
    if feature.log1p:  # to where the statistics are
        low = math.log1p(low) if low is not None and low > -1 else None
        high = math.log1p(high) if high is not None and high > -1 else None
    clipped = summary.clip_values(low, high)
    return make_number_axis(feature.name, clipped, feature.center, feature.scale)

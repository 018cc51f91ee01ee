"""The recipe's keys about columns: derivations and features, fitted on the train split only."""

from typing import Annotated, Literal

from pydantic import Field

from headrace.recipe.base import Count, Finite, Section, Text


class DayOfWeek(Section):
    """1 (Monday) to 7 (Sunday) of the date in integer columns year, month, day; else missing."""

    kind: Literal["day_of_week"]
    columns: Annotated[list[str], Field(min_length=3, max_length=3)]


class HourOfDay(Section):
    """Hour of a clock time written as an integer HHMM, for example 517 -> 5."""

    kind: Literal["hour_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class MinuteOfDay(Section):
    """Minutes since midnight of a clock time written as an integer HHMM, for example 517 -> 317."""

    kind: Literal["minute_of_day"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]


class Difference(Section):
    """First column minus the second; missing where either is."""

    kind: Literal["difference"]
    columns: Annotated[list[str], Field(min_length=2, max_length=2)]


class TimePart(Section):
    """A calendar field of a timestamp, in UTC; day_of_week is 1 (Monday) to 7 (Sunday)."""

    kind: Literal["time_part"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]
    part: Literal["year", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second"]


class SecondsSince(Section):
    """Seconds from `origin` to a timestamp, with microseconds as a fraction."""

    kind: Literal["seconds_since"]
    columns: Annotated[list[str], Field(min_length=1, max_length=1)]
    origin: Text
    """ISO 8601 date or time; UTC where it names no zone."""


Derivation = Annotated[
    DayOfWeek | HourOfDay | MinuteOfDay | Difference | TimePart | SecondsSince,
    Field(discriminator="kind"),
]


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


class _Feature(Section):
    column: str | None = None
    """Raw or derived column; the feature's own name where it is left out."""


class _Number(_Feature):
    clip: Clip | None = None
    """Before everything else; quantiles are those of the values as they are."""
    impute: Impute = "mean"
    """What a missing value becomes; NaN and infinities are missing. Mean, median and most frequent
    value of the train split, after clipping (and log1p)."""
    indicator: bool = False
    """One more column, `<feature>_missing`, 1 where the value was missing."""


class _Scaled(_Number):
    log1p: bool = False
    """Take log(1 + x) first; values of -1 and less are missing."""


class Standardize(_Scaled):
    """(x - mean) / standard deviation of the train split."""

    kind: Literal["standardize"]


class MinMax(_Scaled):
    """(x - min) / (max - min) of the train split: 0 to 1 there, and beyond elsewhere."""

    kind: Literal["min_max"]


class Robust(_Scaled):
    """(x - median) / interquartile range of the train split."""

    kind: Literal["robust"]


class Log1p(_Number):
    """log(1 + x), on no further scale; values of -1 and less are missing."""

    kind: Literal["log1p"]


class QuantileBuckets(_Feature):
    """Ids of intervals with equally many rows of the train split; 0 is missing."""

    kind: Literal["quantile_buckets"]
    buckets: Annotated[int, Field(ge=2, le=10_000)]


class FixedBuckets(_Feature):
    """Ids of the intervals between `boundaries`, each closed on the left; 0 is missing."""

    kind: Literal["fixed_buckets"]
    boundaries: Annotated[list[Finite], Field(min_length=1)]


class Vocabulary(_Feature):
    """Ids ordered by count then value on the train split; 0 is missing, then unknown values."""

    kind: Literal["vocabulary"]
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1
    """Ids that values out of the vocabulary share, by hash."""
    impute: Literal["most_frequent"] | Constant | None = None
    """What a missing value becomes; by default it has id 0 for itself."""


Buckets = Annotated[int, Field(ge=2, le=2**31 - 2)]


class Hash(_Feature):
    """Fingerprint64 of the text modulo `buckets`, plus 1; 0 is missing."""

    kind: Literal["hash"]
    buckets: Buckets


class Cross(Section):
    """One id for several columns together, hashed; 0 where one of them is missing."""

    kind: Literal["cross"]
    columns: Annotated[list[str], Field(min_length=2)]
    buckets: Buckets


class MultiValued(_Feature):
    """Ids of the first `length` elements of a list column, padded with 0."""

    kind: Literal["multi_valued"]
    length: Count
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1
    buckets: Buckets | None = None
    """Hash the elements instead of looking them up."""


class TextIds(_Feature):
    """Ids of the first `length` words of a text, padded with 0."""

    kind: Literal["text"]
    length: Count
    lower: bool = True
    """ASCII letters to lower case."""
    strip_punctuation: bool = True
    """ASCII punctuation to spaces."""
    min_count: Count = 1
    max_size: Count | None = None
    oov_ids: Count = 1


class Cyclic(_Feature):
    """Sine and cosine of a number that goes round, for example an hour with period 24."""

    kind: Literal["cyclic"]
    period: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Series(_Feature):
    """A list of numbers of one length, all on one scale; shorter lists are padded as missing."""

    kind: Literal["series"]
    length: Count
    scale: Literal["standardize", "min_max", "robust", "none"] = "standardize"
    clip: Clip | None = None
    log1p: bool = False
    impute: Impute = "mean"


class Image(_Feature):
    """PNG or JPEG bytes, or a list of height x width x channels integers; kept as uint8."""

    kind: Literal["image"]
    height: Count
    width: Count
    channels: Literal[1, 3, 4] = 1


Feature = Annotated[
    Standardize
    | MinMax
    | Robust
    | Log1p
    | QuantileBuckets
    | FixedBuckets
    | Vocabulary
    | Hash
    | Cross
    | MultiValued
    | TextIds
    | Cyclic
    | Series
    | Image,
    Field(discriminator="kind"),
]


def columns_of(name: str, feature: Feature) -> list[str]:
    """Raw or derived columns that a feature reads."""
    return list(feature.columns) if isinstance(feature, Cross) else [feature.column or name]

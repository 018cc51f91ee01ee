"""How the train split's statistics become a `TransformSpec`.

No engine: the statistics may come from Spark's tasks (`prepare/`) or from one table in memory.
"""

import math
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.recipe.times import micros_of
from headrace.transform.columns import read_column
from headrace.transform.multi_label import each_label
from headrace.transform.spec import (
    BucketsFeature,
    CyclicFeature,
    DerivedColumn,
    FittedFeature,
    HashFeature,
    ImageFeature,
    LabelSpec,
    RawColumn,
    RawKind,
    ScaledFeature,
    SeriesFeature,
    TransformSpec,
    VocabularyFeature,
)
from headrace.transform.statistics import NumberSummary, TextCounts
from headrace.transform.variables import (
    LABEL,
    Limits,
    Numbers,
    Statistics,
    Texts,
    numbers_of,
    texts_of,
    tokens_of,
    variables_of,
)

OF_TEXTS = ("classes", "multi_label")
"""Kinds of label whose values are texts."""


@dataclass(frozen=True)
class Unfitted:
    """What is to be fitted.

    Attributes:
        raw: raw column -> its kind, as found in the lake.
        derive, features, label: the recipe's.
    """

    raw: dict[str, RawKind]
    derive: dict[str, "s.Derivation"]
    features: dict[str, "s.Feature"]
    label: "s.Label" = field(default_factory=lambda: s.Label(expression="label"))

    def derived(self) -> tuple[DerivedColumn, ...]:
        return tuple(_derived(name, item) for name, item in self.derive.items())

    def variables(self) -> dict[str, "Numbers | Texts"]:
        """Everything that has to be known about the train rows, by key, each once."""
        return variables_of(self.features)

    def label_variable(self) -> "Numbers | Texts":
        return Texts(LABEL) if self.label.kind in OF_TEXTS else Numbers(LABEL)

    def label_of(self, array: pa.Array) -> "NumberSummary | TextCounts":
        """Statistics of the labels of the train rows: a float64 or string Arrow array.

        Of a multi_label each string is a row's labels, see `multi_label.py`; each is counted.
        """
        kind: RawKind = "string" if self.label.kind in OF_TEXTS else "real"
        if self.label.kind == "multi_label":
            array = each_label(array)
        return self.label_variable().of({LABEL: read_column(array, kind)})

    def fitted(self, statistics: Statistics, nullable: set[str]) -> TransformSpec:
        """The transform.

        Args:
            statistics: of every variable, by key, and of the label as `LABEL`.
            nullable: raw columns with missing values in published rows.

        Raises:
            LakeError: a feature cannot be fitted on these values.
        """
        raw = tuple(
            RawColumn(name=name, kind=kind, nullable=name in nullable)
            for name, kind in self.raw.items()
        )
        features = tuple(_fitted(n, f, statistics) for n, f in self.features.items())
        label = _label(self.label, statistics)
        return TransformSpec(raw=raw, derived=self.derived(), features=features, label=label)


def _derived(name: str, item: "s.Derivation") -> DerivedColumn:
    origin = None
    if isinstance(item, s.SecondsSince):
        origin = micros_of(item.origin)
    part = item.part if isinstance(item, s.TimePart) else None
    return DerivedColumn(
        name=name, op=item.kind, columns=tuple(item.columns), part=part, origin=origin
    )


def _fitted(name: str, feature: "s.Feature", statistics: Statistics) -> FittedFeature:
    if isinstance(feature, s.Hash):
        return HashFeature(name=name, columns=(feature.column or name,), buckets=feature.buckets)
    if isinstance(feature, s.Cross):
        return HashFeature(name=name, columns=tuple(feature.columns), buckets=feature.buckets)
    column = feature.column or name
    if isinstance(feature, s.Image):
        return ImageFeature(
            name=name, column=column, height=feature.height, width=feature.width,
            channels=feature.channels,
        )  # fmt: skip
    if isinstance(feature, s.Vocabulary):
        return _vocabulary(name, feature, statistics)
    if isinstance(feature, s.TextIds | s.MultiValued):
        if getattr(feature, "buckets", None):
            return tokens_of(name, feature)
        found = statistics[texts_of(name, feature).key]
        assert isinstance(found, TextCounts)
        return tokens_of(name, feature, _words(found, feature))
    if isinstance(feature, s.Cyclic):
        return CyclicFeature(name=name, column=column, period=feature.period)
    if isinstance(feature, s.FixedBuckets):
        return BucketsFeature(name=name, column=column, boundaries=tuple(feature.boundaries))
    numbers = statistics[numbers_of(name, feature).key]
    assert isinstance(numbers, NumberSummary)
    if isinstance(feature, s.QuantileBuckets):
        cuts = [numbers.quantile(i / feature.buckets) for i in range(1, feature.buckets)]
        return BucketsFeature(name=name, column=column, boundaries=tuple(sorted(set(cuts))))
    return _scaled(name, feature, numbers, statistics)


def _vocabulary(name: str, feature: "s.Vocabulary", statistics: Statistics) -> VocabularyFeature:
    found = statistics[texts_of(name, feature).key]
    assert isinstance(found, TextCounts)
    values = _words(found, feature)
    fill = None
    if isinstance(feature.impute, s.Constant):
        fill = str(feature.impute.constant)
    elif feature.impute and found.table.num_rows:
        fill = found.most_frequent(max_size=1)[0][0]
    return VocabularyFeature(
        name=name,
        column=feature.column or name,
        values=values,
        unknown_ids=feature.oov_ids,
        fill=fill,
    )


def _words(
    found: TextCounts, feature: "s.Vocabulary | s.TextIds | s.MultiValued"
) -> tuple[str, ...]:
    return tuple(word for word, _ in found.most_frequent(feature.min_count, feature.max_size))


def _scaled(
    name: str,
    feature: "s.Standardize | s.MinMax | s.Robust | s.Log1p | s.Series",
    numbers: NumberSummary,
    statistics: Statistics,
) -> FittedFeature:
    column = feature.column or name
    wanted = numbers_of(name, feature)
    low, high = wanted.clip
    if feature.clip and not feature.clip.values:
        low, high = _fitted_limits(feature.clip, numbers)
        numbers = numbers.clipped(low, high)
        if wanted.log1p:  # statistics are those of the logarithms, limits those of the values
            low, high = math.expm1(low), math.expm1(high)
    center, scale = _center_and_scale(name, column, feature, numbers)
    fill = _fill(feature, wanted, (low, high), numbers, statistics)
    values = {
        "name": name, "column": column, "clip": (low, high), "log1p": wanted.log1p,
        "fill": fill, "center": center, "scale": scale,
    }  # fmt: skip
    if isinstance(feature, s.Series):
        return SeriesFeature(**values, length=feature.length)  # type: ignore[arg-type]
    return ScaledFeature(**values, indicator=feature.indicator)  # type: ignore[arg-type]


def _fitted_limits(clip: "s.Clip", numbers: NumberSummary) -> tuple[float, float]:
    if clip.quantiles:
        return numbers.quantile(clip.quantiles[0]), numbers.quantile(clip.quantiles[1])
    lower, upper = numbers.quantile(0.25), numbers.quantile(0.75)
    margin = float(clip.iqr or 0.0) * (upper - lower)
    return lower - margin, upper + margin


def _center_and_scale(
    name: str, column: str, feature: "s.Feature", numbers: NumberSummary
) -> tuple[float, float]:
    how = feature.scale if isinstance(feature, s.Series) else feature.kind
    if how in ("none", "log1p"):
        return 0.0, 1.0
    if how == "min_max":
        center, largest = numbers.limits()
        scale = largest - center
    elif how == "robust":
        center = numbers.quantile(0.5)
        scale = numbers.quantile(0.75) - numbers.quantile(0.25)
    else:
        center, scale = numbers.moments()
    if not math.isfinite(scale) or not math.isfinite(center):
        raise LakeError(
            f"feature {name!r}: column {column!r} holds values so large that their spread "
            "overflows float64; clip them or leave the column out"
        )
    if scale <= 0:
        return center, 1.0
    return rounded(center, scale) if how == "standardize" else (center, scale)


def _fill(
    feature: "s.Standardize | s.MinMax | s.Robust | s.Log1p | s.Series",
    wanted: Numbers,
    limits: Limits,
    numbers: NumberSummary,
    statistics: Statistics,
) -> float:
    """What stands for a missing value, on the scale after clip and log1p."""
    impute = feature.impute
    if impute == "mean":
        mean, spread = numbers.moments()
        return rounded(mean, spread)[0] if 0 < spread < math.inf else mean
    if impute == "median":
        return numbers.quantile(0.5)
    if isinstance(impute, s.Constant):
        value = float(impute.constant)
    else:
        counted = statistics[Texts(wanted.column).key]
        assert isinstance(counted, TextCounts)
        ranked = counted.most_frequent()
        # Of several most frequent values the smallest, as scikit-learn has it.
        top = [float(word) for word, count in ranked if count == ranked[0][1]]
        value = min(top) if top else 0.0
    low, high = limits
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    return (math.log1p(value) if value > -1 else 0.0) if wanted.log1p else value


def _label(label: "s.Label", statistics: Statistics) -> LabelSpec:
    found = statistics.get(LABEL)
    classes: tuple[str, ...] = ()
    center, scale = 0.0, 1.0
    if isinstance(found, TextCounts):
        classes = tuple(sorted((word for word, _ in found.most_frequent()), key=_class_order))
    elif isinstance(found, NumberSummary) and label.kind == "regression" and label.standardize:
        center, scale = found.moments()
        center, scale = rounded(center, scale) if 0 < scale < math.inf else (center, 1.0)
    return LabelSpec(
        kind=label.kind,
        classes=classes,
        center=center,
        scale=scale,
        weighted=label.class_weight is not None or label.sample_weight is not None,
        baseline=label.baseline is not None,
    )


def _class_order(text: str) -> tuple[int, int, str]:
    """Whole numbers by value, then texts."""
    number = text.removeprefix("-")
    whole = number.isascii() and number.isdigit()
    return (0, int(text), "") if whole else (1, 0, text)


def class_weights(label: "s.Label", found: "NumberSummary | TextCounts") -> dict[str, float]:
    """Factor of the loss by class, classes as texts; 1 for classes that are not named.

    Args:
        label: `class_weight` is read.
        found: the statistics of the train split's labels.
    """
    if isinstance(found, TextCounts):
        counts = dict(found.most_frequent())
    else:
        positive = round(found.moments()[0] * found.rows)
        counts = {"true": positive, "false": found.rows - positive}
    if label.class_weight == "balanced":
        rows, seen = sum(counts.values()), sum(1 for n in counts.values() if n)
        return {name: rows / (seen * n) for name, n in counts.items() if n}
    named = label.class_weight if isinstance(label.class_weight, dict) else {}
    unknown = sorted(set(named) - set(counts))
    if unknown:
        raise LakeError(
            f"label.class_weight names {', '.join(map(repr, unknown))}, which the train split does "
            f"not have; its classes are {', '.join(map(repr, sorted(counts)[:20]))}"
        )
    return {name: named.get(name, 1.0) for name in counts}


def rounded(center: float, scale: float) -> tuple[float, float]:
    """Both to a 2**-30 of the scale: rows summed in another order then give the same transform.

    How rows are dealt to tasks depends on the number of partitions, and float sums depend on it in
    the last bits. A 2**-30 standard deviation is a thousand times under float32's own rounding.
    """
    unit = 2.0 ** (math.floor(math.log2(scale)) - 30)
    return round(center / unit) * unit, round(scale / unit) * unit

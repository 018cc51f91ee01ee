"""Fit a `TransformSpec` on the statistics of the train split, for features and label alike.

No engine: the statistics may come from Spark's tasks (`prepare/`) or from one table in memory. How
a feature is fitted is left to its kind in `features`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.columns.statistics import NumberSummary, Statistics, TextCounts, round_to_scale
from headrace.columns.values import RawKind, read_column
from headrace.errors import LakeError
from headrace.features.kinds import find_feature_kind
from headrace.features.summaries import (
    NumberSummaryRequest,
    SummaryRequest,
    TextCountsRequest,
)
from headrace.labels.kind import LabelKind, Values
from headrace.labels.kinds import find_label_kind
from headrace.labels.label_texts import list_labels
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from headrace.recipe.times import parse_time_to_micros
from headrace.transform.rules import FittedRule, LeftOutRule
from headrace.transform.spec import DerivedColumn, RawColumn, StoredAs, TransformSpec
from headrace.transform.summaries import LABEL_KEY, collect_summary_requests
from headrace.transform.time_zone import FittedZone, fit_zone


@dataclass(frozen=True)
class FitInputs:
    """A transform that is still to be fitted.

    Attributes:
        raw: raw column -> its kind, as found in the lake.
        derive, features, label: the recipe's.
        rules: those of the recipe that act wherever the transform does; None where Spark alone
            applies them, as for transforms that an older Headrace fitted.
        rule_columns: columns that only rules read -> kind.
        left_out: rules that act on these rows alone.
        stored_as: see `RawColumn`.
        zones: the rules of the time zones that `derive` names, by name; those of this machine where
            they are left out, read once, because other machines may know others.
    """

    raw: dict[str, RawKind]
    derive: dict[str, "s.Derivation"]
    features: dict[str, "s.Feature"]
    label: "s.Label" = field(default_factory=lambda: s.Label(expression="label"))
    rules: tuple[FittedRule, ...] | None = ()
    rule_columns: dict[str, RawKind] = field(default_factory=dict)
    left_out: tuple[LeftOutRule, ...] = ()
    stored_as: Mapping[str, StoredAs] = field(default_factory=dict)
    zones: Mapping[str, FittedZone] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {item.time_zone for item in self.derive.values() if isinstance(item, s.TimePart)}
        zones = {name: fit_zone(name) for name in names - {"UTC", *self.zones}}
        object.__setattr__(self, "zones", {**self.zones, **zones})

    def list_derived_columns(self) -> tuple[DerivedColumn, ...]:
        """Return the recipe's derived columns."""
        return tuple(
            _make_derived_column(name, item, self.zones) for name, item in self.derive.items()
        )

    def collect_summary_requests(self) -> dict[str, "SummaryRequest"]:
        """Return the request for every summary that the features are fitted on, by key."""
        return collect_summary_requests(self.features)

    @property
    def label_kind(self) -> LabelKind:
        """Return the definition of the label's kind."""
        return find_label_kind(self.label.kind)

    def make_label_request(self) -> "SummaryRequest":
        """Return the request for the summary that the label is fitted on."""
        return (
            TextCountsRequest(LABEL_KEY)
            if self.label_kind.has_text_values
            else NumberSummaryRequest(LABEL_KEY)
        )

    def summarize_labels(self, array: pa.Array) -> "NumberSummary | TextCounts":
        """Summarise the labels of train rows, a float64 or string Arrow array.

        Of a multi_label each string is a row's labels, see `labels.label_texts`; each is counted.
        """
        kind: RawKind = "string" if self.label_kind.has_text_values else "real"
        if self.label_kind.values is Values.TEXTS:
            array = list_labels(array)
        return self.make_label_request().summarize({LABEL_KEY: read_column(array, kind)})

    def fit_spec(self, statistics: Statistics, nullable: set[str]) -> TransformSpec:
        """Return the fitted transform.

        Args:
            statistics: every summary, by key, and that of the label as `LABEL`.
            nullable: raw columns with missing values in published rows.

        Raises:
            LakeError: a feature cannot be fitted on these values.
        """
        raw = tuple(
            RawColumn(
                name=name,
                kind=kind,
                nullable=name in nullable,
                stored_as=self.stored_as.get(name),
            )
            for name, kind in self.raw.items()
        )
        features = tuple(
            find_feature_kind(section).fit_feature(name, section, statistics)
            for name, section in self.features.items()
        )
        label = _fit_label(self.label, statistics)
        return TransformSpec(
            raw=raw,
            derived=self.list_derived_columns(),
            features=features,
            label=label,
            rules=self.rules,
            rule_columns=tuple(
                RawColumn(name=name, kind=kind, nullable=True, stored_as=self.stored_as.get(name))
                for name, kind in self.rule_columns.items()
            ),
            left_out=self.left_out,
        )


def _make_derived_column(
    name: str, item: "s.Derivation", zones: Mapping[str, FittedZone]
) -> DerivedColumn:
    origin = part = zone = None
    if isinstance(item, s.SecondsSince):
        origin = parse_time_to_micros(item.origin)
    if isinstance(item, s.TimePart):
        part, zone = item.part, zones.get(item.time_zone)
    return DerivedColumn(
        name=name, op=item.kind, columns=tuple(item.columns), part=part, zone=zone, origin=origin
    )


def _fit_label(label: "s.Label", statistics: Statistics) -> LabelSpec:
    summary = statistics.get(LABEL_KEY)
    classes: tuple[str, ...] = ()
    center, scale = 0.0, 1.0
    if isinstance(summary, TextCounts):
        classes = tuple(
            sorted((text for text, _ in summary.list_most_frequent()), key=_make_class_sort_key)
        )
    elif isinstance(summary, NumberSummary) and label.standardize:
        center, scale = summary.compute_moments()
        center, scale = round_to_scale(center, scale) if 0 < scale < math.inf else (center, 1.0)
    return LabelSpec(
        kind=label.kind,
        classes=classes,
        center=center,
        scale=scale,
        weighted=label.class_weight is not None or label.sample_weight is not None,
        baseline=label.baseline is not None,
    )


def _make_class_sort_key(text: str) -> tuple[int, int, str]:
    """Return a key that sorts whole numbers by value, then texts."""
    number = text.removeprefix("-")
    whole = number.isascii() and number.isdigit()
    return (0, int(text), "") if whole else (1, 0, text)


def compute_class_weights(
    label: "s.Label", summary: "NumberSummary | TextCounts"
) -> dict[str, float]:
    """Return the factor of the loss by class, classes as texts; 1 for classes not named.

    Args:
        label: `class_weight` is read.
        summary: the statistics of the train split's labels.
    """
    if isinstance(summary, TextCounts):
        counts = dict(summary.list_most_frequent())
    else:
        positive = round(summary.compute_moments()[0] * summary.rows)
        counts = {"true": positive, "false": summary.rows - positive}
    if label.class_weight == "balanced":
        rows, classes = sum(counts.values()), sum(1 for n in counts.values() if n)
        return {name: rows / (classes * n) for name, n in counts.items() if n}
    weights = label.class_weight if isinstance(label.class_weight, dict) else {}
    unknown = sorted(set(weights) - set(counts))
    if unknown:
        raise LakeError(
            f"label.class_weight names {', '.join(map(repr, unknown))}, which the train split does "
            f"not have; its classes are {', '.join(map(repr, sorted(counts)[:20]))}. "
            "Name these, or remove the others from label.class_weight"
        )
    return {name: weights.get(name, 1.0) for name in counts}

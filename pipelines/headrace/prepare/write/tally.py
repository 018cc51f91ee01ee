"""Count the distributions of what is written: small arrays a file, added up in the end."""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from headrace.lake.data_file import SPLITS
from headrace.lake.histogram import Axis
from headrace.lake.profile import Distribution, FileTally, Profile, RawColumnProfile
from headrace.transform.fit import Unfitted
from headrace.transform.multi_label import NONE, counted_ids
from headrace.transform.spec import (
    BucketsFeature,
    CyclicFeature,
    HashFeature,
    ImageFeature,
    OnScale,
    TokensFeature,
    TransformSpec,
    VocabularyFeature,
)
from headrace.transform.statistics import NumberSummary
from headrace.transform.variables import LABEL, Statistics

_BINS = 20
_TOP = 10  # most frequent values shown
_SHOWN_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
LABEL_COLUMN = "label"


def axes_of(spec: TransformSpec, unfitted: Unfitted, statistics: Statistics) -> tuple[Axis, ...]:
    """An axis for every column of the dataset that has a distribution, the label last."""
    axes: list[Axis] = []
    for feature in spec.features:
        if isinstance(feature, OnScale):
            summary = _summary_of(feature.name, unfitted, statistics)
            clipped = summary.clipped(*_on_scale(feature))
            axes.append(_number_axis(feature.name, clipped, feature.center, feature.scale))
        elif isinstance(feature, CyclicFeature):
            axes.append(_wave(f"{feature.name}_sin"))
            axes.append(_wave(f"{feature.name}_cos"))
        elif isinstance(feature, ImageFeature):
            edges = tuple(float(e) for e in np.linspace(0, 256, 17))
            axes.append(Axis(feature.name, edges, edges))
        elif isinstance(feature, VocabularyFeature):
            first = 1 + feature.unknown_ids
            words = [*feature.values[:_TOP], "other"]
            unknown = [f"unknown {i}" for i in range(feature.unknown_ids)]
            if feature.unknown_ids == 1:
                unknown = ["unknown"]
            axes.append(
                Axis(feature.name, labels=("missing", *unknown, *words), unknown=(1, first))
            )
        elif isinstance(feature, BucketsFeature):
            limits = [-math.inf, *feature.boundaries, math.inf]
            pairs = itertools.pairwise(limits)
            words = [f"{low:.4g} to {high:.4g}" for low, high in pairs]
            axes.append(Axis(feature.name, labels=("missing", *words[:30], "other")))
        else:
            axes.append(_id_axis(feature))
    label = statistics[LABEL]
    if spec.label.classes:
        none = (NONE,) if spec.label.kind == "multi_label" else ()
        axes.append(Axis(LABEL_COLUMN, labels=(*none, *spec.label.classes[:30], "other")))
    else:
        assert isinstance(label, NumberSummary)
        axes.append(_number_axis(LABEL_COLUMN, label, spec.label.center, spec.label.scale))
    return tuple(axes)


def _summary_of(name: str, unfitted: Unfitted, statistics: Statistics) -> NumberSummary:
    alone = Unfitted(unfitted.raw, unfitted.derive, {name: unfitted.features[name]})
    found = (statistics[key] for key in alone.variables())
    return next(f for f in found if isinstance(f, NumberSummary))


def _on_scale(feature: OnScale) -> tuple[float | None, float | None]:
    """The feature's clip limits where its statistics are: after log1p."""
    low, high = feature.clip
    if not feature.log1p:
        return low, high
    return (
        math.log1p(low) if low is not None and low > -1 else None,
        math.log1p(high) if high is not None and high > -1 else None,
    )


def _number_axis(name: str, summary: NumberSummary, center: float, scale: float) -> Axis:
    """From the 0.5% to the 99.5% quantile of the train split."""
    low, high = summary.quantile(0.005), summary.quantile(0.995)
    if not high > low:
        margin = max(0.5, abs(low) * 1e-6)
        low, high = low - margin, low + margin
    shown = np.linspace(low, high, _BINS + 1)
    quantiles = tuple(summary.quantile(q) for q in _SHOWN_QUANTILES) if summary.rows else ()
    own = (shown - center) / scale
    return Axis(name, tuple(own.tolist()), tuple(shown.tolist()), quantiles=quantiles)


def _wave(name: str) -> Axis:
    edges = tuple(float(e) for e in np.linspace(-1, 1, _BINS + 1))
    return Axis(name, edges, edges)


def _id_axis(feature: "HashFeature | TokensFeature") -> Axis:
    if isinstance(feature, TokensFeature) and feature.buckets is None:
        first = 1 + feature.unknown_ids
        unknown = ["unknown"] * feature.unknown_ids
        labels = ("padding", *unknown, *feature.values[:_TOP], "other")
        return Axis(feature.name, labels=labels, unknown=(1, first), padded=True)
    padded = isinstance(feature, TokensFeature)
    return Axis(feature.name, labels=("missing", "present"), padded=padded)


def tally_of(
    path: str, columns: dict[str, np.ndarray], axes: tuple[Axis, ...], missing: dict[str, int]
) -> FileTally:
    """Count the columns of a data file.

    Args:
        path: of the file.
        columns: dataset column -> its values.
        axes: what is counted.
        missing: raw column -> rows where it is missing.
    """
    label = columns[LABEL_COLUMN]
    if label.ndim == 2:
        columns = columns | {LABEL_COLUMN: counted_ids(label)}
    return FileTally(
        path=path,
        counts={axis.name: axis.count(columns[axis.name]) for axis in axes},
        unknown={axis.name: axis.count_unknown(columns[axis.name]) for axis in axes},
        missing=missing,
    )


def empty_profile(axes: tuple[Axis, ...], raw: Mapping[str, str]) -> Profile:
    """The columns without any rows; `Profile.of_files` fills in the counts.

    Args:
        axes: of the dataset's columns.
        raw: raw column -> kind.
    """
    none: dict[str, int] = dict.fromkeys(SPLITS, 0)
    columns = tuple(RawColumnProfile(name=n, kind=k, missing=none) for n, k in raw.items())
    return Profile(columns=columns, distributions=tuple(map(_empty, axes)), rules=())


def _empty(axis: Axis) -> Distribution:
    return Distribution(
        name=axis.name,
        kind="ids" if axis.labels else "numbers",
        edges=axis.shown_edges,
        labels=axis.labels,
        counts=dict.fromkeys(SPLITS, (0,) * _size(axis)),
        unknown=dict.fromkeys(SPLITS, 0) if axis.unknown is not None else {},
        quantiles=axis.quantiles,
    )


def _size(axis: Axis) -> int:
    return len(axis.labels) if axis.labels else len(axis.edges) - 1

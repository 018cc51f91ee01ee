"""Count the distributions of written rows: small arrays for each file, added up in the end."""

from collections.abc import Mapping

import numpy as np

from headrace.columns.dataset_columns import LABEL
from headrace.columns.histogram import HistogramAxis, make_number_axis
from headrace.columns.statistics import NumberSummary, Statistics
from headrace.features.kinds import find_feature_kind
from headrace.labels.label_texts import list_label_bins
from headrace.lake.data_file import SPLITS
from headrace.lake.profile import Distribution, FileTally, Profile, RawColumnProfile
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY

_SHOWN_CLASSES = 30


def list_axes(
    spec: TransformSpec, fit_inputs: FitInputs, statistics: Statistics
) -> tuple[HistogramAxis, ...]:
    """Return the axes of all columns that have a distribution, the label's last."""
    axes = [
        axis
        for feature in spec.features
        for axis in find_feature_kind(feature).list_axes(
            feature, fit_inputs.features[feature.name], statistics
        )
    ]
    label = statistics[LABEL_KEY]
    if bins := spec.label.definition.name_bins(spec.label, _SHOWN_CLASSES):
        axes.append(HistogramAxis(LABEL, labels=bins))
    else:
        assert isinstance(label, NumberSummary)
        axes.append(make_number_axis(LABEL, label, spec.label.center, spec.label.scale))
    return tuple(axes)


def count_file(
    path: str,
    columns: dict[str, np.ndarray],
    axes: tuple[HistogramAxis, ...],
    missing: dict[str, int],
) -> FileTally:
    """Count the columns of a data file.

    Args:
        path: of the file.
        columns: dataset column -> its values.
        axes: what is counted.
        missing: raw column -> rows where it is missing.
    """
    label = columns[LABEL]
    if label.ndim == 2:
        columns = columns | {LABEL: list_label_bins(label)}
    return FileTally(
        path=path,
        counts={axis.name: axis.count_values(columns[axis.column]) for axis in axes},
        unknown={axis.name: axis.count_unknown(columns[axis.column]) for axis in axes},
        missing=missing,
    )


def build_empty_profile(axes: tuple[HistogramAxis, ...], raw: Mapping[str, str]) -> Profile:
    """Build a profile without any rows; `Profile.sum_tallies` fills in the counts.

    Args:
        axes: of the dataset's columns.
        raw: raw column -> kind.
    """
    none: dict[str, int] = dict.fromkeys(SPLITS, 0)
    columns = tuple(RawColumnProfile(name=n, kind=k, missing=none) for n, k in raw.items())
    return Profile(
        columns=columns, distributions=tuple(map(_build_empty_distribution, axes)), rules=()
    )


def _build_empty_distribution(axis: HistogramAxis) -> Distribution:
    return Distribution(
        name=axis.name,
        kind="ids" if axis.labels else "numbers",
        edges=axis.shown_edges,
        labels=axis.labels,
        counts=dict.fromkeys(SPLITS, (0,) * _count_bins(axis)),
        unknown=dict.fromkeys(SPLITS, 0) if axis.unknown is not None else {},
        quantiles=axis.quantiles,
    )


def _count_bins(axis: HistogramAxis) -> int:
    return len(axis.labels) if axis.labels else len(axis.edges) - 1

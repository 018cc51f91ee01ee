"""Fit transforms on tables in memory, and run single features on columns: what tests share."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from headrace.columns.values import RawKind, Values, read_column
from headrace.features.kind import FeatureSection, FittedFeature
from headrace.features.kinds import find_feature_kind
from headrace.recipe import sections as s
from headrace.transform.arrow import read_columns
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY


def fit_table(
    table: pa.Table,
    raw: Mapping[str, RawKind],
    features: Mapping[str, FeatureSection],
    *,
    derive: Mapping[str, object] | None = None,
    label: s.Label | None = None,
) -> TransformSpec:
    """Return the transform fitted on a table, which is given to the statistics in two parts."""
    label = label or s.Label(expression="y")
    fit_inputs = FitInputs(dict(raw), dict(derive or {}), dict(features), label)
    half = table.num_rows // 2
    statistics: dict = {}
    for part in (table.slice(0, half), table.slice(half)):
        columns = read_columns(part, raw, fit_inputs.list_derived_columns())
        summaries = {
            key: v.summarize(columns) for key, v in fit_inputs.collect_summary_requests().items()
        }
        if LABEL_KEY in table.column_names:
            summaries[LABEL_KEY] = fit_inputs.summarize_labels(part[LABEL_KEY])
        for key, summary in summaries.items():
            earlier = [statistics[key]] if key in statistics else []
            statistics[key] = type(summary).merge([*earlier, summary])
    return fit_inputs.fit_spec(statistics, set())


def fit_column(
    section: FeatureSection, values: list | pa.Array, kind: RawKind = "real"
) -> FittedFeature:
    """Return the feature `f` fitted on a column of its name."""
    (feature,) = fit_table(pa.table({"f": values}), {"f": kind}, {"f": section}).features
    return feature


def run_feature(feature: FittedFeature, *columns: Values) -> dict[str, np.ndarray]:
    """Return a feature's dataset columns, given the columns that it reads, in order."""
    kind = find_feature_kind(feature)
    by_name = dict(zip(feature.source_columns, columns, strict=True))
    return kind.compute_arrays(feature, by_name, kind.build_vocabulary(feature))


def read_reals(*values: float | None) -> Values:
    """Return a column of reals."""
    return read_column(pa.array(values, pa.float64()), "real")


def read_integers(*values: int | None) -> Values:
    """Return a column of integers."""
    return read_column(pa.array(values, pa.int64()), "integer")


def read_texts(*values: str | None) -> Values:
    """Return a column of texts."""
    return read_column(pa.array(values, pa.string()), "string")

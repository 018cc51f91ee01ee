"""Find what deserves a look in the statistics of a version, before a model is trained on it.

Each alert is a rule with a limit that plain tables do not reach, and where chance alone could reach
it, with room for chance: a report that warns of everything is not read.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from headrace.columns.dataset_columns import LABEL
from headrace.columns.sampling import estimate_multiplicity
from headrace.features.kind import FittedFeature
from headrace.features.scaled import ScaledFeature
from headrace.labels.spec import LabelSpec
from headrace.lake.data_file import SPLITS
from headrace.lake.data_statistics import (
    LABEL_KIND,
    SEVERITIES,
    Alert,
    AlertKind,
    ColumnSummary,
    DataStatistics,
    Severity,
)
from headrace.lake.drift import MEASURE_NAMES, ColumnDrift, measure_id_drift, measure_number_drift
from headrace.lake.profile import Distribution, Profile
from headrace.number_text import format_beside, format_number, format_share
from headrace.prepare.write.task_statistics import name_raw
from headrace.transform.spec import TransformSpec

# Shares of missing values; and the difference between two splits, beyond chance.
_MANY_MISSING, _MOST_MISSING, _SPLIT_GAP = 0.2, 0.5, 0.1
# Third standardized moment: exponential numbers have 2, log-normal ones (sigma 1) 6;
# ydata-profiling draws the line here, too. Columns of few distinct values are rare events, and no
# long tail.
_SKEWNESS, _FEW_DISTINCT = 20.0, 10
# Rows that share a value, on average; and the share of values out of a vocabulary.
_ROWS_PER_VALUE, _LEAST_ROWS, _UNKNOWN = 3.0, 100, 0.2
# Of drift between splits: the defaults of `increments`.
_PSI_LIMIT, _SHARE_LIMIT = 0.2, 0.1
_FALSE_ALARM_RATE = 1e-6


def find_alerts(
    statistics: DataStatistics,
    frequencies: Mapping[str, np.ndarray],
    profile: Profile,
    drift: Collection[ColumnDrift],
    spec: TransformSpec,
    leakage_limit: float | None = None,
    allowed: Collection[str] = (),
) -> tuple[Alert, ...]:
    """Find all alerts, the most severe first.

    Args:
        statistics: of the rows, without alerts.
        frequencies: column of the sample -> how often each distinct value occurs there.
        profile: of the same rows.
        drift: of the build's rows from those that the transform was fitted on.
        spec: the transform.
        leakage_limit: label strength from which on a column is suspicious; the label kind's own
            where it is None.
        allowed: features that may be strong.
    """
    features: dict[str, list[FittedFeature]] = defaultdict(list)
    for feature in spec.features:
        for source in feature.source_columns:
            features[source].append(feature)
    shares = {item.name: item for item in profile.distributions}
    limit = spec.label.definition.leakage_limit if leakage_limit is None else leakage_limit
    alerts: list[Alert] = []
    for column in statistics.columns:
        own = features[column.name]
        counts = frequencies.get(name_raw(column.name), np.zeros(0, np.int64))
        alerts += _find_missing(column)
        alerts += _find_constant(column)
        alerts += _find_skew(column, own)
        alerts += _find_high_cardinality(column, own, counts, shares)
        if not any(feature.name in allowed for feature in own):
            alerts += _find_leak(column, limit)
    alerts += _find_one_class(spec.label, shares.get(LABEL))
    alerts += _find_drift(drift)
    alerts += _find_split_drift(profile.distributions)
    severities = {severity: number for number, severity in enumerate(SEVERITIES)}
    return tuple(sorted(alerts, key=lambda a: (severities[a.severity], a.kind, a.column)))


def _make_alert(
    severity: Severity, column: str, kind: AlertKind, sentence: str, figures: dict[str, float]
) -> Alert:
    return Alert(severity=severity, column=column, kind=kind, sentence=sentence, figures=figures)


def _find_missing(column: ColumnSummary) -> Iterator[Alert]:
    rows = column.row_count
    share = column.missing_count / rows if rows else 0.0
    if share == 1.0:
        sentence = (
            f"All {rows:,} values are missing. Leave the column out, or look at what writes it."
        )
        yield _make_alert(
            "high", column.name, "missing", sentence, {"missing": share, "rows": rows}
        )
        return
    gap = _find_gap(column)
    if gap is not None:
        split, here, train, limit = gap
        sentence = (
            f"Missing in {format_share(here)} of {split} and in {format_share(train)} of train: "
            "a model learns on other rows than it is judged on. Look at when the column began, or "
            "ended."
        )
        yield _make_alert(
            "high",
            column.name,
            "missing",
            sentence,
            {"missing": share, split: here, "train": train, "limit": limit},
        )
    elif share >= _MANY_MISSING:
        sentence = (
            f"Missing in {format_share(share)} of {rows:,} rows. An `indicator` tells a model "
            "where, if that has a meaning."
        )
        severity = SEVERITIES[1] if share >= _MOST_MISSING else SEVERITIES[2]
        yield _make_alert(
            severity,
            column.name,
            "missing",
            sentence,
            {"missing": share, "rows": rows, "limit": _MANY_MISSING},
        )


def _find_gap(column: ColumnSummary) -> tuple[str, float, float, float] | None:
    """Return the split whose share of missing values is farthest from that of train, if any is:
    split, its share, that of train, and the limit of the difference."""
    rows = {split: column.values[split] + column.missing[split] for split in SPLITS}
    if not rows["train"]:
        return None
    train = column.missing["train"] / rows["train"]
    gaps = []
    for split in SPLITS[1:]:
        if not rows[split]:
            continue
        here = column.missing[split] / rows[split]
        chance = math.sqrt(
            math.log(2 / _FALSE_ALARM_RATE) / 2 * (1 / rows["train"] + 1 / rows[split])
        )
        limit = max(_SPLIT_GAP, chance)
        if abs(here - train) > limit:
            gaps.append((split, here, train, limit))
    return max(gaps, key=lambda gap: abs(gap[1] - gap[2]), default=None)


def _find_constant(column: ColumnSummary) -> Iterator[Alert]:
    # Where many values are missing, which are says something, and the alert of these is enough.
    if column.value_count < 2 or column.missing_count >= _MANY_MISSING * column.row_count:
        return
    if column.low is not None:
        is_constant = column.is_limit_exact and column.low == column.high
    else:
        is_constant = column.distinct is not None and column.distinct.high == 1
    if not is_constant:
        return
    value = column.top[0].value if column.top else format_number(column.low or 0.0)
    where = "" if column.low is not None or column.is_exact else " of the sample"
    count = column.sampled if where else column.value_count
    sentence = (
        f"All {count:,} values{where} are {value[:60]}: a model learns nothing of it. Leave it out."
    )
    is_label = column.kind == LABEL_KIND
    if is_label:
        sentence = (
            f"Every label is {value[:60]}: there is nothing to learn. Look at its expression."
        )
    yield _make_alert(
        "high" if is_label else "medium",
        column.name,
        "constant",
        sentence,
        {"distinct": 1, "values": column.value_count},
    )


def _describe_one_label(label: str) -> str:
    return f"Every label is {label[:60]}: there is nothing to learn. Look at its expression."


def _find_one_class(label: LabelSpec, item: Distribution | None) -> Iterator[Alert]:
    """Find labels that are texts, all the same."""
    if not label.definition.has_text_values or item is None or not item.labels:
        return
    total = np.sum(list(item.counts.values()), axis=0)
    if total.sum() > 1 and np.count_nonzero(total) == 1:
        sentence = _describe_one_label(item.labels[int(total.argmax())])
        yield _make_alert(
            "high", LABEL, "constant", sentence, {"distinct": 1, "values": int(total.sum())}
        )


def _find_skew(column: ColumnSummary, features: list[FittedFeature]) -> Iterator[Alert]:
    if column.kind not in ("integer", "real") or column.skewness is None:
        return
    scaled = [f for f in features if isinstance(f, ScaledFeature)]
    plain = [f for f in scaled if not f.log1p and f.clip == (None, None)]
    if not plain or abs(column.skewness) <= _SKEWNESS:
        return
    if column.distinct is None or column.distinct.low <= _FEW_DISTINCT:
        return
    median, last = column.find_quantile(0.5), column.find_quantile(0.99)
    assert median is not None and last is not None
    assert column.low is not None and column.high is not None
    if column.skewness > 0:
        tail = f"99% are up to {format_number(last.value, 3)}, the largest is"
        tail = f"{tail} {format_number(column.high, 3)}"
    else:
        tail = f"half are from {format_number(median.value, 3)} on, the smallest is"
        tail = f"{tail} {format_number(column.low, 3)}"
    names = ", ".join(f.name for f in plain[:3])
    sentence = (
        f"Skewness {format_number(column.skewness, 3)}: {tail}. A few values decide the scale of "
        f"{names}; `log1p` or `clip` bounds them."
    )
    yield _make_alert(
        "low", column.name, "skew", sentence, {"skewness": column.skewness, "limit": _SKEWNESS}
    )


def _find_high_cardinality(
    column: ColumnSummary,
    features: list[FittedFeature],
    frequencies: np.ndarray,
    distributions: Mapping[str, Distribution],
) -> Iterator[Alert]:
    ids = [
        f for f in features if f.cardinality and not f.shape and f.kind in ("vocabulary", "hash")
    ]
    if column.kind not in ("string", "integer") or not ids or column.distinct is None:
        return
    names = ", ".join(f.name for f in ids[:3])
    multiplicity = estimate_multiplicity(frequencies, column.value_count)
    if column.value_count >= _LEAST_ROWS and multiplicity < _ROWS_PER_VALUE:
        count = f"{column.distinct.low:,}"
        if not column.distinct.is_exact:
            count = f"at least {count}"
        sentence = (
            f"Nearly every row has a value of its own: {count} distinct in {column.value_count:,}, "
            f"and a row shares its value with {multiplicity - 1:.1f} other rows "
            f"on average. What {names} learns of a value says little of other rows."
        )
        yield _make_alert(
            "medium",
            column.name,
            "high cardinality",
            sentence,
            {
                "distinct": column.distinct.low,
                "values": column.value_count,
                "rows_per_value": multiplicity,
                "limit": _ROWS_PER_VALUE,
            },
        )
        return
    for feature in ids:
        item = distributions.get(feature.name)
        if item is None or not item.unknown:
            continue
        values = sum(sum(item.counts[split]) for split in SPLITS[1:])
        unknown = sum(item.unknown[split] for split in SPLITS[1:])
        if values >= _LEAST_ROWS and unknown / values >= _UNKNOWN:
            share = unknown / values
            sentence = (
                f"{format_share(share)} of the values of validation and test are not in the "
                f"vocabulary of {feature.name}: of those a model knows nothing. Hash the column, "
                "or split by another key."
            )
            yield _make_alert(
                "medium",
                column.name,
                "high cardinality",
                sentence,
                {"unknown": share, "values": values, "limit": _UNKNOWN},
            )
            return


def _find_leak(column: ColumnSummary, limit: float) -> Iterator[Alert]:
    if column.label_strength is None or column.label_strength < limit:
        return
    sentence = (
        "Predicts the label nearly by itself: "
        f"{format_beside(column.label_strength, 1.0, 3)} of 1. Is it known when a prediction is "
        "made? If it is, name its feature in `evaluate.leakage.allow`; else leave it out."
    )
    yield _make_alert(
        "high",
        column.name,
        "leak suspicion",
        sentence,
        {"strength": column.label_strength, "limit": limit},
    )


def _find_drift(drift: Collection[ColumnDrift]) -> Iterator[Alert]:
    """Find the columns of this build's rows that drifted, by their farthest measure."""
    farthest: dict[str, ColumnDrift] = {}
    for one in drift:
        ratio = one.value / one.limit
        if one.has_drifted and (
            one.name not in farthest or ratio > farthest[one.name].value / farthest[one.name].limit
        ):
            farthest[one.name] = one
    for one in farthest.values():
        sentence = (
            "The rows of this build differ from those that the transform was fitted on: "
            f"{_describe_measure(one)}, {one.rows:,} values. Look at the source, or fit again "
            "with `--refit`."
        )
        severity = SEVERITIES[0] if one.value >= 2 * one.limit else SEVERITIES[1]
        yield _make_alert(severity, one.name, "drift", sentence, _list_figures(one))


def _describe_measure(drift: ColumnDrift) -> str:
    return (
        f"{MEASURE_NAMES[drift.measure]} {format_beside(drift.value, drift.limit, 3)}, limit "
        f"{format_number(drift.limit, 3)}"
    )


def _list_figures(drift: ColumnDrift) -> dict[str, float]:
    return {drift.measure: drift.value, "limit": drift.limit, "values": drift.rows}


def _find_split_drift(distributions: tuple[Distribution, ...]) -> Iterator[Alert]:
    """Find columns whose validation or test rows differ from the train rows."""
    for item in distributions:
        train = np.array(item.counts["train"])
        drifted = []
        for split in SPLITS[1:]:
            counts = np.array(item.counts[split])
            measured = (
                measure_number_drift(item.name, train, counts, _PSI_LIMIT)
                if item.kind == "numbers"
                else measure_id_drift(item.name, train, counts, _SHARE_LIMIT)
            )
            if measured is not None and measured.has_drifted:
                drifted.append((split, measured))
        if not drifted:
            continue
        split, one = max(drifted, key=lambda pair: pair[1].value / pair[1].limit)
        sentence = (
            f"{split.capitalize()} differs from train: {_describe_measure(one)}. What is measured "
            "there is not what was learnt here; by time that may be how the world went."
        )
        yield _make_alert("medium", item.name, "drift", sentence, _list_figures(one))

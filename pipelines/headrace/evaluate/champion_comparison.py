"""Compare candidate and champion on rows that neither has seen; gates decide by the result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.evaluate.analysis import get_row_weights
from headrace.evaluate.bootstrap import Difference, compute_difference, find_difference
from headrace.evaluate.gates import ChampionComparison, compare_gated_metrics
from headrace.evaluate.predictions import PredictedRows
from headrace.evaluate.sketched import is_sketched, sketch_predictions
from headrace.labels.ranking import LIST
from headrace.labels.spec import LabelSpec
from headrace.number_text import format_exact, format_number, format_share
from headrace.recipe import sections as s
from headrace.recipe.task import CLASSES, describe_differences

ModelPredictions = tuple[PredictedRows, LabelSpec, float]
"""Predicted test rows of a model, what their labels mean, and the model's threshold."""

CompareMetric = Callable[[str, bool, float], Difference | None]
"""From metric, whether higher is better, and confidence to the difference."""

# At most this share of the rows that both datasets have may carry another label in each: data that
# was corrected. Where more differ, the labels are not of one task.
_MAX_CHANGED_LABELS = 0.01


@dataclass(frozen=True)
class RowHistory:
    """The candidate's test rows, as other datasets know them.

    Attributes:
        is_seen: rows that one of the models was trained on, or chosen by, bool (rows,).
        recorded: `row_id` and `label` of the test rows of the champion's dataset, and what their
            labels mean; None where they are the champion's predictions, or the same dataset's.
        counts_new: whether rows that the champion's dataset does not have count.
        doubt: why it is not known which rows the champion has seen; empty where it is.
    """

    is_seen: np.ndarray
    recorded: tuple[Mapping[str, np.ndarray], LabelSpec] | None = None
    counts_new: bool = True
    doubt: str = ""


def compare_models(
    uri: str,
    candidate: ModelPredictions,
    champion: ModelPredictions,
    settings: s.Evaluate,
    history: RowHistory | None = None,
    remarks: Sequence[str] = (),
) -> ChampionComparison:
    """Compare two models by the metrics of the champion gates.

    They are compared on test rows of the candidate that the champion predicted too and neither has
    seen, all by the candidate's labels, weights and baseline. Rows are the same where their
    identity is equal: a dataset that was prepared with another transform has the same rows with
    other features.

    Args:
        uri: of the champion.
        candidate, champion: predictions of each.
        settings: gates and bootstrap.
        history: of the candidate's rows; by default none was seen, and all labels are the same.
        remarks: what has to be said of the comparison.

    Returns:
        the differences by metric; or an obstacle, where the models have other labels, or there is
        no row to compare them on.
    """
    candidate_rows, label, candidate_threshold = candidate
    champion_rows, champion_label, champion_threshold = champion
    count = len(candidate_rows["label"])
    history = history or RowHistory(np.zeros(count, bool))
    comparison = ChampionComparison(
        uri, candidate_rows=count, seen_rows=int(history.is_seen.sum()), remarks=tuple(remarks)
    )
    if other := _describe_other_kind(label, champion_label):
        text = f"{uri} predicts another kind of label or other classes ({other})"
        return replace(comparison, obstacle=text)
    if obstacle := _find_loss_obstacle(uri, label, champion_label):
        return replace(comparison, obstacle=obstacle)
    # Both by the candidate's loss: the metrics are the candidate's.
    champion_label = champion_label.with_loss(label.loss)
    recorded_rows, recorded_label = history.recorded or (champion_rows, champion_label)
    known, in_recorded = _match_rows(candidate_rows, recorded_rows)
    is_equal = label.definition.find_equal_labels(
        candidate_rows["label"][known], label, recorded_rows["label"][in_recorded], recorded_label
    )
    changed = int((~is_equal).sum())
    comparison = replace(comparison, changed_labels=changed)
    if changed > _MAX_CHANGED_LABELS * len(known):
        first = int(np.flatnonzero(~is_equal)[0])
        values = (
            _format_label(candidate_rows["label"][known[first]], label),
            _format_label(recorded_rows["label"][in_recorded[first]], recorded_label),
        )
        return replace(
            comparison,
            obstacle=f"{changed:,} of the {len(known):,} test rows that are also test rows of the "
            f"dataset of {uri} have another label there (one has {values[0]}, and {values[1]} "
            f"there), {format_share(_MAX_CHANGED_LABELS)} may; the label's source changed, or "
            "another table has the same keys",
        )
    if history.doubt:
        return replace(comparison, obstacle=history.doubt)
    own, others = _match_rows(candidate_rows, champion_rows)
    is_usable = ~history.is_seen[own]
    if not history.counts_new:
        is_usable &= np.isin(own, known)
    own, others = own[is_usable], others[is_usable]
    rows = {name: array[own] for name, array in candidate_rows.items()}
    has_weight = rows["sample_weight"] > 0 if _is_weighted(rows, settings) else np.ones(len(own))
    judged = int(np.count_nonzero(has_weight))
    if not judged:
        return replace(comparison, obstacle=_describe_no_rows(uri, comparison))
    weight = get_row_weights(rows, settings)
    output = label.definition.output
    aligned = label.definition.align_output(champion_rows[output][others], label, champion_label)
    both = (
        (rows, candidate_threshold),
        ({**rows, output: aligned}, champion_threshold),
    )
    if is_sketched(label, len(own), settings):
        compare_metric = _prepare_sketched_comparison(both, label, settings)
    else:
        compare_metric = _prepare_comparison(both, label, weight, settings)

    champion_gates = [g for g in settings.gates or () if isinstance(g, s.ChampionGate)]
    gates = [gate for gate in champion_gates if judged >= gate.min_rows]
    differences = compare_gated_metrics(gates, compare_metric, label.kind)
    return replace(comparison, shared_rows=judged, differences=differences)


def _prepare_comparison(
    both: Sequence[tuple[PredictedRows, float]],
    label: LabelSpec,
    weight: np.ndarray,
    settings: s.Evaluate,
) -> CompareMetric:
    """Return what compares by a metric, of candidate and champion with their thresholds."""
    rows = both[0][0]
    candidate, champion = (label.definition.make_scorer(r, label, t) for r, t in both)

    def compare_metric(metric: str, higher: bool, confidence: float) -> Difference | None:
        return compute_difference(
            candidate,
            champion,
            metric,
            weight,
            higher_is_better=higher,
            draws=settings.bootstrap,
            confidence=confidence,
            seed=settings.seed,
            lists=rows.get(LIST),
        )

    return compare_metric


def _prepare_sketched_comparison(
    both: Sequence[tuple[PredictedRows, float]], label: LabelSpec, settings: s.Evaluate
) -> CompareMetric:
    """Return the same of very many rows: both are drawn once, in the same groups."""
    candidate, champion = (sketch_predictions(r, label, t, settings).drawn for r, t in both)

    def compare_metric(metric: str, higher: bool, confidence: float) -> Difference | None:
        return find_difference(
            candidate, champion, metric, higher_is_better=higher, confidence=confidence
        )

    return compare_metric


def _describe_other_kind(label: LabelSpec, champion_label: LabelSpec) -> str:
    """Return how the kind or the classes of the champion's label differ; empty if they do not."""
    kinds, classes = (
        [{name: getattr(item, attribute)} for item in (champion_label, label)]
        for name, attribute in (("label.kind", "kind"), (CLASSES, "classes"))
    )
    return "; ".join([*describe_differences(*kinds), *describe_differences(*classes)])


def _is_weighted(rows: Mapping[str, np.ndarray], settings: s.Evaluate) -> bool:
    return settings.weighted and "sample_weight" in rows


def _describe_no_rows(uri: str, comparison: ChampionComparison) -> str:
    """Return why there is no row to compare by."""
    return (
        f"of {comparison.candidate_rows:,} test rows there is none (of a weight above 0) that "
        f"{uri} can predict and neither model has seen: {comparison.seen_rows:,} are train or "
        "validation rows of one of them"
    )


def _format_label(value: np.ndarray, label: LabelSpec) -> str:
    """Return a row's label as users know it."""
    if value.ndim:
        return repr([label.classes[i] for i in np.flatnonzero(value > 0)])
    if label.classes:
        return repr(label.classes[int(value)])
    return format_number(float(label.definition.convert_output(value, label)), 6)


def _find_loss_obstacle(uri: str, candidate: LabelSpec, champion: LabelSpec) -> str:
    """Return why models with these losses are no two answers to one question; else an empty text.

    Of one distribution the 90% quantile and the mean are both right, and no metric is fair to both.
    """
    levels = [label.loss.quantile_level if label.loss else None for label in (candidate, champion)]
    if levels[0] == levels[1]:
        return ""
    ours, theirs = (
        "the mean or the median"
        if level is None
        else f"the quantile of level {format_exact(level)}"
        for level in levels
    )
    return f"{uri} predicts {theirs}, and the candidate {ours}"


def _match_rows(
    candidate_rows: Mapping[str, np.ndarray], other_rows: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the rows that both have, in the order of the candidate's.

    Rows of one identity are matched in their order: they are equal in everything but predictions.
    """
    candidate_keys, other_keys = (
        _number_repeated_rows(rows["row_id"]) for rows in (candidate_rows, other_rows)
    )
    _, in_candidate, in_other = np.intersect1d(
        candidate_keys, other_keys, assume_unique=True, return_indices=True
    )
    order = np.argsort(in_candidate, kind="stable")
    return in_candidate[order], in_other[order]


def _number_repeated_rows(row_id: np.ndarray) -> np.ndarray:
    """Return unique keys of sorted identities: (identity, its number among equal ones).

    Returns:
        one structured array, (rows,), with int64 fields `row` and `number`.
    """
    starts = np.concatenate([[True], row_id[1:] != row_id[:-1]]) if len(row_id) else row_id == 0
    begins = np.maximum.accumulate(np.where(starts, np.arange(len(row_id)), 0))
    keys = np.empty(len(row_id), [("row", np.int64), ("number", np.int64)])
    keys["row"], keys["number"] = row_id, np.arange(len(row_id)) - begins
    return keys

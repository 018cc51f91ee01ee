"""Compare candidate and champion on the rows that both can predict; gates decide by the result."""

from collections.abc import Mapping

import numpy as np

from headrace.evaluate.analysis import get_row_weights
from headrace.evaluate.bootstrap import Difference, compute_difference
from headrace.evaluate.gates import ChampionComparison, compare_gated_metrics
from headrace.evaluate.predictions import PredictedRows
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s

ModelPredictions = tuple[PredictedRows, LabelSpec, float]
"""Predicted test rows of a model, what their labels mean, and the model's threshold."""

# At least this share of the candidate's test rows must be rows that the champion can predict.
_MIN_SHARED_SHARE = 0.5


def compare_models(
    uri: str,
    candidate: ModelPredictions,
    champion: ModelPredictions,
    settings: s.Evaluate,
) -> ChampionComparison:
    """Compare two models by the metrics of the champion gates.

    Rows are the same where their identity and their label are equal: a dataset that was prepared
    with another transform has the same rows with other features.

    Args:
        uri: of the champion.
        candidate, champion: predictions of each.
        settings: gates and bootstrap.

    Returns:
        the differences by metric; or an obstacle, where the models have other labels or share too
        few test rows.
    """
    candidate_rows, candidate_label, candidate_threshold = candidate
    champion_rows, champion_label, champion_threshold = champion
    if (candidate_label.kind, candidate_label.classes) != (
        champion_label.kind,
        champion_label.classes,
    ):
        return ChampionComparison(
            uri, obstacle=f"{uri} predicts another kind of label or other classes"
        )
    obstacle = _find_loss_obstacle(uri, candidate_label, champion_label)
    if obstacle:
        return ChampionComparison(uri, obstacle=obstacle)
    # Both by the candidate's loss: the metrics are the candidate's.
    champion_label = champion_label.with_loss(candidate_label.loss)
    in_candidate, in_champion = _match_rows(
        candidate_rows, candidate_label, champion_rows, champion_label
    )
    count, shared = len(candidate_rows["label"]), len(in_candidate)
    if shared < _MIN_SHARED_SHARE * count:
        return ChampionComparison(
            uri,
            shared_rows=shared,
            candidate_rows=count,
            obstacle=f"only {shared:,} of {count:,} test rows are also test rows of the dataset of "
            f"{uri}; the split or the key changed",
        )
    candidate_rows = {name: array[in_candidate] for name, array in candidate_rows.items()}
    champion_rows = {name: array[in_champion] for name, array in champion_rows.items()}
    candidate_scorer = candidate_label.definition.make_scorer(
        candidate_rows, candidate_label, candidate_threshold
    )
    champion_scorer = champion_label.definition.make_scorer(
        champion_rows, champion_label, champion_threshold
    )
    weight = get_row_weights(candidate_rows, settings)

    def compare_metric(metric: str, higher: bool, confidence: float) -> Difference | None:
        return compute_difference(
            candidate_scorer,
            champion_scorer,
            metric,
            weight,
            higher_is_better=higher,
            draws=settings.bootstrap,
            confidence=confidence,
            seed=settings.seed,
        )

    differences = compare_gated_metrics(settings.gates, compare_metric, candidate_label.kind)
    return ChampionComparison(
        uri, shared_rows=shared, candidate_rows=count, differences=differences
    )


def _find_loss_obstacle(uri: str, candidate: LabelSpec, champion: LabelSpec) -> str:
    """Return why models with these losses are no two answers to one question; else an empty text.

    Of one distribution the 90% quantile and the mean are both right, and no metric is fair to both.
    """
    levels = [label.loss.quantile_level if label.loss else None for label in (candidate, champion)]
    if levels[0] == levels[1]:
        return ""
    ours, theirs = (
        "the mean or the median" if level is None else f"the quantile of level {level:g}"
        for level in levels
    )
    return f"{uri} predicts {theirs}, and the candidate {ours}"


def _match_rows(
    candidate_rows: Mapping[str, np.ndarray],
    candidate_label: LabelSpec,
    champion_rows: Mapping[str, np.ndarray],
    champion_label: LabelSpec,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the rows that both models have, in the order of the candidate's.

    Rows of one identity are matched in their order: they are equal in everything but predictions.
    """
    candidate_keys, champion_keys = (
        _number_repeated_rows(rows["row_id"]) for rows in (candidate_rows, champion_rows)
    )
    _, in_candidate, in_champion = np.intersect1d(
        candidate_keys, champion_keys, assume_unique=True, return_indices=True
    )
    equal = candidate_label.definition.find_equal_labels(
        candidate_rows["label"][in_candidate],
        candidate_label,
        champion_rows["label"][in_champion],
        champion_label,
    )
    in_candidate, in_champion = in_candidate[equal], in_champion[equal]
    order = np.argsort(in_candidate, kind="stable")
    return in_candidate[order], in_champion[order]


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

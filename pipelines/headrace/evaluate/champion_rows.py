"""Predict the rows of the champion on all ranks, and find those that it or the candidate has seen.

What can be compared at all was found before, from records (`champion.py`); what the predictions
say is computed on rank 0 (`champion_comparison.py`).
"""

from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.shared_dataset import open_shared_dataset
from headrace.evaluate.champion_comparison import ModelPredictions, RowHistory, compare_models
from headrace.evaluate.gates import ChampionComparison
from headrace.evaluate.predictions import predict_rows
from headrace.evaluate.seen_rows import find_seen_rows, read_test_labels
from headrace.labels.losses.kinds import parse_loss
from headrace.lake.version import DatasetVersion
from headrace.models.predict import Predictor
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.transform.spec import TransformSpec


def compare_with_champion(
    champion: dict[str, Any],
    candidate: ModelPredictions,
    predictor: Predictor,
    recipe: Recipe,
    dataset: DatasetVersion,
    seen: dict[str, Any] | None,
    collectives: Collectives,
    report: Report,
) -> ChampionComparison:
    """Compare a model with the champion; on ranks but 0 the result is empty.

    Args:
        champion: as `champion.describe_champion` returns it.
        candidate: predictions of the model.
        predictor: of the champion.
        recipe: evaluate, stream and train.global_batch_size are read.
        dataset: of the candidate's rows.
        seen: `root` and `version` of the dataset that the candidate was trained on; None where that
            is `dataset`.
        collectives: of the ranks.
        report: called with progress.
    """
    report(Progress(f"comparing with the champion, {champion['uri']}"))
    champion_dataset, spec = open_dataset(champion["dataset"], collectives)
    spec = spec.with_loss(parse_loss(champion["loss"]))
    rows = predict_rows(champion_dataset, spec, predictor, "test", recipe, collectives)
    # Each rank reads a part of the files, and looks for all of the rows in it.
    needs_ids = seen is not None or champion.get("seen")
    row_id = candidate[0]["row_id"]
    if needs_ids:
        (row_id,) = collectives.broadcast_object([row_id])
    history = _find_history(champion, row_id, dataset, seen, collectives, report)
    if collectives.rank != 0:
        return ChampionComparison()
    return compare_models(
        champion["uri"],
        candidate,
        (rows, spec.label, champion["threshold"]),
        recipe.evaluate,
        history,
        champion.get("remarks", ()),
    )


def open_dataset(
    location: dict[str, Any], collectives: Collectives
) -> tuple[DatasetVersion, TransformSpec]:
    """Open a dataset version on all ranks, given its `root` and `version`, and parse its
    transform."""
    dataset = open_shared_dataset(location["root"], location["version"], collectives)
    return dataset, TransformSpec.from_json(dataset.transform_json, files=dataset.text_files)


def _find_history(
    champion: dict[str, Any],
    row_id: np.ndarray,
    dataset: DatasetVersion,
    trained_on: dict[str, Any] | None,
    collectives: Collectives,
    report: Report,
) -> RowHistory:
    """Find out which test rows the two models have seen; complete on rank 0 only."""
    is_seen = np.zeros(len(row_id), bool)
    if trained_on:
        own, _ = open_dataset(trained_on, collectives)
        is_seen |= find_seen_rows(own, dataset, row_id, collectives).is_seen
    if not champion.get("seen"):
        return RowHistory(is_seen)
    report(Progress(f"finding the rows that {champion['uri']} was trained on"))
    recorded, spec = open_dataset(champion["seen"], collectives)
    seen = find_seen_rows(recorded, dataset, row_id, collectives)
    if collectives.rank != 0:
        return RowHistory(is_seen)
    tested = read_test_labels(recorded, spec.label)
    is_known = seen.shares_rows or bool(np.isin(row_id, tested["row_id"]).any())
    doubt = (
        ""
        if is_known or not champion["needs_known"]
        else f"no row of this dataset is in that of {champion['uri']}: all rows are new, or "
        "the values of clean.dedup.key were made anew, and it may have been trained on them"
    )
    return RowHistory(is_seen | seen.is_seen, (tested, spec.label), champion["counts_new"], doubt)

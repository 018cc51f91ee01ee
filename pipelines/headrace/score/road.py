"""Refuse to score by another road than the one that a model's rows came by."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from headrace.errors import DatasetError, LakeError
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.recipe.input_road import Road, describe_road, find_road_differences
from headrace.redaction import redact_recipe
from headrace.score.attempt import ScoreAttempt
from headrace.transform.spec import TransformSpec

_SHOWN = 5


def refuse_other_road(attempt: ScoreAttempt, spec: TransformSpec) -> None:
    """Refuse a recipe by which the model would read other values than in training.

    Args:
        attempt: the job; `score.moved_tables` of its recipe are joined tables that may lie
            elsewhere.
        spec: of the model.

    Raises:
        LakeError: with every difference.
    """
    columns = {c.name: c.stored_as or c.kind for c in (*spec.raw, *spec.rule_columns)}
    before = _find_road(attempt, columns)
    if before is None:
        return
    now = _describe(attempt.recipe.dump_resolved(), columns)
    assert now is not None  # it is a valid recipe
    differences = find_road_differences(before, now, attempt.recipe.score.moved_tables)
    if not differences:
        return
    listed = "; ".join(differences[:_SHOWN])
    rest = len(differences) - _SHOWN
    more = f"; and {rest} more" if rest > 0 else ""
    raise LakeError(
        f"model {attempt.model.uri} was trained on rows that came by another road than this recipe "
        f"takes, so its predictions would be others: {listed}{more}. Score with the recipe of the "
        "model, or train a model by this one and promote it; a joined table that only moved is "
        "named in score.moved_tables. Nothing was published"
    )


def _find_road(attempt: ScoreAttempt, columns: Mapping[str, str]) -> Road | None:
    """Find the road of a model: with the model, or of an older one, with its dataset's version."""
    metadata = attempt.model.metadata
    if "input" in metadata:
        return dict(metadata["input"])
    try:
        version = DatasetVersion.open(metadata["dataset_root"], metadata["dataset_version"])
        found = _describe(version.build.recipe, columns)
    except DatasetError:
        found = None
    if found is None:
        attempt.report(
            Progress(
                f"{attempt.model.uri} does not say by which joins and column types its rows came, "
                "and its dataset's version is gone: those of this recipe are taken unchecked"
            )
        )
    return found


def _describe(recipe: Mapping[str, Any], columns: Mapping[str, str]) -> Road | None:
    """Describe the road of a recipe, as it is recorded; None where it is no recipe any more."""
    try:
        return describe_road(Recipe.model_validate(redact_recipe(dict(recipe))), columns)
    except ValidationError:
        return None

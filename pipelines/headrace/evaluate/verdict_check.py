"""Check that a verdict is about what would be promoted: these settings, this task, this data.

All that its answer depends on is recorded in it. What one of an older format does not record is
unknown: where it decides, the model has to be evaluated again; else it is said.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from headrace.errors import ModelError
from headrace.evaluate.gates import criteria_to_dict, find_other_criteria
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.task import Task, describe_task
from headrace.redaction import redact_recipe
from headrace.tracking.model import ModelVersion

_JUDGED_BY_ROWS = (s.MetricGate, s.SliceGate, s.ChampionGate, s.BaselineGate)


def check_verdict(
    recipe: Recipe,
    verdict: Mapping[str, Any],
    model: ModelVersion,
    champion: ModelVersion | None,
) -> tuple[str, ...]:
    """Check a verdict against the recipe at hand and the model that it is about.

    Args:
        recipe: label, split and evaluate are read.
        verdict: of the model.
        model: to be promoted.
        champion: the present one.

    Returns:
        what is not known of a verdict of an older format, in words.

    Raises:
        ModelError: the model has to be evaluated again; all differences are named.
    """
    again = f"run `headrace evaluate` with --model {model.uri} again, and the same --set in both"
    criteria = verdict["asked"]
    if differences := find_other_criteria(recipe.evaluate, criteria):
        is_gates = differences[0].startswith(("evaluate.gates", "evaluate.leakage"))
        raise ModelError(
            f"model {model.uri} was judged by other {'gates' if is_gates else 'settings'} than the "
            f"recipe has now (then and now: {'; '.join(differences)}); {again}"
        )
    _check_data(verdict, model, again)
    if "task" in verdict:
        _check_task(recipe, verdict, model)
    else:
        _check_older_verdict(recipe.evaluate, verdict, model, champion, again)
    unknown = [name for name in criteria_to_dict(recipe.evaluate) if name not in criteria]
    if not unknown:
        return ()
    names = ", ".join(f"evaluate.{name}" for name in unknown)
    return (
        f"the verdict on {model.uri} is of an older release and does not say by which {names} it "
        "was reached; they are taken for those of the recipe",
    )


def _check_data(verdict: Mapping[str, Any], model: ModelVersion, again: str) -> None:
    """Refuse a verdict that was reached on other rows than the model was trained beside."""
    dataset, names = verdict.get("dataset") or {}, ("version", "digest")
    differences = [
        f"{name} {model.metadata[f'dataset_{name}']} and {dataset[name]}"
        for name in names
        if name in dataset and model.metadata.get(f"dataset_{name}") not in (None, dataset[name])
    ]
    if differences:
        raise ModelError(
            f"model {model.uri} was trained on another dataset version than it was judged on "
            f"({'; '.join(differences)}); {again}"
        )


def _check_task(recipe: Recipe, verdict: Mapping[str, Any], model: ModelVersion) -> None:
    """Refuse a verdict on another label or split than the recipe has.

    Raises:
        ModelError: they differ.
    """
    try:
        judged = Task.model_validate(verdict["task"])
    except (KeyError, ValidationError):
        return  # the dataset's own record does not say
    now = describe_task(redact_recipe(recipe.dump_resolved()))
    parts = ("label", "weights") if recipe.evaluate.weighted else ("label",)
    # A boundary that is relative to the newest row is another one in every build.
    if now.is_split_by_definition and judged.is_split_by_definition:
        parts = (*parts, "split")
    if differences := judged.find_differences(now, parts):
        raise ModelError(
            f"model {model.uri} was judged for another task than the recipe has now (then and now: "
            f"{'; '.join(differences)}); promote it with the recipe that it was trained by, or "
            "prepare, train and evaluate by this one"
        )


def _check_older_verdict(
    settings: s.Evaluate,
    verdict: Mapping[str, Any],
    model: ModelVersion,
    champion: ModelVersion | None,
    again: str,
) -> None:
    """Refuse a verdict of format 1 where what it does not record may have decided it.

    Raises:
        ModelError: it says neither how rows weighed nor, of a champion of another dataset version,
            whether it predicts the same label and has not seen the rows.
    """
    start = f"the verdict on {model.uri} is of an older release and does not say"
    if settings.weighted and any(
        isinstance(gate, _JUDGED_BY_ROWS) for gate in settings.gates or ()
    ):
        raise ModelError(f"{start} whether rows were weighted, as evaluate.weighted wants; {again}")
    gates = [
        gate for gate in verdict["gates"] if (gate.get("gate") or {}).get("kind") == "champion"
    ]
    if champion is None or champion.uri == model.uri or not gates:
        return
    names = ("dataset_root", "dataset_version")
    if any(champion.metadata.get(name) != model.metadata.get(name) for name in names):
        raise ModelError(
            f"{start} whether {champion.uri}, which was trained on another dataset version, was "
            f"compared by the same label and on rows that it had not seen; {again}"
        )
    least = min(g.min_rows for g in settings.gates or () if isinstance(g, s.ChampionGate))
    rows = [(gate.get("details") or {}).get("rows") for gate in gates]
    few = [count for count in rows if count is not None and count < least]
    if few:
        raise ModelError(
            f"model {model.uri} was compared with {champion.uri} on {few[0]:,} rows, and the "
            f"recipe's gate needs {least:,} (min_rows); {again}"
        )

"""Describe an evaluated model in words, for its run and its version in MLflow."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.lake.data_file import SPLITS
from headrace.lake.version import DatasetVersion
from headrace.number_text import format_number
from headrace.recipe import Recipe

_OUTCOMES = {True: "passed", False: "**failed**", None: "none, the recipe has no gates"}


def describe_evaluation(
    recipe: Recipe,
    dataset: DatasetVersion,
    metrics: Mapping[str, float],
    headline: Sequence[str],
    verdict: Mapping[str, Any],
) -> str:
    """Describe what a model is, the data it was judged on, its verdict and its baselines.

    Args:
        recipe: that it was evaluated by.
        dataset: on whose test split.
        metrics: of that split.
        headline: names of those that are told.
        verdict: as `verdict.json` has it.
    """
    rows = ", ".join(f"{dataset.count_rows(split):,} {split}" for split in SPLITS)
    told = ", ".join(f"{name} {format_number(metrics[name])}" for name in headline)
    words = verdict.get("references", {}).get("words", {})
    lines = [
        f"`{recipe.model.kind}` that predicts `{recipe.label.expression}` ({recipe.label.kind}), "
        f"recipe {recipe.name}.",
        "",
        f"- Data: version {dataset.version} of dataset {dataset.build.recipe.get('name', '')} "
        f"({rows} rows), build {dataset.build.build_id}",
        f"- Test: {told}",
        f"- Verdict: {_OUTCOMES[verdict['passed']]}",
        *(f"  - {'passed' if g['passed'] else 'FAILED'}: {g['text']}" for g in verdict["gates"]),
        f"- Baselines: {'' if any(words.values()) else 'none'}",
        *(f"  - {metric}: {text}" for metric, text in words.items() if text),
    ]
    return "\n".join(lines) + "\n"

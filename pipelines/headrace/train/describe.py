"""Describe in words what a training makes, for the run, the model and its version in MLflow."""

from headrace.lake.data_file import SPLITS
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe


def describe_task(recipe: Recipe) -> str:
    """Describe what a recipe's model predicts, and from what: of the registered model."""
    count = len(recipe.features)
    return (
        f"Predicts `{recipe.label.expression}` ({recipe.label.kind}) from raw rows with "
        f"{count:,} feature{'s' if count > 1 else ''}. Trained by Headrace with the recipe "
        f"{recipe.name}; each version says on which data, and how it was judged."
    )


def describe_training(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Describe a training: of its run, and of its model until that is evaluated."""
    rows = ", ".join(f"{dataset.count_rows(split):,} {split}" for split in SPLITS)
    return (
        f"`{recipe.model.kind}` that predicts `{recipe.label.expression}` ({recipe.label.kind}), "
        f"recipe {recipe.name}.\n\n"
        f"- Data: version {dataset.version} of dataset {dataset.build.recipe.get('name', '')} "
        f"({rows} rows), build {dataset.build.build_id}\n"
        "- Verdict: none yet; `headrace evaluate` gives it\n"
    )

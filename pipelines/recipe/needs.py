"""What a model and its training need of features and label: pure functions over names and sizes.

Asked of the recipe before anything starts, and of the dataset version before ranks are started: a
dataset may have been prepared by another recipe than the one that trains on it.
"""

from collections.abc import Collection, Mapping

from pipelines.errors import Problem
from pipelines.recipe import sections as s

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("loss", "roc_auc", "accuracy"),
    "classes": ("loss", "accuracy"),
    "regression": ("loss", "mae"),
}
"""Validation metrics by the label's kind."""

TAKEN_INPUTS = frozenset(
    {
        "numeric", "categorical", "label", "weight", "sample_weight", "baseline", "row_id",
        "logits", "probability", "probabilities", "value",
    }
)  # fmt: skip
"""Names in a batch or a model that a feature with an input of its own must not have."""


def model_problems(
    model: s.Model,
    *,
    tokens: Collection[str],
    series: Mapping[str, int],
    images: Collection[str],
) -> list[Problem]:
    """Why a model of this family cannot be built over such features.

    Args:
        model: the recipe's section.
        tokens: names of features that are lists of ids.
        series: name of every feature that is a list of numbers -> its length.
        images: names of features that are images.
    """
    problems = [
        Problem(f"features.{name}", "the name is taken in the model's batches", "rename it")
        for name in (*tokens, *series, *images)
        if name in TAKEN_INPUTS
    ]
    if isinstance(model, s.Cnn) and len(images) != 1:
        there = ", ".join(images) or "none"
        problems.append(
            Problem(
                "model.kind",
                f"cnn reads one feature of kind image, there is {there}",
                "have one under features, or use mlp",
            )
        )
    if isinstance(model, s.Rnn | s.Transformer):
        if not series:
            problems.append(
                Problem(
                    "model.kind",
                    f"{model.kind} reads features of kind series, there is none",
                    "add one under features, or use mlp",
                )
            )
        elif len(set(series.values())) > 1:
            lengths = ", ".join(f"features.{name}.length {n}" for name, n in series.items())
            problems.append(
                Problem(
                    "model.kind",
                    f"{model.kind} reads series of one length side by side, got {lengths}",
                    "give them one length, or use mlp",
                )
            )
    if isinstance(model, s.Transformer) and model.width % model.heads:
        problems.append(
            Problem(
                "model.width",
                f"{model.heads} heads cannot share a width of {model.width} equally",
                "use a multiple of model.heads",
            )
        )
    return problems


def metric_problems(settings: s.EarlyStopping | None, label_kind: str) -> list[Problem]:
    """Why early stopping cannot follow its metric with a label of this kind."""
    if settings is None or settings.metric in METRICS[label_kind]:
        return []
    return [
        Problem(
            "train.early_stopping.metric",
            f"{settings.metric} is not defined for a label of kind {label_kind}",
            f"use {' or '.join(METRICS[label_kind])}",
        )
    ]

"""Check what a model and its training need of features and label, by names and sizes alone.

Asked of the recipe before anything starts, and of the dataset version before ranks are started: a
dataset may have been prepared by another recipe than the one that trains on it.
"""

import math
from collections.abc import Collection, Mapping

from headrace.columns.dataset_columns import RESERVED_NAMES
from headrace.errors import Problem
from headrace.labels.kinds import KINDS, find_label_kind
from headrace.labels.losses.kinds import resolve_loss
from headrace.labels.losses.loss import Loss
from headrace.recipe import sections as s
from headrace.recipe.problems import suggest_nearest

MOST_SHARDS = 64
"""Most canonical shards where the recipe does not say how many."""

FEW_SHARDS = 16
"""Fewest canonical shards of an elastic training where it does not, if they divide the batch."""

TAKEN_INPUTS = frozenset(
    {
        *(RESERVED_NAMES - {"split"}), "logits", *(kind.output for kind in KINDS.values()),
    }
)  # fmt: skip
"""Names in a batch or a model that a feature with an input of its own must not have."""


def list_elastic_sizes(train: s.Train, stream: s.Stream) -> list[int]:
    """Return numbers of ranks that a training can go on with; none where it is not elastic."""
    if train.min_ranks is None and train.max_ranks is None:
        return []
    shards = stream.canonical_shards or math.gcd(FEW_SHARDS, train.global_batch_size)
    least, most = train.min_ranks or 1, train.max_ranks or train.rank_count
    return [size for size in range(least, most + 1) if shards % size == 0]


def find_model_problems(
    model: s.Model,
    *,
    tokens: Collection[str],
    series: Mapping[str, int],
    images: Collection[str],
    plain: bool = True,
    categorical: bool = True,
    features: Collection[str] = (),
) -> list[Problem]:
    """Return why a model of this family cannot be built over such features.

    Args:
        model: the recipe's section.
        tokens: names of features that are lists of ids.
        series: name of every feature that is a list of numbers -> its length.
        images: names of features that are images.
        plain: whether there is any number or categorical.
        categorical: whether there is any categorical.
        features: names of all features.
    """
    problems = [
        Problem(f"features.{name}", "the name is taken in the model's batches", "rename it")
        for name in (*tokens, *series, *images)
        if name in TAKEN_INPUTS
    ]
    if isinstance(model, s.Cnn | s.Resnet) and len(images) != 1:
        names = ", ".join(images) or "none"
        problems.append(
            Problem(
                "model.kind",
                f"needs exactly one feature of kind image, got {len(images)}: {names}",
                "keep one under features, or use mlp",
            )
        )
    over = model.over if isinstance(model, s.Transformer) else ""
    if over == "text" and len(tokens) != 1:
        names = ", ".join(tokens) or "none"
        problems.append(
            Problem(
                "model.over",
                "needs exactly one feature of kind text or multi_valued, got "
                f"{len(tokens)}: {names}",
                "keep one under features, or use series or table",
            )
        )
    if over == "table" and not plain:
        problems.append(
            Problem("model.over", "there is no number and no categorical among the features")
        )
    if isinstance(model, s.Dlrm) and not (tokens or categorical):
        problems.append(
            Problem(
                "model.kind",
                "dlrm multiplies embeddings, and there is no categorical and no list of ids among "
                "the features",
                "add one under features, or use mlp",
            )
        )
    if isinstance(model, s.TwoTower):
        problems += _find_tower_problems(model, features)
    if isinstance(model, s.Rnn) or over == "series":
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


def _find_tower_problems(model: s.TwoTower, features: Collection[str]) -> list[Problem]:
    """Return which features are in no tower, in both or twice in one, and which there are not."""
    problems = []
    for where, tower in (
        ("model.query.features", model.query),
        ("model.item.features", model.item),
    ):
        for name in tower.features:
            if name not in features:
                fix = suggest_nearest(name, list(features))
                problems.append(Problem(where, f"there is no feature {name!r}", fix))
        twice = sorted({name for name in tower.features if tower.features.count(name) > 1})
        if twice:
            text = f"names {', '.join(twice)} more than once"
            problems.append(Problem(where, text, "name each feature once"))
    both = [name for name in model.query.features if name in model.item.features]
    if both:
        text = f"{', '.join(both)} is among the query's features, too"
        problems.append(Problem("model.item.features", text, "a feature is in one tower"))
    named = {*model.query.features, *model.item.features}
    rest = [name for name in features if name not in named]
    if rest:
        text = f"{', '.join(rest)} is among neither the query's features nor the item's"
        fix = "add it to model.query.features or model.item.features, or remove it under features"
        problems.append(Problem("model", text, fix))
    return problems


def find_pair_problems(label_kind: str) -> list[Problem]:
    """Return why pairs of queries and items cannot be learnt by such a label."""
    if label_kind == "binary":
        return []
    text = f"two_tower learns pairs by a condition, and the label is of kind {label_kind}"
    fix = "use kind: binary, true where the pair belongs together"
    return [Problem("label.kind", text, fix)]


def get_fitting_loss(train: s.Train, label_kind: str) -> Loss | None:
    """Return the loss that replaces the label kind's own; None where none does, or it is wrong."""
    loss = resolve_loss(train.loss, label_kind)
    return None if loss is None or label_kind not in loss.label_kinds else loss


def list_validation_metrics(train: s.Train, label_kind: str) -> tuple[str, ...]:
    """Return the metrics that are computed after every epoch of this training."""
    kind, loss = find_label_kind(label_kind), get_fitting_loss(train, label_kind)
    return loss.list_validation_metrics(kind) if loss else kind.validation_metrics


def describe_label(train: s.Train, label_kind: str) -> str:
    """Describe label and loss in the words of a problem."""
    loss = get_fitting_loss(train, label_kind)
    with_loss = f" with train.loss {loss.kind}" if loss else ""
    return f"a label of kind {label_kind}{with_loss}"


def find_metric_problems(train: s.Train, label_kind: str) -> list[Problem]:
    """Return why early stopping or a plateau cannot follow its metric with such a label.

    The loss that is trained counts as well: no metric of the mean is followed by a quantile.
    """
    followed = []
    if train.early_stopping is not None:
        followed.append(("train.early_stopping.metric", train.early_stopping.metric))
    if isinstance(train.schedule, s.ReduceOnPlateau):
        followed.append(("train.schedule.metric", train.schedule.metric))
    metrics = list_validation_metrics(train, label_kind)
    return [
        Problem(
            where,
            f"{metric} is not defined for {describe_label(train, label_kind)}",
            f"use {' or '.join(metrics)}",
        )
        for where, metric in followed
        if metric not in metrics
    ]

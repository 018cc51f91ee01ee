"""What keys about training together make impossible; called by `checks.py`."""

import math

from headrace.errors import Problem
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import METRICS, MOST_SHARDS, elastic_sizes, metric_problems

# Keys of the optimizer that only some kinds know.
_OF_KINDS = {
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "beta_1": ("adam", "adamw", "lamb"),
    "beta_2": ("adam", "adamw", "lamb"),
    "epsilon": ("adam", "adamw", "lamb"),
    "weight_decay": ("adamw", "lamb"),
}


def batches(train: s.Train, stream: s.Stream) -> list[Problem]:
    problems = []
    # Left out, they are a power of two that divides the batch.
    shards = stream.canonical_shards or math.gcd(MOST_SHARDS, train.global_batch_size)
    if shards % train.ranks:
        problems.append(
            Problem(
                "train.ranks",
                f"{train.ranks} ranks cannot share {shards} canonical shards equally",
                "use a divisor, or change stream.canonical_shards"
                if stream.canonical_shards
                else "use a divisor, or set stream.canonical_shards: they are the largest power of "
                f"two up to {MOST_SHARDS} that divides train.global_batch_size",
            )
        )
    if train.global_batch_size % shards:
        problems.append(
            Problem(
                "train.global_batch_size",
                f"{train.global_batch_size} rows cannot be cut from {shards} canonical shards "
                "equally",
                f"use a multiple of {shards}",
            )
        )
    return problems


def elastic(train: s.Train, stream: s.Stream) -> list[Problem]:
    """Numbers of ranks that contradict each other."""
    least, most = train.min_ranks or 1, train.max_ranks or train.ranks
    if train.min_ranks is None and train.max_ranks is None:
        return []
    if not least <= train.ranks <= most:
        return [
            Problem(
                "train.ranks",
                f"{train.ranks} is not between train.min_ranks ({least}) and train.max_ranks "
                f"({most})",
            )
        ]
    if train.ranks not in elastic_sizes(train, stream):
        return [
            Problem(
                "train.ranks",
                f"an elastic training of {train.ranks} ranks has to know the canonical shards "
                "beforehand",
                f"set stream.canonical_shards to a multiple of {train.ranks}",
            )
        ]
    return []


def tuning(tune: s.Tune, label: s.Label) -> list[Problem]:
    """Ranges in which there is nothing, and metrics that the label has not."""
    problems = []
    for key, tried in tune.parameters.items():
        if isinstance(tried, s.Choices):
            continue
        where = f"tune.parameters.{key}"
        if tried.low >= tried.high:
            problems.append(Problem(where, f"low {tried.low} is not below high {tried.high}"))
        if tried.log and tried.low <= 0:
            problems.append(Problem(where, "log needs a low above 0"))
        if tried.log and tried.step is not None:
            problems.append(Problem(where, "takes either log or step"))
    if tune.parameters and tune.metric not in METRICS[label.kind]:
        problems.append(
            Problem(
                "tune.metric",
                f"{tune.metric} is not defined for a label of kind {label.kind}",
                f"use one of {', '.join(METRICS[label.kind])}",
            )
        )
    return problems


def launchers(train: s.Train) -> list[Problem]:
    """Hosts without a launcher for them, and the other way round."""
    launcher = train.launcher
    if launcher.kind == "hosts" and not launcher.hosts:
        return [Problem("train.launcher.hosts", "launcher hosts needs hosts", "name:slots of each")]
    if launcher.hosts and launcher.kind != "hosts":
        return [
            Problem(
                "train.launcher.hosts",
                f"launcher {launcher.kind} does not look at hosts",
                "set train.launcher.kind: hosts",
            )
        ]
    return []


def optimizers(train: s.Train) -> list[Problem]:
    """Keys that the optimizer of this kind does not know."""
    optimizer = train.optimizer
    problems = [
        Problem(
            f"train.optimizer.{key}",
            f"{optimizer.kind} takes no {key}",
            f"use kind: {' or '.join(kinds)}",
        )
        for key, kinds in _OF_KINDS.items()
        if key in optimizer.model_fields_set
        and optimizer.kind not in kinds
        and getattr(optimizer, key) != type(optimizer).model_fields[key].default
    ]
    if optimizer.nesterov and not optimizer.momentum:
        problems.append(Problem("train.optimizer.nesterov", "needs train.optimizer.momentum"))
    return problems


def followed_metrics(train: s.Train, split: s.Split, label: s.Label) -> list[Problem]:
    """What follows a validation metric, and cannot."""
    followers = {
        "train.early_stopping": train.early_stopping is not None,
        "train.schedule": isinstance(train.schedule, s.ReduceOnPlateau),
    }
    problems = []
    if split.key and split.fractions.validation == 0:
        problems = [
            Problem(where, "needs a validation split, and split.fractions.validation is 0")
            for where, there in followers.items()
            if there
        ]
    return problems + metric_problems(train, label.kind)


def augmentations(train: s.Train, features: dict[str, s.Feature], label: s.Label) -> list[Problem]:
    """Changes of rows that there is nothing to change of, and of labels likewise."""
    augment, problems = train.augment, []
    if not any(isinstance(feature, s.Image) for feature in features.values()):
        problems = [
            Problem(f"train.augment.{key}", "changes images, and no feature is of kind image")
            for key in ("flip_horizontal", "flip_vertical", "shift")
            if getattr(augment, key)
        ]
    if augment.mixup and train.global_batch_size // train.ranks % 2:
        problems.append(
            Problem(
                "train.augment.mixup",
                f"mixes rows in pairs, and a rank has "
                f"{train.global_batch_size // train.ranks} rows of a batch",
                "use an even number",
            )
        )
    if train.label_smoothing and label.kind == "regression":
        problems.append(
            Problem("train.label_smoothing", "spreads a label over classes; regression has none")
        )
    return problems


def schedules(train: s.Train) -> list[Problem]:
    """Rates that would never be reached."""
    schedule, problems = train.schedule, []
    if schedule.warmup_epochs >= train.epochs:
        problems.append(
            Problem(
                "train.schedule.warmup_epochs",
                f"{schedule.warmup_epochs:g} is not less than train.epochs ({train.epochs})",
            )
        )
    if isinstance(schedule, s.StepDecay) and schedule.epochs != sorted(set(schedule.epochs)):
        problems.append(Problem("train.schedule.epochs", "each once, from the first on"))
    return problems

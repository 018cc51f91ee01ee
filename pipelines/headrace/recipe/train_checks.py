"""Check keys about training against each other; called by `checks.py`."""

import math

from headrace.errors import Problem
from headrace.features.kinds import get_form
from headrace.labels.kinds import find_label_kind
from headrace.labels.losses.kinds import find_loss_problems
from headrace.labels.losses.loss import WHERE
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import (
    MOST_SHARDS,
    describe_label,
    find_metric_problems,
    find_pair_problems,
    list_elastic_sizes,
    list_validation_metrics,
)

# Key of the optimizer -> the only optimizers that have it.
_OPTIMIZERS_BY_KEY = {
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "beta_1": ("adam", "adamw", "lamb"),
    "beta_2": ("adam", "adamw", "lamb"),
    "epsilon": ("adam", "adamw", "lamb", "adagrad", "rowwise_adagrad"),
    "weight_decay": ("adamw", "lamb"),
    "initial_accumulator": ("adagrad", "rowwise_adagrad"),
    "sparse": ("sgd", "adam", "adamw"),
}


def check_batches(train: s.Train, stream: s.Stream) -> list[Problem]:
    """Return problems of batch size, shards and ranks that do not divide evenly."""
    problems = []
    # Left out, they are a power of two that divides the batch.
    shards = stream.canonical_shards or math.gcd(MOST_SHARDS, train.global_batch_size)
    if train.ranks != "auto" and shards % train.ranks:
        problems.append(
            Problem(
                "train.ranks",
                f"{train.ranks} ranks cannot share {shards} canonical shards evenly",
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
                f"{train.global_batch_size} rows cannot be divided evenly among {shards} canonical "
                "shards",
                f"use a multiple of {shards}",
            )
        )
    return problems


def check_automatic_ranks(train: s.Train) -> list[Problem]:
    """Return the problem of ranks that are chosen by the rows and started elsewhere."""
    kind = train.launcher.kind
    if train.ranks != "auto" or kind not in ("hosts", "spark"):
        return []
    text = f"auto chooses ranks of this machine, and train.launcher.kind is {kind}"
    return [Problem("train.ranks", text, "write a number")]


def check_elastic_sizes(train: s.Train, stream: s.Stream) -> list[Problem]:
    """Return problems of numbers of ranks that contradict each other."""
    least, most = train.min_ranks or 1, train.max_ranks or train.rank_count
    if train.min_ranks is None and train.max_ranks is None:
        return []
    if train.ranks == "auto":
        return [
            Problem(
                "train.ranks",
                "auto chooses by the rows, and an elastic training (train.min_ranks, "
                "train.max_ranks) begins with a number",
                "write a number",
            )
        ]
    if not least <= train.ranks <= most:
        return [
            Problem(
                "train.ranks",
                f"{train.ranks} is not between train.min_ranks ({least}) and train.max_ranks "
                f"({most})",
            )
        ]
    if stream.memory is not None and stream.canonical_shards is None:
        return [
            Problem(
                "stream.memory",
                "how many canonical shards fit is known only from the dataset, and an elastic "
                "training needs a number that all its sizes divide",
                "set stream.canonical_shards",
            )
        ]
    if train.ranks not in list_elastic_sizes(train, stream):
        return [
            Problem(
                "train.ranks",
                f"an elastic training of {train.ranks} ranks needs a fixed number of canonical "
                "shards",
                f"set stream.canonical_shards to a multiple of {train.ranks}",
            )
        ]
    return []


def check_loss(train: s.Train, label: s.Label) -> list[Problem]:
    """Return problems of a loss that does not fit the label."""
    return find_loss_problems(train.loss, label.kind, train.label_smoothing)


def check_two_tower(
    model: s.Model, train: s.Train, label: s.Label, evaluate: s.Evaluate
) -> list[Problem]:
    """Return problems of keys that a training by pairs does not have."""
    if not isinstance(model, s.TwoTower):
        return []
    problems = find_pair_problems(label.kind)
    by_batch = "two_tower is trained by a softmax over the items of a batch"
    if train.loss is not None:
        problems.append(Problem("train.loss", f"{by_batch}, and by no other loss", "remove it"))
    if train.label_smoothing:
        problems.append(Problem("train.label_smoothing", f"{by_batch}, not of labels", "remove it"))
    if train.augment != s.Augment():
        text = "two_tower tells items apart by their features, which augmentations change"
        problems.append(Problem("train.augment", text, "remove it"))
    if evaluate.gates is None:
        text = (
            "are left out, and the default is by log_loss, which says nothing of two_tower: its "
            "scores rank items, and are no probabilities"
        )
        fix = "write gates by roc_auc or by evaluate.ranking, or [] for none"
        problems.append(Problem("evaluate.gates", text, fix))
    return problems


def check_tuning(tune: s.Tune, label: s.Label, train: s.Train) -> list[Problem]:
    """Return problems of empty ranges of tuned keys, and metrics by which trials do not compare."""
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
    metrics = list_validation_metrics(train, label.kind)
    if tune.parameters and tune.metric not in metrics:
        problems.append(
            Problem(
                "tune.metric",
                f"{tune.metric} is not defined for {describe_label(train, label.kind)}",
                f"use one of {', '.join(metrics)}",
            )
        )
    for key in tune.parameters:
        if f"{key}.".startswith(f"{WHERE}.") and tune.metric == "loss":
            others = " or ".join(name for name in metrics if name != "loss")
            problems.append(
                Problem(
                    f"tune.parameters.{key}",
                    "trials with different losses are not compared by their loss",
                    f"set tune.metric to {others}" if others else "remove it",
                )
            )
    return problems


def check_parallel_trials(tune: s.Tune, train: s.Train) -> list[Problem]:
    """Return problems of trials that would run side by side on machines that are shared."""
    if tune.parallel == 1 or train.launcher.kind in ("auto", "local"):
        return []
    return [
        Problem(
            "tune.parallel",
            f"trials share the cores and GPUs of this machine, and launcher {train.launcher.kind} "
            "starts their ranks elsewhere",
            "use 1, or train.launcher.kind: local",
        )
    ]


def check_launcher(train: s.Train) -> list[Problem]:
    """Return problems of hosts without their launcher, or of that launcher without hosts."""
    launcher = train.launcher
    if launcher.kind == "hosts" and not launcher.hosts:
        return [
            Problem(
                "train.launcher.hosts",
                "is empty, and train.launcher.kind is hosts",
                "list name:slots, for example gpu1:4",
            )
        ]
    if launcher.hosts and launcher.kind != "hosts":
        return [
            Problem(
                "train.launcher.hosts",
                f"launcher {launcher.kind} ignores hosts",
                "set train.launcher.kind: hosts",
            )
        ]
    return []


def check_optimizer(train: s.Train) -> list[Problem]:
    """Return problems of keys that the optimizer of this kind does not have."""
    optimizer = train.optimizer
    problems = [
        Problem(
            f"train.optimizer.{key}",
            f"{optimizer.kind} takes no {key}",
            f"use kind: {' or '.join(kinds)}",
        )
        for key, kinds in _OPTIMIZERS_BY_KEY.items()
        if key in optimizer.model_fields_set
        and optimizer.kind not in kinds
        and getattr(optimizer, key) != type(optimizer).model_fields[key].default
    ]
    if optimizer.nesterov and not optimizer.momentum:
        problems.append(Problem("train.optimizer.nesterov", "needs train.optimizer.momentum"))
    return problems


def check_sharded_tables(model: s.Model, train: s.Train) -> list[Problem]:
    """Return problems of tables that are to be split over ranks, and cannot be."""
    if model.embeddings.shard_above is None:
        return []
    where, optimizer = "model.embeddings.shard_above", train.optimizer
    problems = []
    if isinstance(model, s.Python):
        problems.append(Problem(where, "layers of a python model may read their tables as a whole"))
    if isinstance(model, s.TwoTower):
        problems.append(Problem(where, "the search over all items is exported with whole tables"))
    if isinstance(model, s.WideDeep) and (model.l1 or model.l2):
        text = "model.l1 and model.l2 make every row of the linear part count in every step"
        problems.append(Problem(where, text, "use 0 for both, or another model"))
    is_exact = "adagrad" in optimizer.kind or (optimizer.kind == "sgd" and not optimizer.momentum)
    if not is_exact and (optimizer.sparse != "lazy" or optimizer.kind == "lamb"):
        problems.append(
            Problem(
                where,
                f"{optimizer.kind} moves every row in every step, and a rank has some rows alone",
                f"use kind: {'adamw' if optimizer.kind == 'lamb' else optimizer.kind} with "
                "sparse: lazy, or kind: rowwise_adagrad",
            )
        )
    return problems


def check_monitored_metrics(train: s.Train, split: s.Split, label: s.Label) -> list[Problem]:
    """Return problems of early stopping and schedules that monitor an unavailable metric."""
    monitors = {
        "train.early_stopping": train.early_stopping is not None,
        "train.schedule": isinstance(train.schedule, s.ReduceOnPlateau),
    }
    problems = []
    if split.key and split.fractions.validation == 0:
        problems = [
            Problem(where, "needs a validation split, and split.fractions.validation is 0")
            for where, is_used in monitors.items()
            if is_used
        ]
    return problems + find_metric_problems(train, label.kind)


def check_augmentation(
    train: s.Train, features: dict[str, s.Feature], label: s.Label
) -> list[Problem]:
    """Return problems of augmentations of inputs or labels that the recipe does not have."""
    augment, problems = train.augment, []
    if not any(get_form(feature) == "image" for feature in features.values()):
        problems = [
            Problem(f"train.augment.{key}", "changes images, and no feature is of kind image")
            for key in ("flip_horizontal", "flip_vertical", "shift")
            if getattr(augment, key)
        ]
    if augment.mixup and train.global_batch_size // train.rank_count % 2:
        problems.append(
            Problem(
                "train.augment.mixup",
                f"mixes rows in pairs, and a rank has "
                f"{train.global_batch_size // train.rank_count} rows of a batch",
                "use an even number",
            )
        )
    smoothing_problem = find_label_kind(label.kind).smoothing_problem
    if train.label_smoothing and smoothing_problem:
        problems.append(Problem("train.label_smoothing", smoothing_problem))
    return problems


def check_schedule(train: s.Train) -> list[Problem]:
    """Return problems of schedules whose rates would never be reached."""
    schedule, problems = train.schedule, []
    if schedule.warmup_epochs >= train.epochs:
        problems.append(
            Problem(
                "train.schedule.warmup_epochs",
                f"{schedule.warmup_epochs:g} is not less than train.epochs ({train.epochs})",
            )
        )
    if isinstance(schedule, s.StepDecay) and schedule.epochs != sorted(set(schedule.epochs)):
        text = f"got {schedule.epochs}, expected rising epochs, each once"
        problems.append(Problem("train.schedule.epochs", text, "sort them"))
    return problems

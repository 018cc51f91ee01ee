"""Check keys about evaluation against each other; called by `checks.py`."""

from collections.abc import Iterator
from itertools import pairwise

from headrace.errors import Problem
from headrace.labels.kinds import find_label_kind
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import describe_label, get_fitting_loss
from headrace.recipe.problems import suggest_nearest


def check_evaluation(evaluate: s.Evaluate, label: s.Label, train: s.Train) -> list[Problem]:
    """Return problems of metrics that label and loss do not have, and of gates that cannot be
    judged."""
    problems = []
    kind = find_label_kind(label.kind)
    loss = get_fitting_loss(train, label.kind)
    metrics = loss.list_metrics(kind) if loss else tuple(kind.metrics)
    for where, metric in _list_metrics(evaluate):
        if metric not in metrics:
            fix = suggest_nearest(metric, list(metrics))
            text = f"there is no metric {metric!r} for {describe_label(train, label.kind)}"
            problems.append(Problem(where, text, fix))
    if not isinstance(evaluate.threshold, float) and not kind.has_threshold:
        text = f"a label of kind {label.kind} has no threshold to choose"
        problems.append(Problem("evaluate.threshold", text, "leave it out"))
    declared = [item.columns for item in evaluate.slices]
    for index, gate in enumerate(evaluate.gates):
        where = f"evaluate.gates.{index}"
        if isinstance(gate, s.MetricGate | s.SliceGate) and (gate.at_least is None) == (
            gate.at_most is None
        ):
            problems.append(Problem(where, "give either at_least or at_most"))
        if isinstance(gate, s.SliceGate) and gate.columns not in declared:
            text = f"{gate.columns} is none of evaluate.slices"
            problems.append(Problem(f"{where}.columns", text, "add it there"))
        if isinstance(gate, s.ChampionGate) and not evaluate.bootstrap:
            text = "a champion gate is judged by a bootstrap, and evaluate.bootstrap is 0"
            problems.append(Problem(where, text))
    return problems


def check_slices(
    evaluate: s.Evaluate, features: dict[str, s.Feature], dataset: s.Dataset
) -> list[Problem]:
    """Return problems of slices of columns that the dataset does not have."""
    plain = [n for n, f in features.items() if not f.shape]
    columns = [*plain, *dataset.keep]
    problems = []
    for index, item in enumerate(evaluate.slices):
        where = f"evaluate.slices.{index}"
        for column in item.columns:
            if column in columns:
                continue
            text = f"{column!r} is no feature with one value per row, and not in dataset.keep"
            fix = f"{suggest_nearest(column, columns)}; dataset.keep takes raw columns"
            problems.append(Problem(f"{where}.columns", text, fix))
        if item.buckets is None:
            continue
        if len(item.columns) > 1:
            text = f"got buckets for {len(item.columns)} columns; they divide one"
            fix = "give one column, or remove buckets"
            problems.append(Problem(f"{where}.buckets", text, fix))
        if any(low >= high for low, high in pairwise(item.buckets)):
            text = f"got {item.buckets}, expected rising numbers, each once"
            problems.append(Problem(f"{where}.buckets", text))
    for index, name in enumerate(evaluate.leakage.allow):
        if name not in features:
            problems.append(
                Problem(
                    f"evaluate.leakage.allow.{index}",
                    f"there is no feature {name!r}",
                    suggest_nearest(name, list(features)),
                )
            )
    return problems


def _list_metrics(evaluate: s.Evaluate) -> Iterator[tuple[str, str]]:
    if evaluate.metric is not None:
        yield "evaluate.metric", evaluate.metric
    for index, gate in enumerate(evaluate.gates):
        if isinstance(gate, s.MetricGate | s.SliceGate | s.ChampionGate):
            yield f"evaluate.gates.{index}.metric", gate.metric

"""Check keys about evaluation against each other; called by `checks.py`."""

from collections.abc import Iterable, Iterator, Mapping

from headrace.errors import Problem
from headrace.features.kinds import get_form
from headrace.labels.kind import LabelKind
from headrace.labels.kinds import find_label_kind
from headrace.labels.ranking import LIST_COUNTS, is_ranking_metric, list_ranking_metrics
from headrace.recipe import sections as s
from headrace.recipe.model_requirements import describe_label, get_fitting_loss
from headrace.recipe.problems import suggest_nearest
from headrace.recipe.slice_limits import describe_bad_limits, describe_misfit


def check_evaluation(evaluate: s.Evaluate, label: s.Label, train: s.Train) -> list[Problem]:
    """Return problems of metrics that label and loss do not have, and of gates that cannot be
    judged, or that only bad models pass."""
    problems = []
    kind = find_label_kind(label.kind)
    loss = get_fitting_loss(train, label.kind)
    metrics = loss.list_metrics(kind) if loss else tuple(kind.metrics)
    if evaluate.ranking is not None and not kind.ranks_lists:
        text = f"a label of kind {label.kind} has no rows that are positive, which lists rank"
        problems.append(Problem("evaluate.ranking", text, "remove it, or use label.kind: binary"))
    for where, metric, known in _list_metrics(evaluate, kind, metrics):
        if metric in known:
            continue
        fix = suggest_nearest(metric, known)
        text = f"there is no metric {metric!r} for {describe_label(train, label.kind)}"
        if is_ranking_metric(metric):
            text, fix = _explain_ranking_metric(where, metric, evaluate)
        elif metric in kind.undirected_metrics:
            text = f"neither way is better of {metric!r}, so models cannot be compared by it"
        problems.append(Problem(where, text, fix))
    if not isinstance(evaluate.threshold, float) and not kind.has_threshold:
        text = f"a label of kind {label.kind} has no threshold to choose"
        problems.append(Problem("evaluate.threshold", text, "leave it out"))
    declared = [item.columns for item in evaluate.slices]
    for index, gate in enumerate(evaluate.gates or []):
        where = f"evaluate.gates.{index}"
        if isinstance(gate, s.MetricGate | s.SliceGate) and (gate.at_least is None) == (
            gate.at_most is None
        ):
            problems.append(Problem(where, "give either at_least or at_most"))
        elif isinstance(gate, s.MetricGate | s.SliceGate):
            problems += _check_direction(where, gate, kind)
        if isinstance(gate, s.SliceGate) and gate.columns not in declared:
            text = f"{gate.columns} is none of evaluate.slices"
            problems.append(Problem(f"{where}.columns", text, "add it there"))
        if isinstance(gate, s.ChampionGate) and not evaluate.bootstrap:
            text = "a champion gate is judged by a bootstrap, and evaluate.bootstrap is 0"
            problems.append(Problem(where, text))
    return problems


def check_references(
    evaluate: s.Evaluate, label: s.Label, features: Mapping[str, s.Feature]
) -> list[Problem]:
    """Return problems of gates against references that there will not be, and of gates that cannot
    be judged against them."""
    problems = []
    if evaluate.gates is None and "constant" not in evaluate.references:
        text = "has no constant, and a recipe without evaluate.gates is judged against it"
        fix = "add it, or write the gates (evaluate.gates: [] for none)"
        problems.append(Problem("evaluate.references", text, fix))
    for index, gate in enumerate(evaluate.gates or []):
        if not isinstance(gate, s.BaselineGate):
            continue
        where = f"evaluate.gates.{index}"
        if not evaluate.bootstrap:
            text = "a baseline gate is judged by a bootstrap, and evaluate.bootstrap is 0"
            problems.append(Problem(where, text))
        if gate.not_worse_by is not None and "better_by" in gate.model_fields_set:
            problems.append(Problem(where, "give either better_by or not_worse_by"))
        problems += _check_reference(f"{where}.against", gate.against, evaluate, label, features)
    return problems


def _check_reference(
    where: str,
    name: str,
    evaluate: s.Evaluate,
    label: s.Label,
    features: Mapping[str, s.Feature],
) -> list[Problem]:
    """Return why there will be no reference of this name."""
    if name == "label.baseline":
        if label.baseline is not None:
            return []
        takes = find_label_kind(label.kind).takes_baseline
        fix = "give it, or choose constant or tree" if takes else "choose constant or tree"
        return [Problem(where, "the recipe has no label.baseline", fix)]
    if name not in evaluate.references:
        return [Problem(where, f"evaluate.references has no {name}", "add it there")]
    if name != "tree":
        return []
    if label.kind == "multi_label":
        text = "there is no tree for a label of kind multi_label"
        return [Problem(where, text, "choose constant")]
    shaped = [f for f, section in features.items() if get_form(section) not in ("numbers", "ids")]
    if shaped:
        text = f"there is no tree for features that are images, texts or series: {shaped[0]!r}"
        return [Problem(where, text, "choose constant")]
    return []


def check_slices(
    evaluate: s.Evaluate,
    features: dict[str, s.Feature],
    dataset: s.Dataset,
    derive: dict[str, s.Derivation],
    source: s.Source,
) -> list[Problem]:
    """Return problems of slices and lists of columns that the dataset does not have, and of limits
    that cannot divide them; types that only the lake knows are compared when it is prepared."""
    plain = [n for n, f in features.items() if not f.shape]
    columns = [*plain, *dataset.keep]
    problems = []
    for column in evaluate.ranking.columns if evaluate.ranking is not None else ():
        if column not in columns:
            text = f"{column!r} is no feature with one value per row, and not in dataset.keep"
            fix = f"{suggest_nearest(column, columns)}; dataset.keep takes raw columns"
            problems.append(Problem("evaluate.ranking.columns", text, fix))
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
            continue
        (column,) = item.columns
        wrong = describe_bad_limits(item.buckets)
        if wrong is None and column in columns:
            types = _list_possible_types(column, features, dataset, derive, source)
            wrong = describe_misfit(column, item.buckets, types)
        if wrong:
            problems.append(Problem(f"{where}.buckets", *wrong))
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


def _list_possible_types(
    name: str,
    features: dict[str, s.Feature],
    dataset: s.Dataset,
    derive: dict[str, s.Derivation],
    source: s.Source,
) -> set[str]:
    """Return the types that the values of a slice's column may have, as far as the recipe says."""
    declared = source.tables[source.main].columns if source.main in source.tables else {}
    if name in dataset.keep:
        columns, accepted = [name], {"integer", "real", "timestamp", "string", "boolean"}
    else:
        columns = features[name].list_source_columns(name)
        accepted = {kind.value for kind in features[name].accepted_types}
    if len(columns) > 1:
        return {"cross"}
    (column,) = columns
    if column in derive and name not in dataset.keep:
        return {derive[column].result_type.value}
    if column in declared:
        return {"timestamp" if declared[column] == "date" else declared[column]}
    return accepted


def _check_direction(
    where: str, gate: "s.MetricGate | s.SliceGate", kind: LabelKind
) -> list[Problem]:
    """Return the problem of a limit on the wrong side: the better a model, the sooner it fails."""
    right = {"higher": "at_least", "lower": "at_most", None: None}[kind.find_direction(gate.metric)]
    wrong = {"at_least": "at_most", "at_most": "at_least"}.get(right or "")
    limit = getattr(gate, wrong) if wrong else None
    if limit is None:
        return []
    better = "higher" if right == "at_least" else "lower"
    text = f"{better} values of {gate.metric} are better, so a model would fail for being good"
    return [Problem(f"{where}.{wrong}", text, f"write {right}: {limit:g}")]


def _list_metrics(
    evaluate: s.Evaluate, kind: LabelKind, metrics: Iterable[str]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield where a metric is named, its name, and the names that may stand there.

    Args:
        evaluate: names them.
        kind: knows the numbers of which neither way is better.
        metrics: those of label and loss.
    """
    directed = list(metrics)
    if evaluate.metric is not None:
        yield "evaluate.metric", evaluate.metric, directed
    counts: list[str] = []
    if evaluate.ranking is not None:
        directed, counts = directed + list_ranking_metrics(evaluate.ranking.at), [*LIST_COUNTS]
    for index, gate in enumerate(evaluate.gates or []):
        where = f"evaluate.gates.{index}.metric"
        if isinstance(gate, s.ChampionGate | s.BaselineGate):
            yield where, gate.metric, directed
        elif isinstance(gate, s.MetricGate | s.SliceGate):
            yield where, gate.metric, [*directed, *kind.undirected_metrics, *counts]


def _explain_ranking_metric(where: str, metric: str, evaluate: s.Evaluate) -> tuple[str, str]:
    """Return why a metric of lists cannot stand somewhere, and the fix."""
    if where == "evaluate.metric":
        text = f"{metric} is of lists, and features are ordered by a metric of single rows"
        return text, "name it in a gate"
    if evaluate.ranking is None:
        return f"{metric} is of lists, and there is no evaluate.ranking", "add it, with its columns"
    return f"{metric} is at a place that evaluate.ranking.at does not have", "add it there"

"""Gates that only bad models pass are refused when the recipe is read, with what to write."""

from typing import Any

import pytest

from headrace.labels.kinds import KINDS
from headrace.recipe import sections as s
from headrace.recipe.evaluate_checks import check_evaluation

DIRECTED = [(kind.name, metric) for kind in KINDS.values() for metric in kind.metrics]
UNDIRECTED = [(kind.name, name) for kind in KINDS.values() for name in kind.undirected_metrics]


def check(kind: str, *gates: dict[str, Any]) -> list[str]:
    evaluate = s.Evaluate.model_validate({"gates": list(gates), "slices": [{"columns": ["c"]}]})
    label = s.Label.model_validate({"expression": "x", "kind": kind})
    train = s.Train()
    return [str(problem) for problem in check_evaluation(evaluate, label, train)]


@pytest.mark.parametrize("gate", [{"kind": "metric"}, {"kind": "slice", "columns": ["c"]}])
@pytest.mark.parametrize(("kind", "metric"), DIRECTED)
def test_a_limit_is_on_the_side_of_the_worse_models(
    kind: str, metric: str, gate: dict[str, Any]
) -> None:
    right, wrong = "at_least", "at_most"
    if not KINDS[kind].is_higher_better(metric):
        right, wrong = wrong, right
    assert check(kind, {**gate, "metric": metric, right: 0.25}) == []
    (problem,) = check(kind, {**gate, "metric": metric, wrong: 0.25})
    assert problem.startswith(f"evaluate.gates.0.{wrong}: ")
    assert f"(write {right}: 0.25)" in problem


@pytest.mark.parametrize("limit", ["at_least", "at_most"])
@pytest.mark.parametrize(("kind", "metric"), UNDIRECTED)
def test_of_other_numbers_both_sides_may_be_meant(kind: str, metric: str, limit: str) -> None:
    assert check(kind, {"kind": "metric", "metric": metric, limit: 0.0}) == []
    (problem,) = check(kind, {"kind": "champion", "metric": metric, "not_worse_by": 0.0})
    assert f"neither way is better of {metric!r}" in problem


def test_one_limit_is_given() -> None:
    gate = {"kind": "metric", "metric": "roc_auc"}
    for limits in ({}, {"at_least": 0.1, "at_most": 0.9}):
        assert check("binary", {**gate, **limits}) == [
            "evaluate.gates.0: give either at_least or at_most"
        ]


def test_a_metric_of_another_kind_is_refused() -> None:
    (problem,) = check("regression", {"kind": "metric", "metric": "roc_auc", "at_most": 0.1})
    assert "there is no metric 'roc_auc' for a label of kind regression" in problem


def check_ranking(kind: str = "binary", **evaluate: Any) -> list[str]:
    settings = s.Evaluate.model_validate(evaluate)
    label = s.Label.model_validate({"expression": "x", "kind": kind})
    return [str(problem) for problem in check_evaluation(settings, label, s.Train())]


RANKING = {"columns": ["user"], "at": [10]}
RECALL = {"kind": "metric", "metric": "recall_at_10", "at_least": 0.1}


def test_gates_of_lists_need_lists_and_their_places() -> None:
    assert check_ranking(ranking=RANKING, gates=[RECALL]) == []
    assert check_ranking(
        ranking=RANKING,
        gates=[{"kind": "champion", "metric": "ndcg_at_10", "not_worse_by": 0},
               {"kind": "baseline", "against": "constant", "metric": "ndcg_at_10"},
               {"kind": "metric", "metric": "lists", "at_least": 100}],
    ) == []  # fmt: skip
    assert check_ranking(gates=[RECALL]) == [
        "evaluate.gates.0.metric: recall_at_10 is of lists, and there is no evaluate.ranking (add "
        "it, with its columns)"
    ]
    (problem,) = check_ranking(ranking=RANKING, gates=[{**RECALL, "metric": "recall_at_5"}])
    assert "a place that evaluate.ranking.at does not have" in problem
    (problem,) = check_ranking(ranking=RANKING, metric="ndcg_at_10")
    assert problem.startswith("evaluate.metric: ndcg_at_10 is of lists")
    (problem,) = check_ranking(
        ranking=RANKING, gates=[{"kind": "metric", "metric": "ndcg_at_10", "at_most": 0.1}]
    )
    assert "higher values of ndcg_at_10 are better" in problem


def test_lists_are_ranked_by_a_condition() -> None:
    (problem,) = check_ranking("regression", ranking=RANKING)
    assert problem == (
        "evaluate.ranking: a label of kind regression has no rows that are positive, which lists "
        "rank (remove it, or use label.kind: binary)"
    )

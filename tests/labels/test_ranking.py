"""NDCG and recall at k: by hand, like scikit-learn's, and like a bare loop over shuffled ties."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.labels.binary import Binary
from headrace.labels.constant import fit_constant, make_constant_scorer
from headrace.labels.ranking import (
    LIST,
    RankedLists,
    describe_left_out,
    is_ranking_metric,
    list_ranking_metrics,
)
from headrace.labels.spec import LabelSpec
from tests.labels.scored_rows import SCORES, TOLERANCE

# Two lists that count, one without positives, one of one row, and a row without a list.
LISTS = np.array([7, 2, 7, 7, 2, 2, 5, 5, 9, -1])
TRUTH = np.array([1, 0, 0, 1, 1, 0, 0, 0, 1, 1.0])
SCORE = np.array([0.2, 0.8, 0.9, 0.6, 0.5, 0.1, 0.4, 0.3, 0.7, 0.7])


def test_two_lists_by_hand() -> None:
    """List 7 has positives at places 2 and 3, list 2 one at place 2."""
    lists = RankedLists(LISTS, TRUTH, SCORE, (1, 2, 3))
    second, third = 1 / np.log2(3), 0.5
    assert lists.measure(np.ones(10)) == pytest.approx(
        {
            "ndcg_at_1": 0.0,
            "recall_at_1": 0.0,
            "ndcg_at_2": (second / (1 + second) + second) / 2,
            "recall_at_2": (0.5 + 1) / 2,
            "ndcg_at_3": ((second + third) / (1 + second) + second) / 2,
            "recall_at_3": 1.0,
        }
    )
    assert lists.count_lists() == {
        "lists": 4, "lists_without_positives": 1, "lists_of_one_row": 1, "rows_without_list": 1,
    }  # fmt: skip


def test_what_does_not_count_is_said() -> None:
    lists = RankedLists(LISTS, TRUTH, SCORE, (1,))
    assert describe_left_out(lists.count_lists()) == (
        "of 4 lists: 1 lists without a positive row, 1 lists of one row, 1 rows without a value of "
        "the list's column are not in NDCG and recall"
    )
    assert describe_left_out({"lists": 4.0, "lists_of_one_row": 0.0}) == ""
    assert describe_left_out({"rows": 10.0}) == ""


def test_rows_of_weight_0_are_in_no_list_and_lists_weigh_as_their_rows_do() -> None:
    lists = RankedLists(LISTS, TRUTH, SCORE, (1,))
    weight = np.ones(10)
    weight[2] = 0  # row 2 was before the positives of list 7
    assert lists.measure(weight) == {"ndcg_at_1": 0.5, "recall_at_1": 0.25}
    weight[[0, 3]] = 3
    assert lists.measure(weight)["ndcg_at_1"] == pytest.approx(3 / (3 + 1))
    weight[[0, 3]] = 0
    assert lists.measure(weight)["ndcg_at_1"] == 0.0  # of list 2 alone


@pytest.mark.parametrize("lists", [np.full(4, -1), np.arange(4), np.array([1, 1, 2, 2])])
def test_without_a_list_that_counts_there_is_no_metric(lists: np.ndarray) -> None:
    ranked = RankedLists(lists, np.zeros(4), np.arange(4.0), (5,))
    assert ranked.measure(np.ones(4)) == {}
    assert ranked.count_lists()["rows_without_list"] == (lists < 0).sum()


@given(
    st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 1), SCORES), min_size=1, max_size=40),
    st.integers(1, 6),
)
@settings(deadline=None)
def test_it_is_scikit_learns_ndcg_and_a_loops_recall(
    rows: list[tuple[int, int, float]], cutoff: int
) -> None:
    from sklearn.metrics import ndcg_score

    lists, truth, score = (np.array(column) for column in zip(*rows, strict=True))
    gains, recalls = [], []
    for number in range(5):
        own = lists == number
        if own.sum() < 2 or not truth[own].any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gains.append(ndcg_score([truth[own]], [score[own]], k=cutoff))
        recalls.append(compute_recall(truth[own], score[own], cutoff))
    metrics = RankedLists(lists, truth, score, (cutoff,)).measure(np.ones(len(rows)))
    if not gains:
        assert metrics == {}
        return
    assert metrics[f"ndcg_at_{cutoff}"] == pytest.approx(np.mean(gains), abs=TOLERANCE)
    assert metrics[f"recall_at_{cutoff}"] == pytest.approx(np.mean(recalls), abs=TOLERANCE)


def compute_recall(truth: np.ndarray, score: np.ndarray, cutoff: int) -> float:
    """The share of positives in the first places; of ties that the last place cuts, the mean."""
    ranked = sorted(zip(score, truth, strict=True), key=lambda row: -row[0])
    hits, place = 0.0, 0
    for _, group in itertools.groupby(ranked, key=lambda row: row[0]):
        labels = [label for _, label in group]
        places = min(max(cutoff - place, 0), len(labels))
        hits += sum(labels) * places / len(labels)
        place += len(labels)
    return hits / truth.sum()


def test_the_order_of_rows_wins_nothing() -> None:
    """Of equal scores every order is as likely, whatever order the rows came in."""
    truth, lists = np.array([1.0, 0, 0, 0]), np.zeros(4, int)
    for order in (slice(None), slice(None, None, -1)):
        metrics = RankedLists(lists, truth[order], np.full(4, 0.5), (1,)).measure(np.ones(4))
        assert metrics == {"ndcg_at_1": 0.25, "recall_at_1": 0.25}


def test_the_scorer_of_a_label_and_that_of_a_constant_have_the_metrics() -> None:
    label = LabelSpec().with_cutoffs([2, 2, 3])
    rows = {"label": TRUTH, "probability": SCORE, LIST: LISTS}
    scorer = Binary().make_scorer(rows, label, 0.5)
    metrics = scorer(np.ones(10))
    assert metrics["recall_at_2"] == 0.75
    assert {"roc_auc", "ndcg_at_2", "ndcg_at_3"} < metrics.keys()
    assert scorer.count_outcomes()["lists"] == 4
    assert scorer.rows == 10
    assert scorer.describe_labels(np.ones(10), ()) == []
    constant = make_constant_scorer(fit_constant(label, TRUTH, np.ones(10)), rows, label)
    of_constant = constant(np.ones(10))
    assert of_constant["recall_at_2"] == pytest.approx(2 / 3)  # two of three places, in both
    assert of_constant["roc_auc"] == 0.5
    without = Binary().make_scorer({"label": TRUTH, "probability": SCORE}, label, 0.5)
    assert "recall_at_2" not in without(np.ones(10))


def test_higher_is_better_of_every_metric_of_lists() -> None:
    assert list_ranking_metrics([1, 10]) == [
        "ndcg_at_1",
        "recall_at_1",
        "ndcg_at_10",
        "recall_at_10",
    ]
    assert all(Binary().is_higher_better(name) for name in list_ranking_metrics([10]))
    for name in ("ndcg", "ndcg_at_0", "recall_at_x", "recall"):
        assert not is_ranking_metric(name)

"""References of three known tables, equal to what scikit-learn gives by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets, metrics
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from headrace.errors import ModelError
from headrace.evaluate.bootstrap import draw_metrics
from headrace.evaluate.references.compare import compare_references
from headrace.evaluate.references.compute import choose_sample_rows, compute_references
from headrace.labels.ranking import LIST
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from tests.evaluate.references.tables import as_test_rows, cut, make_spec, publish_table

SETTINGS = s.Evaluate(bootstrap=20)
BY_HAND = {"max_iter": 60, "learning_rate": 0.15, "early_stopping": False, "random_state": 0}


def load_table(kind: str) -> tuple[LabelSpec, dict[str, np.ndarray]]:
    if kind == "binary":
        x, y = datasets.load_breast_cancer(return_X_y=True)
        return LabelSpec(kind="binary"), {"numeric": x, "label": y.astype(np.float32)}
    if kind == "classes":
        x, y = datasets.load_wine(return_X_y=True)
        label = LabelSpec(kind="classes", classes=("a", "b", "c"))
        return label, {"numeric": x, "label": y.astype(np.int32)}
    x, y = datasets.load_diabetes(return_X_y=True)
    label = LabelSpec(kind="regression", center=150.0, scale=77.0)
    return label, {"numeric": x, "label": ((y - 150) / 77).astype(np.float32)}


def fit_by_hand(kind: str, splits: dict[str, Any]) -> np.ndarray:
    """Return the predictions of the test rows at the best of 5, 10, … 60 iterations."""
    x, y = ({n: rows[key].astype(np.float32) for n, rows in splits.items()}
            for key in ("numeric", "label"))  # fmt: skip
    if kind == "regression":
        model = HistGradientBoostingRegressor(**BY_HAND).fit(x["train"], y["train"])
        stages = list(model.staged_predict(x["validation"]))
        losses = [metrics.mean_squared_error(y["validation"], stage) for stage in stages]
        best = min(range(4, 60, 5), key=losses.__getitem__)
        return list(model.staged_predict(x["test"]))[best]
    model = HistGradientBoostingClassifier(**BY_HAND).fit(x["train"], y["train"])
    stages = list(model.staged_predict_proba(x["validation"]))
    losses = [metrics.log_loss(y["validation"], stage) for stage in stages]
    best = min(range(4, 60, 5), key=losses.__getitem__)
    output = list(model.staged_predict_proba(x["test"]))[best]
    return output[:, 1] if kind == "binary" else output


@pytest.mark.parametrize("kind", ["binary", "classes", "regression"])
def test_references_are_those_of_scikit_learn(kind: str, tmp_path: Path) -> None:
    label, table = load_table(kind)
    splits = cut(table, 0.6, 0.2)
    spec = make_spec(label, table["numeric"].shape[1])
    dataset = publish_table(tmp_path / "d", spec, splits)
    references = compute_references(dataset, spec, SETTINGS)
    expected = fit_by_hand(kind, splits)
    assert references.tree is not None
    np.testing.assert_allclose(references.tree["test"], expected[::-1], rtol=1e-6, atol=1e-7)

    train, test = splits["train"]["label"], splits["test"]["label"]
    rows = as_test_rows(splits["test"], **{label.definition.output: expected})
    scorer = label.definition.make_scorer(rows, label, 0.5)
    model = draw_metrics(scorer, np.ones(len(test)), draws=20, seed=0)
    done = compare_references(references, model, rows, {}, np.ones(len(test)), label, 0.5, SETTINGS)
    constant, tree = done.results
    if kind == "regression":
        mean = DummyRegressor().fit(np.zeros((len(train), 1)), train).predict(np.zeros((1, 1)))[0]
        truth = test * 77.0 + 150
        for result, guess in ((constant, mean), (tree, expected)):
            shown = np.broadcast_to(guess, len(test)) * 77.0 + 150
            error = metrics.mean_squared_error(truth, shown) ** 0.5
            assert result.metrics["rmse"] == pytest.approx(error, rel=1e-5)
            assert result.metrics["r2"] == pytest.approx(metrics.r2_score(truth, shown), abs=1e-5)
    else:
        dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(train), 1)), train)
        prior = dummy.predict_proba(np.zeros((len(test), 1)))
        accuracy = metrics.accuracy_score(test, dummy.predict(np.zeros((len(test), 1))))
        assert constant.metrics["accuracy"] == pytest.approx(accuracy)
        assert constant.metrics["log_loss"] == pytest.approx(metrics.log_loss(test, prior))
        assert tree.metrics["log_loss"] == pytest.approx(metrics.log_loss(test, expected), rel=1e-5)
        if kind == "binary":
            assert constant.metrics["roc_auc"] == 0.5
            area = metrics.roc_auc_score(test, expected)
            assert tree.metrics["roc_auc"] == pytest.approx(area)
            rows[LIST] = np.arange(len(test)) % 5
            compared = compare_references(
                references, model, rows, {}, np.ones(len(test)), label.with_cutoffs([3]), 0.5,
                SETTINGS,
            ).results  # fmt: skip
            lists = [metrics.ndcg_score([test[i::5]], [expected[i::5]], k=3) for i in range(5)]
            assert compared[1].metrics["ndcg_at_3"] == pytest.approx(np.mean(lists))
            assert compared[0].metrics["ndcg_at_3"] < 1
    # The model is the tree itself here.
    assert all(d is None or abs(d.better_by) < 1e-6 for d in tree.differences.values())


def test_hard_columns_are_no_obstacle(tmp_path: Path) -> None:
    """Nothing in a column, one value in it, infinities, 400 ids, and ids that train has not."""
    random = np.random.default_rng(0)
    numeric = np.stack(
        [np.full(600, np.nan), np.ones(600), random.normal(size=600), random.normal(size=600)], 1
    )
    numeric[::50, 2], numeric[7::50, 2] = np.inf, -np.inf
    ids = np.stack([np.arange(600) % 400, np.zeros(600)], 1)
    truth = (numeric[:, 3] > 0).astype(np.float32)
    splits = cut({"numeric": numeric, "ids": ids, "label": truth}, 0.5, 0.2)
    spec = make_spec(LabelSpec(), 4, (400, 2))
    dataset = publish_table(tmp_path / "d", spec, splits)
    references = compute_references(dataset, spec, SETTINGS)
    assert references.tree is not None
    area = metrics.roc_auc_score(splits["test"]["label"][::-1], references.tree["test"])
    assert area > 0.95


@pytest.mark.parametrize(
    ("spec", "table", "reason"),
    [
        (make_spec(LabelSpec(), 1), {"numeric": np.ones((60, 1)), "label": np.arange(60.0) % 2},
         "no number and no id differs"),
        (make_spec(LabelSpec(), 1), {"numeric": np.arange(60.0)[:, None], "label": np.zeros(60)},
         "all sampled train rows with weight have the same label"),
        (make_spec(LabelSpec(kind="multi_label", classes=("a", "b")), 1),
         {"numeric": np.arange(60.0)[:, None], "label": np.tile([[0.0, 1.0], [1.0, 1.0]], (30, 1))},
         "a label of kind multi_label has several values per row"),
    ],
    ids=["constant columns", "one label", "several labels"],
)  # fmt: skip
def test_where_there_is_no_tree_the_reason_is_said(
    spec: Any, table: dict[str, np.ndarray], reason: str, tmp_path: Path
) -> None:
    dataset = publish_table(tmp_path / "d", spec, cut(table, 0.6, 0.2))
    references = compute_references(dataset, spec, SETTINGS)
    assert references.tree is None
    assert reason in references.left_out["tree"]
    assert references.constant.shape == spec.label.array[1]


def test_rows_have_the_weights_of_the_evaluation(tmp_path: Path) -> None:
    """A row of weight 3 counts as three rows, and one of weight 0 as none."""
    random = np.random.default_rng(1)
    table = {
        "numeric": random.normal(size=(400, 2)),
        "label": (random.random(400) < 0.3).astype(np.float32),
        "sample_weight": np.array([0.0, 1.0, 3.0, 1.0] * 100),
    }
    spec = make_spec(LabelSpec(weighted=True), 2)
    splits = cut(table, 0.6, 0.2)
    dataset = publish_table(tmp_path / "d", spec, splits)
    train = splits["train"]
    shares = {}
    for weighted in (False, True):
        found = compute_references(dataset, spec, s.Evaluate(weighted=weighted))
        shares[weighted] = float(found.constant)
        assert found.facts["weighted"] is weighted
        rows = (train["sample_weight"] > 0).sum() if weighted else len(train["label"])
        assert found.facts["tree_rows"] == rows
    assert shares[False] == pytest.approx(train["label"].mean())
    assert shares[True] == pytest.approx(np.average(train["label"], weights=train["sample_weight"]))
    nothing = {name: {**rows, "sample_weight": np.zeros(len(rows["label"]))}
               for name, rows in splits.items()}  # fmt: skip
    empty = publish_table(tmp_path / "e", spec, nothing)
    with pytest.raises(ModelError, match="no train row with weight"):
        compute_references(empty, spec, s.Evaluate(weighted=True))


def test_a_split_without_validation_uses_all_iterations(tmp_path: Path) -> None:
    label, table = load_table("binary")
    splits = cut(table, 0.6, 0.2)
    del splits["validation"]
    spec = make_spec(label, table["numeric"].shape[1])
    references = compute_references(publish_table(tmp_path / "d", spec, splits), spec, SETTINGS)
    assert references.facts["tree_iterations"] == 60
    assert list(references.tree or {}) == ["test"]


def test_the_sample_fits_memory_and_the_recipe_may_set_it() -> None:
    assert choose_sample_rows(s.Evaluate(), 23) == 131_072
    assert choose_sample_rows(s.Evaluate(), 2000) * 2000 <= 2**25
    assert choose_sample_rows(s.Evaluate(), 10**9) == 1
    assert choose_sample_rows(s.Evaluate(reference_rows=50), 2000) == 50

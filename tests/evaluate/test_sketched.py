"""More rows than `evaluate.exact_rows`: metrics within bounds, draws as of rows, on any ranks."""

from typing import Any

import numpy as np
import pytest

from headrace.errors import ModelError
from headrace.evaluate.bootstrap import draw_metrics, find_intervals, pair_draws
from headrace.evaluate.references.compare import compare_references
from headrace.evaluate.references.compute import References, digest_rows
from headrace.evaluate.sketched import is_sketched, sketch_predictions
from headrace.labels.spec import LabelSpec
from headrace.recipe import sections as s
from tests.labels.sketch.thread_sums import run_ranks

LABEL = LabelSpec()
SETTINGS = s.Evaluate(exact_rows=400, bootstrap=200)


def make_rows(count: int = 4000) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    score = random.normal(size=count)
    return {
        "row_id": random.integers(-(2**62), 2**62, count),
        "label": (score + random.normal(size=count) > 1).astype(np.float32),
        "probability": (1 / (1 + np.exp(1 - score))).astype(np.float32),
        "sample_weight": random.choice([0.0, 0.5, 2.0], count).astype(np.float32),
    }


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_within_their_bounds_and_intervals_as_wide_as_those_of_rows(
    weighted: bool,
) -> None:
    rows = make_rows()
    settings = SETTINGS.model_copy(update={"weighted": weighted})
    weight = rows["sample_weight"].astype(float) if weighted else np.ones(4000)
    exact = draw_metrics(LABEL.definition.make_scorer(rows, LABEL, 0.5), weight, draws=200, seed=0)
    sketched = sketch_predictions(rows, LABEL, 0.5, settings)
    drawn = sketched.drawn
    assert [*drawn.metrics] == [*exact.metrics]
    assert {*drawn.bounds} == {"roc_auc", "pr_auc"}
    for name, value in exact.metrics.items():
        assert abs(drawn.metrics[name] - value) <= drawn.bounds.get(name, 0) + 1e-12
    own, of_rows = find_intervals(drawn, 0.95), find_intervals(exact, 0.95)
    assert {*own} == {*of_rows}
    for name in ("roc_auc", "log_loss", "accuracy", "f1"):
        widths = [i.high - i.low for i in (own[name], of_rows[name])]
        assert widths[0] - 2 * drawn.bounds.get(name, 0) == pytest.approx(widths[1], rel=0.3)
        assert own[name].low < exact.metrics[name] < own[name].high
    assert sketched.class_weights is not None
    assert sketched.class_weights[0] == pytest.approx([weight @ (rows["label"] < 1),
                                                       weight @ rows["label"]])  # fmt: skip


def test_ranks_together_have_the_same_draws() -> None:
    rows = make_rows(1000)
    alone = sketch_predictions(rows, LABEL, 0.5, SETTINGS)

    def sketch(rank: int, sums: Any) -> Any:
        own = {name: array[rank::3][::-1] for name, array in rows.items()}
        return sketch_predictions(own, LABEL, 0.5, SETTINGS, sums)

    for together in run_ranks(3, sketch):
        assert together.drawn == alone.drawn
        assert together.counts == alone.counts


def test_two_models_are_drawn_together() -> None:
    """The spread of the difference of nearly equal models is far below that of either."""
    rows = make_rows()
    other = {**rows, "probability": (rows["probability"] * np.float32(0.999))}
    drawn = [sketch_predictions(r, LABEL, 0.5, SETTINGS).drawn for r in (rows, other)]
    paired = pair_draws(*drawn, "log_loss", higher_is_better=False)
    assert paired is not None
    assert np.std(paired.draws) < 0.05 * np.std([d["log_loss"] for d in drawn[0].draws])
    areas = pair_draws(*drawn, "roc_auc", higher_is_better=True)
    assert areas is not None
    assert areas.bound == drawn[0].bounds["roc_auc"] + drawn[1].bounds["roc_auc"]
    low, high = areas.find_interval(0.95) or (0, 0)
    assert low < -areas.bound
    assert areas.bound < high
    assert areas.find_lower_end(0.975) == low


def test_what_no_metric_is_defined_on_is_refused_on_all_ranks() -> None:
    """The rank that has no such row refuses them, too."""
    rows = make_rows(900)
    rows["probability"][0] = np.nan

    def sketch(rank: int, sums: Any) -> str:
        own = {name: array[rank::2] for name, array in rows.items()}
        with pytest.raises(ModelError) as caught:
            sketch_predictions(own, LABEL, 0.5, SETTINGS, sums)
        return str(caught.value)

    texts = [text[:35] for text in run_ranks(2, sketch)]
    assert texts == ["1 of 900 predictions are not finite"] * 2
    rows = {**make_rows(900), "sample_weight": np.zeros(900, np.float32)}
    weighted = SETTINGS.model_copy(update={"weighted": True})
    with pytest.raises(ModelError, match="have a sample weight of 0"):
        sketch_predictions(rows, LABEL, 0.5, weighted)


@pytest.mark.parametrize(
    ("label", "rows", "expected"),
    [
        (LABEL, 400, False),
        (LABEL, 401, True),
        (LABEL.with_cutoffs([5]), 401, False),  # lists need all of their rows
        (LabelSpec(kind="multi_label", classes=("a", "b")), 401, False),
        (LabelSpec(kind="count"), 401, True),
    ],
)
def test_what_is_sketched(label: LabelSpec, rows: int, expected: bool) -> None:
    assert is_sketched(label, rows, SETTINGS) is expected


def test_without_draws_there_are_no_intervals() -> None:
    settings = SETTINGS.model_copy(update={"bootstrap": 0})
    drawn = sketch_predictions(make_rows(500), LABEL, 0.5, settings).drawn
    assert (drawn.draws, drawn.requested) == ([], 0)
    assert find_intervals(drawn, 0.95) == {}


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_references_are_compared_as_in_the_exact_way(kind: str) -> None:
    label = LabelSpec(kind=kind)
    rows = make_rows()
    if kind == "regression":
        rows = {"row_id": rows["row_id"], "label": rows["probability"] + rows["label"],
                "value": rows["probability"]}  # fmt: skip
    order = np.argsort(rows["row_id"])
    test = {name: array[order] for name, array in rows.items()}
    output = label.definition.output
    noise = np.random.default_rng(8).uniform(0.5, 1, 4000)
    tree = (test[output] * noise).astype(np.float32)
    facts = {"train_rows": 9, "constant_rows": 9, "tree_rows": 9, "tree_iterations": 3,
             "weighted": False}  # fmt: skip
    references = References(
        np.array(test["label"].mean()), {"test": tree}, {}, facts,
        {"test": digest_rows(test["row_id"], test["label"])},
    )  # fmt: skip
    weight = np.ones(4000)
    scorer = label.definition.make_scorer(test, label, 0.5)
    own_sketch = sketch_predictions(test, label, 0.5, SETTINGS)
    of_scorer = draw_metrics(scorer, weight, draws=200, seed=0)
    exact, sketched = (
        compare_references(references, drawn, test, {}, weight, label, 0.5, SETTINGS, sketch)
        for drawn, sketch in ((of_scorer, None), (own_sketch.drawn, own_sketch))
    )
    assert [r.name for r in sketched.results] == [r.name for r in exact.results]
    assert sketched.rows == exact.rows == 4000
    for own, of_rows in zip(sketched.results, exact.results, strict=True):
        assert {*own.differences} == {*of_rows.differences}
        for name, difference in own.differences.items():
            other = of_rows.differences[name]
            assert difference is not None
            assert other is not None
            bound = difference.bound + 1e-6
            assert difference.better_by == pytest.approx(other.better_by, abs=bound)
            low, high = difference.find_interval(0.95) or (0, 0)
            of_rows_low, of_rows_high = other.find_interval(0.95) or (0, 0)
            width = high - low - 2 * difference.bound
            assert width == pytest.approx(of_rows_high - of_rows_low, rel=0.35, abs=1e-9)

"""A model becomes the champion only with a verdict that is still about it, and unchanged."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import GateError, ModelError
from headrace.evaluate.gates import criteria_to_dict
from headrace.evaluate.promote import Promoted, promote
from headrace.progress import ignore_progress
from headrace.recipe.task import CLASSES, describe_task
from headrace.tracking.golden import GoldenCheck
from headrace.tracking.model import ModelVersion
from headrace.tracking.registry import AliasMove
from tests.tiny import tiny_recipe

# The package has a function of the same name.
STAGE = importlib.import_module("headrace.evaluate.promote")
MODEL = ModelVersion("tiny", 3, "r", {"threshold": 0.4})
CHAMPION = ModelVersion("tiny", 2, "q", {})


class Registry:
    """What the stage reads of the registry, and the alias that it moves."""

    def __init__(self, tmp_path: Path) -> None:
        self.recipe = tiny_recipe(tmp_path)
        self.workdir = str(tmp_path)
        self.model, self.champion = MODEL, CHAMPION
        self.moved_to: ModelVersion | None = None
        self.golden = GoldenCheck(rows=9, largest_difference=1e-7, different=0, load_seconds=0.1)
        self.verdict: dict[str, Any] = {
            "passed": True,
            "gates": [{"text": "roc_auc: 0.75, at least 0.7", "passed": True}],
            "decided_at": "2024-05-01T00:00:00+00:00",
            "asked": criteria_to_dict(self.recipe.evaluate),
            "champion": CHAMPION.uri,
            "metrics": {"threshold": 0.4},
        }

    def move(
        self, store: object, model: ModelVersion, compared_with: ModelVersion | None
    ) -> AliasMove:
        assert compared_with is self.champion
        self.moved_to = model
        return AliasMove(model.version, CHAMPION.version)

    def promote(self) -> Promoted:
        return promote(self.recipe, workdir=self.workdir, report=ignore_progress)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry(tmp_path)
    monkeypatch.setattr(STAGE, "find_model", lambda store, uri: registry.model)
    monkeypatch.setattr(STAGE, "find_champion", lambda store: registry.champion)
    monkeypatch.setattr(STAGE, "read_verdict", lambda store, model: registry.verdict)
    monkeypatch.setattr(STAGE, "check_golden", lambda store, model: registry.golden)
    monkeypatch.setattr(STAGE, "move_champion", registry.move)
    return registry


@pytest.mark.parametrize(
    ("champion", "compared_with"),
    [(CHAMPION, CHAMPION.uri), (None, None), (MODEL, CHAMPION.uri)],
    ids=["as compared", "no champion", "promoted already"],
)
def test_a_model_that_passed_is_promoted(
    registry: Registry, champion: ModelVersion | None, compared_with: str | None
) -> None:
    registry.champion, registry.verdict["champion"] = champion, compared_with
    promoted = registry.promote()
    assert registry.moved_to is MODEL
    assert promoted == Promoted(MODEL.uri, AliasMove(3, 2), registry.golden)


@pytest.mark.parametrize("gates", [[], None], ids=["written so", "left out"])
def test_a_model_that_no_gate_judged_is_promoted_where_the_recipe_says_so(
    registry: Registry, gates: list[Any] | None
) -> None:
    """The tiny recipe has `gates: []`; a recipe that says nothing of gates has default ones."""
    registry.verdict.update(passed=None, gates=[])
    evaluate = registry.recipe.evaluate.model_copy(update={"gates": gates})
    registry.recipe = registry.recipe.model_copy(update={"evaluate": evaluate})
    if gates is None:
        with pytest.raises(ModelError, match="judged by other gates than"):
            registry.promote()
        assert registry.moved_to is None
    else:
        assert registry.promote().judged is False
        assert registry.moved_to is MODEL


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"asked": {"gates": [], "leakage": {"limit": 0.5}}}, "judged by other gates than"),
        ({"champion": "models:/tiny/1"}, "compared with models:/tiny/1, and the champion is "
         "models:/tiny/2 now"),
        ({"champion": None}, "compared with no champion"),
        ({"metrics": {"threshold": 0.5}}, "judged with a threshold of 0.5 and has 0.4"),
    ],
    ids=["gates", "another champion", "no champion then", "threshold"],
)  # fmt: skip
def test_a_verdict_about_something_else_is_refused(
    registry: Registry, changed: dict[str, Any], message: str
) -> None:
    registry.verdict.update(changed)
    with pytest.raises(ModelError, match=message):
        registry.promote()
    assert registry.moved_to is None


@pytest.mark.parametrize(
    ("judged", "difference"),
    [
        ("evaluate.weighted=true", "evaluate.weighted: True and False"),
        ("evaluate.bootstrap=10", "evaluate.bootstrap: 10 and 200"),
        ("evaluate.seed=3", "evaluate.seed: 3 and 0"),
        ("evaluate.min_rows=5", "evaluate.min_rows: 5 and 100"),
        ("evaluate.threshold=0.4", "evaluate.threshold: 0.4 and 0.5"),
        ("evaluate.importance_rows=0", "evaluate.importance_rows: 0 and 20000"),
        ("evaluate.slices=[{columns: [shop]}]", "evaluate.slices: "),
    ],
)
def test_a_verdict_by_other_settings_names_both_values(
    registry: Registry, tmp_path: Path, judged: str, difference: str
) -> None:
    registry.verdict["asked"] = criteria_to_dict(tiny_recipe(tmp_path, judged).evaluate)
    with pytest.raises(ModelError) as caught:
        registry.promote()
    assert "judged by other settings than the recipe has now" in str(caught.value)
    assert difference in str(caught.value)
    assert "run `headrace evaluate` with --model models:/tiny/3 again" in str(caught.value)
    assert registry.moved_to is None


def test_what_is_only_shown_does_not_count(registry: Registry, tmp_path: Path) -> None:
    registry.verdict["asked"] = criteria_to_dict(
        tiny_recipe(tmp_path, "evaluate.metric=f1").evaluate
    )
    assert registry.promote().remarks == ()


def describe_judged_task(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    return describe_task(tiny_recipe(tmp_path, *overrides).dump_resolved()).model_dump(mode="json")


@pytest.mark.parametrize(
    ("judged", "difference"),
    [
        ("label.expression=visit > 3", "label.expression: 'visit > 3' and 'late'"),
        ("split.seed=4", "split.seed: 4 and 3"),
        ("split.key=[visit]", "split.key: ['visit'] and ['day']"),
    ],
)
def test_a_verdict_on_another_task_is_refused(
    registry: Registry, tmp_path: Path, judged: str, difference: str
) -> None:
    registry.verdict["task"] = describe_judged_task(tmp_path, judged)
    with pytest.raises(ModelError, match="judged for another task than the recipe has") as caught:
        registry.promote()
    assert difference in str(caught.value)
    assert registry.moved_to is None


@pytest.mark.parametrize(
    "judged", [(), ("label.expression=(late)",), ("label.sample_weight=visit",)]
)
def test_a_verdict_on_the_same_task_is_taken(
    registry: Registry, tmp_path: Path, judged: tuple[str, ...]
) -> None:
    task = describe_judged_task(tmp_path, *judged)
    task["label"][CLASSES] = []  # what the dataset adds to it
    registry.verdict["task"] = task
    registry.promote()
    assert registry.moved_to is registry.model


def test_weights_are_part_of_the_task_where_rows_are_weighted(
    registry: Registry, tmp_path: Path
) -> None:
    registry.recipe = tiny_recipe(tmp_path, "evaluate.weighted=true")
    registry.verdict["asked"] = criteria_to_dict(registry.recipe.evaluate)
    registry.verdict["task"] = describe_judged_task(tmp_path, "label.sample_weight=visit")
    with pytest.raises(ModelError, match="sample_weight: 'visit' and none"):
        registry.promote()


def test_a_verdict_on_another_dataset_version_is_refused(registry: Registry) -> None:
    registry.model = ModelVersion(
        "tiny", 3, "r", {"threshold": 0.4, "dataset_version": 2, "dataset_digest": "aa"}
    )
    registry.verdict["dataset"] = {"version": 2, "digest": "aa"}
    registry.promote()
    registry.verdict["dataset"] = {"version": 2, "digest": "bb"}
    with pytest.raises(ModelError, match=r"judged on \(digest aa and bb\)"):
        registry.promote()


class TestVerdictsOfFormat1:
    """They have gates and leakage alone."""

    GATE = "evaluate.gates=[{kind: champion, metric: roc_auc, not_worse_by: 0.01}]"

    def judge(
        self, registry: Registry, tmp_path: Path, *overrides: str, rows: int = 900, then: int = 1
    ) -> Promoted:
        registry.recipe = tiny_recipe(tmp_path, self.GATE, *overrides)
        criteria = criteria_to_dict(tiny_recipe(tmp_path, self.GATE).evaluate)
        (gate,) = criteria["gates"]
        gate = {k: v for k, v in gate.items() if k not in ("min_rows", "replaces")}
        registry.verdict["asked"] = {"gates": [gate], "leakage": criteria["leakage"]}
        result = {"gate": gate, "passed": True, "text": "", "details": {"rows": rows}}
        registry.verdict["gates"] = [result]
        facts = {"dataset_root": "/d", "dataset_version": 1}
        registry.model = ModelVersion("tiny", 3, "r", {"threshold": 0.4, **facts})
        registry.champion = ModelVersion("tiny", 2, "q", {**facts, "dataset_version": then})
        return registry.promote()

    def test_are_taken_with_a_remark(self, registry: Registry, tmp_path: Path) -> None:
        (remark,) = self.judge(registry, tmp_path).remarks
        assert "is of an older release and does not say by which evaluate.threshold" in remark
        assert "evaluate.weighted" in remark and "evaluate.bootstrap" in remark
        assert registry.moved_to is registry.model

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"overrides": ["evaluate.weighted=true"]}, "whether rows were weighted"),
            ({"then": 0}, "trained on another dataset version, was compared by the same label"),
            ({"rows": 29}, "on 29 rows, and the recipe's gate needs 30"),
        ],
    )
    def test_are_refused_where_what_they_do_not_say_decides(
        self, registry: Registry, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ModelError, match=message) as caught:
            self.judge(registry, tmp_path, *options.pop("overrides", ()), **options)
        assert "run `headrace evaluate`" in str(caught.value)
        assert registry.moved_to is None


def test_a_model_of_another_name_is_refused(registry: Registry) -> None:
    registry.model = ModelVersion("other", 3, "r", {})
    with pytest.raises(ModelError, match="models:/other/3 is no version of tiny"):
        registry.promote()
    assert registry.moved_to is None


def test_gates_that_failed_are_listed(registry: Registry) -> None:
    failed = {"text": "roc_auc: 0.65, at least 0.7", "passed": False}
    registry.verdict.update(passed=False, gates=[*registry.verdict["gates"], failed])
    with pytest.raises(GateError) as caught:
        registry.promote()
    assert "did not pass 1 of 2 gates" in str(caught.value)
    assert "the champion stays models:/tiny/2:\n  - roc_auc: 0.65" in str(caught.value)
    assert registry.moved_to is None


@pytest.mark.parametrize(("rows", "different"), [(9, 1), (0, 0)], ids=["differs", "no rows"])
def test_predictions_that_are_not_as_recorded_are_refused(
    registry: Registry, rows: int, different: int
) -> None:
    registry.golden = GoldenCheck(rows, 0.25, different, 0.1)
    with pytest.raises(GateError, match=f"predicts {different} of {rows} rows differently"):
        registry.promote()
    assert registry.moved_to is None

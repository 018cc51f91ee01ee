"""A model becomes the champion only with a verdict that is still about it, and unchanged."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import GateError, ModelError
from headrace.evaluate.gates import criteria_to_dict
from headrace.evaluate.promote import Promoted, promote
from headrace.progress import ignore_progress
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

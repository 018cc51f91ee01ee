"""What a search pins, and that no trial is trained twice, lost, or tried for ever."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import (
    DatasetError,
    RankError,
    RecipeError,
    StoppedError,
    StoreError,
    TrainError,
)
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, ignore_progress
from headrace.recipe import Recipe
from headrace.train import trial_slots, tune
from headrace.train.trial_slots import plan_slots
from headrace.train.tune import TuneResult, tune_recipe
from tests.tiny import tiny_recipe

RATE, EPOCHS = "train.optimizer.learning_rate", "train.epochs"


class Search:
    """A search whose trainings are a function of the recipe."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.parameters: dict[str, Any] = {RATE: {"low": 0.1, "high": 0.5}}
        self.train: Callable[..., float] = lambda recipe, **_: recipe.train.optimizer.learning_rate
        self.seen: list[tuple[float, int]] = []  # rate and epochs of every training
        self.versions: list[int] = []  # of the dataset, of every training
        self.messages: list[str] = []
        self.newest, self.gone = 3, False
        monkeypatch.setattr(DatasetVersion, "open", self.open_dataset)
        monkeypatch.setattr(tune, "train", self.run_trial)

    def open_dataset(self, root: str, version: int | None) -> Any:
        if self.gone and version is not None:
            raise DatasetError("version 3 was removed")
        number = self.newest if version is None else version
        return SimpleNamespace(
            root="/data", version=number, digest=f"abc{number}", count_rows=lambda split: 9
        )

    def run(self, *overrides: str, trials: int = 3, version: int | None = None) -> TuneResult:
        settings = [f"tune.parameters={json.dumps(self.parameters)}", f"tune.trials={trials}"]
        return tune_recipe(
            tiny_recipe(self.folder, *settings, *overrides),
            lambda values: tiny_recipe(
                self.folder, *(f"{key}={json.dumps(value)}" for key, value in values.items())
            ),
            workdir=str(self.folder),
            report=lambda progress: self.messages.append(progress.text),
            dataset_version=version,
        )

    def run_trial(self, recipe: Recipe, **options: Any) -> Any:
        self.seen.append((recipe.train.optimizer.learning_rate, recipe.train.epochs))
        self.versions.append(options["dataset_version"])
        value = self.train(recipe, **options)
        return SimpleNamespace(metrics={"val_loss": value})


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    return Search(tmp_path, monkeypatch)


@pytest.mark.parametrize("choices", [[1, 2, 3], [0.1, 0.1, 0.2], [5]])
@pytest.mark.parametrize("trials", [1, 2, 3, 20])
def test_no_values_are_trained_twice(search: Search, choices: list, trials: int) -> None:
    key = EPOCHS if isinstance(choices[0], int) else RATE
    search.parameters = {key: {"choices": choices}}
    result = search.run(trials=trials)
    assert len(search.seen) == len(set(search.seen)) == min(trials, len(set(choices)))
    assert result.trials == {"COMPLETE": len(search.seen)}
    if trials > len(set(choices)):
        assert search.messages[-1] == "all combinations of values were tried"
        assert search.run(trials=trials).trials == result.trials  # nothing is left to do
        assert len(search.seen) == len(set(choices))


def test_all_combinations_are_tried_before_a_search_ends(search: Search) -> None:
    search.parameters = {
        RATE: {"choices": [0.1, 0.2]}, EPOCHS: {"low": 1, "high": 7, "step": 3},
    }  # fmt: skip
    search.run(trials=50)
    assert sorted(search.seen) == [(r, e) for r in (0.1, 0.2) for e in (1, 4, 7)]


def test_ranks_that_fail_are_tried_twice_and_the_search_goes_on(search: Search) -> None:
    """Out of memory in the first trial: it ended every search, and was first again in the next."""
    search.parameters = {EPOCHS: {"choices": [1, 2, 3]}}

    def run_out_of_memory(recipe: Recipe, **_: Any) -> float:
        if recipe.train.epochs == search.seen[0][1]:
            raise RankError("rank 0 of 1 was killed by SIGKILL (out of memory?)")
        return 1.0

    search.train = run_out_of_memory
    result = search.run(trials=3)
    first = search.seen[0]
    assert search.seen.count(first) == 2
    assert sorted({epochs for _, epochs in search.seen}) == [1, 2, 3]
    assert result.trials == {"FAIL": 2, "COMPLETE": 2}
    assert sum("it is tried once more" in m for m in search.messages) == 1
    assert sum("it counts as failed" in m for m in search.messages) == 1
    assert search.run(trials=3).trials == result.trials  # not a third time
    assert search.seen.count(first) == 2


def kill_search(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a search as a kill does: nobody records the end of its trial."""
    import optuna

    with monkeypatch.context() as patch:

        def interrupt(*_: Any, **__: Any) -> float:
            patch.setattr(optuna.Study, "tell", lambda *_, **__: None)
            patch.setattr(optuna.Study, "enqueue_trial", lambda *_, **__: None)
            raise KeyboardInterrupt

        before, search.train = search.train, interrupt
        with pytest.raises(KeyboardInterrupt):
            search.run(trials=2)
    search.train = before


def test_a_trial_that_ends_the_whole_search_is_given_up_in_the_end(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        kill_search(search, monkeypatch)
    assert len(set(search.seen)) == 1
    result = search.run(trials=2)
    assert "ended the search 3 times; it counts as failed" in " ".join(search.messages)
    assert search.seen.count(search.seen[0]) == 3
    assert result.trials == {"FAIL": 3, "COMPLETE": 1}


def test_an_interruption_by_hand_is_no_try(search: Search) -> None:
    def interrupt(*_: Any, **__: Any) -> float:
        raise KeyboardInterrupt

    before, search.train = search.train, interrupt
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            search.run(trials=1)
    search.train = before
    search.run(trials=1)
    assert len(set(search.seen)) == 1
    assert len(search.seen) == 6


def test_a_store_that_fails_ends_the_search_and_no_trial(search: Search) -> None:
    def fail(*_: Any, **__: Any) -> float:
        raise StoreError("the disk is full")

    before, search.train = search.train, fail
    with pytest.raises(StoreError):
        search.run(trials=2)
    assert len(search.seen) == 1
    search.train = before
    assert search.run(trials=2).trials == {"FAIL": 1, "COMPLETE": 2}
    assert search.seen[0] == search.seen[1]


def test_an_undefined_metric_leaves_no_trial_running(search: Search, tmp_path: Path) -> None:
    search.train = lambda *_, **__: None  # type: ignore[assignment,return-value]
    with pytest.raises(TrainError, match="not defined"):
        search.run(trials=2)
    with sqlite3.connect(tmp_path / "tune" / "tiny.db") as database:
        states = database.execute("SELECT state FROM trials").fetchall()
    assert states == [("FAIL",)]


def test_the_dataset_version_is_pinned_when_the_search_begins(search: Search) -> None:
    search.run(trials=1)
    search.newest = 4
    search.run(trials=3)
    assert search.versions == [3, 3, 3]
    text = "the search goes on with dataset version 3, on which it began; the newest is 4"
    assert any(message.startswith(text) for message in search.messages)
    # it is done: the next one begins on what is new
    search.run(trials=3)
    assert search.versions == [3, 3, 3, 4, 4, 4]


def test_another_version_is_searched_where_it_is_asked_for(search: Search) -> None:
    search.run(trials=1)
    search.newest = 4
    search.run(trials=2, version=4)
    assert search.versions == [3, 4, 4]


def test_a_pinned_version_that_is_gone_is_named(search: Search) -> None:
    search.run(trials=1)
    search.newest, search.gone = 4, True
    search.run(trials=2)
    assert search.versions == [3, 4, 4]
    assert any("dataset version 3, which is gone" in message for message in search.messages)


def test_a_recipe_that_changed_begins_another_search_and_says_what_changed(
    search: Search,
) -> None:
    search.run(trials=1)
    search.messages.clear()
    search.run("train.seed=9", trials=2)
    assert "train.seed is 0 there and 9 here" in search.messages[0]
    assert len(search.seen) == 3


def test_trials_run_at_once_in_slots_of_their_own(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tune, "plan_slots", lambda *_: [{"CUDA_VISIBLE_DEVICES": str(n)} for n in range(3)]
    )
    together, most, slots = [0], [0], []
    lock, barrier = threading.Lock(), threading.Barrier(3, timeout=20)

    def train(recipe: Recipe, **options: Any) -> float:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
            slots.append(options["environment"]["CUDA_VISIBLE_DEVICES"])
            options["report"](Progress("epoch 1"))
        if len(search.seen) <= 3:
            barrier.wait()  # three are under way
        time.sleep(0.05)
        with lock:
            together[0] -= 1
        return recipe.train.optimizer.learning_rate

    search.train = train
    result = search.run("tune.parallel=3", trials=7)
    assert result.trials == {"COMPLETE": 7}
    assert most == [3]
    assert set(slots[:3]) == {"0", "1", "2"}
    assert {f"trial {n}: epoch 1" for n in range(1, 8)} <= set(search.messages)
    assert len(set(search.seen)) == 7
    assert result.value == min(rate for rate, _ in search.seen)


def test_an_error_ends_the_trials_that_run_beside_it(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "plan_slots", lambda *_: [{}, {}])
    barrier = threading.Barrier(2, timeout=20)

    def train(recipe: Recipe, **options: Any) -> float:
        first = len(search.seen) == 1
        barrier.wait()
        if first:
            raise StoreError("the disk is full")
        deadline = time.monotonic() + 20
        while not options["should_stop"]():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise StoppedError("cancelled")

    search.train = train
    with pytest.raises(StoreError):
        search.run("tune.parallel=2", trials=4)
    begun = set(search.seen)
    assert len(begun) == 2
    search.train = lambda recipe, **_: 1.0
    assert search.run("tune.parallel=2", trials=4).trials == {"FAIL": 2, "COMPLETE": 4}
    assert begun <= set(search.seen[2:])  # both were run again


def test_successive_halving_prunes_by_epochs(search: Search) -> None:
    """After one epoch, the best third of what was there goes on."""

    def train(recipe: Recipe, **options: Any) -> float:
        value = recipe.train.optimizer.learning_rate
        for epoch in range(4):
            metrics = {"epoch": float(epoch), "val_loss": value}
            options["report"](Progress("epoch", metrics=metrics))
            if options["should_stop"]():
                raise StoppedError("cancelled")
        return value

    search.train = train
    result = search.run("tune.pruner=asha", trials=12)
    assert result.trials["PRUNED"] >= 4
    assert result.value == min(rate for rate, _ in search.seen)


def slots_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cores: int, gpus: str, *overrides: str
) -> tuple[list[dict[str, str]], list[str]]:
    monkeypatch.setattr(trial_slots, "count_cores", lambda: cores)
    told: list[str] = []
    recipe = tiny_recipe(folder, *overrides)
    slots = plan_slots(recipe, {"CUDA_VISIBLE_DEVICES": gpus}, lambda p: told.append(p.text))
    return slots, told


def test_a_range_with_steps_is_exhausted_at_once(search: Search) -> None:
    """And does not draw what it had for a thousand times."""
    search.parameters = {RATE: {"low": 0.1, "high": 0.3, "step": 0.1}}
    result = search.run(trials=20)
    assert result.trials == {"COMPLETE": 3}
    assert len(set(search.seen)) == len(search.seen) == 3


def test_an_elastic_training_has_room_to_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elastic = ("train.ranks=1", "train.max_ranks=4", "train.min_ranks=1", "tune.parallel=4")
    slots, _ = slots_of(tmp_path, monkeypatch, 8, "", *elastic)
    assert len(slots) == 2


def test_trials_do_not_run_side_by_side_on_other_machines(tmp_path: Path) -> None:
    for launcher in ("spark", "launched", "{kind: hosts, hosts: [a]}"):
        kind = launcher if launcher.startswith("{") else f"{{kind: {launcher}}}"
        with pytest.raises(RecipeError, match=r"tune\.parallel: trials share the cores"):
            tiny_recipe(tmp_path, f"train.launcher={kind}", "tune.parallel=2")
        tiny_recipe(tmp_path, f"train.launcher={kind}")


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cores", [1, 2, 7, 16])
@pytest.mark.parametrize("parallel", [1, 2, 8])
def test_no_core_is_given_away_twice(
    ranks: int, threads: int, cores: int, parallel: int,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    slots, told = slots_of(
        tmp_path, monkeypatch, cores, "", f"train.ranks={ranks}",
        f"train.threads_per_rank={threads}", f"tune.parallel={parallel}",
    )  # fmt: skip
    assert len(slots) <= parallel
    assert len(slots) == 1 or len(slots) * ranks * threads <= cores
    assert bool(told) == (len(slots) < parallel)


@pytest.mark.parametrize("gpus", ["0", "0,1", "3,5,7", "GPU-a,GPU-b,GPU-c,GPU-d"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_no_gpu_is_given_away_twice(
    gpus: str, ranks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots, _ = slots_of(tmp_path, monkeypatch, 64, gpus, f"train.ranks={ranks}", "tune.parallel=4")
    given = [
        gpu for slot in slots for gpu in slot.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu
    ]
    assert len(given) == len(set(given))
    assert set(given) <= set(gpus.split(","))
    assert len(slots) == max(1, min(4, len(gpus.split(",")) // ranks))


def test_one_trial_at_a_time_has_the_machine_as_it_is(tmp_path: Path) -> None:
    assert plan_slots(tiny_recipe(tmp_path), {}, ignore_progress) == [{}]

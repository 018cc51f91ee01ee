"""When a checkpoint is written, which one is resumed from, and that all of it is restored."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from headrace.errors import FormatError, TrainError
from headrace.file_lock import LockState
from headrace.progress import ignore_progress
from headrace.recipe import sections as s
from headrace.train.checkpoint import Checkpoints, SavedCheckpoint, read_checkpoint
from headrace.train.checkpoint_policy import (
    ResumePoint,
    ScheduledCheckpoints,
    check_checkpoint_fits,
    find_resume_point,
    restore_checkpoint,
)
from headrace.train.early_stopping import BestEpoch
from headrace.train.learning_rate import Plateau
from headrace.train.state import TrainState, describe_progress
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads

ARRAYS = {"w0000": np.arange(3, dtype=np.float32)}
STEPS_PER_EPOCH = 7
EARLY_STOPPING = s.EarlyStopping(metric="roc_auc", patience=5)


class RecordingWriter:
    """A `CheckpointWriter` that keeps what it is given, and whether it was waited for."""

    def __init__(self) -> None:
        self.submitted: list[tuple[int, dict[str, Any], Mapping[str, np.ndarray], int | None]] = []
        self.waits = 0

    def submit_checkpoint(
        self, step: int, state: dict[str, Any], arrays: Mapping[str, np.ndarray], best: int | None
    ) -> None:
        self.submitted.append((step, state, arrays, best))

    def wait_until_written(self) -> None:
        self.waits += 1

    @property
    def steps(self) -> list[int]:
        return [step for step, *_ in self.submitted]


def build_pair(value: float = 0.0) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Return a model of one weight, and momentum SGD; `value` and ten times it."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[value]])])
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    optimizer.build(model.trainable_variables)
    optimizer.variables[-1].assign(np.array([[10 * value]]))
    return model, optimizer


def make_policy(writer: RecordingWriter, **settings: Any) -> ScheduledCheckpoints:
    facts = {"run_id": "r", "dataset": "abc"}
    recorder: Any = writer
    return ScheduledCheckpoints(
        s.Train(checkpoint=s.Checkpoint(**settings)), recorder, *build_pair(2.0), lambda: facts
    )


def state_after(epoch: int, step: int, **fields: Any) -> TrainState:
    return TrainState(BestEpoch(None), epoch=epoch, step=step, epochs_run=epoch, **fields)


def test_every_so_many_updates() -> None:
    writer = RecordingWriter()
    policy = make_policy(writer, every_steps=3)
    for step in range(1, 8):
        policy.on_update_end(state_after(2, step), STEPS_PER_EPOCH)
    assert writer.steps == [2 * 7 + 3, 2 * 7 + 6]


def test_every_so_many_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    writer = RecordingWriter()
    policy = make_policy(writer, every_minutes=2)
    for step, seconds in enumerate([119, 121, 240, 242], start=1):
        now[0] = 1000.0 + seconds
        policy.on_update_end(state_after(0, step), STEPS_PER_EPOCH)
    assert writer.steps == [2, 4]


class RecordingShards:
    """`TableShards` that keep what they are told to do."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def write(self, location: str, step: int) -> list[dict[str, Any]]:
        self.calls.append(("write", location, step))
        return [{"layer": "table.4", "step": step}]

    def broadcast(self, value: Any) -> Any:
        return value

    def find_problem(self, location: str, tree: Any) -> str:
        return "" if "damaged" not in location else "it is damaged"

    def read(self, location: str, tree: Any, *, moments: bool = True) -> None:
        self.calls.append(("read", location, tree[0]["step"], moments))


def make_sharded_policy(
    writer: RecordingWriter | None, folder: str = "here", best: str = "", **settings: Any
) -> tuple[ScheduledCheckpoints, RecordingShards]:
    shards: Any = RecordingShards()
    recorder: Any = writer
    policy = ScheduledCheckpoints(
        s.Train(checkpoint=s.Checkpoint(**settings)),
        recorder,
        *build_pair(2.0),
        dict,
        shards,
        folder,
        best,
    )
    return policy, shards


def test_ranks_with_shards_follow_the_clock_of_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    writer = RecordingWriter()
    first, first_shards = make_sharded_policy(writer, every_minutes=2)
    second, second_shards = make_sharded_policy(None, every_minutes=2)
    assert first.get_request() == 0
    now[0] += 121
    # asked for once, until it is written
    assert [first.get_request(), second.get_request(), first.get_request()] == [0.25, 0, 0]
    for policy in (first, second):
        policy.on_update_end(state_after(0, 1), STEPS_PER_EPOCH)
        policy.on_update_end(state_after(0, 2), STEPS_PER_EPOCH, requested=True)
    assert first_shards.calls == second_shards.calls == [("write", "here", 2)]
    ((step, values, *_),) = writer.submitted
    assert (step, values["tables"]) == (2, [{"layer": "table.4", "step": 2}])
    assert first.get_request() == 0
    now[0] += 121
    assert first.get_request() == 0.25


def test_the_best_rows_are_those_of_its_checkpoint(tmp_path: Path) -> None:
    """Written after the best epoch whatever the schedule, and read back where a later one ended."""
    writer = RecordingWriter()
    policy, shards = make_sharded_policy(writer, str(tmp_path), "elsewhere", every_epochs=0)
    assert policy._best_folder == "elsewhere"
    state = state_after(1, 0)
    state.best.epoch = 0
    policy.on_epoch_end(state, STEPS_PER_EPOCH, last=False)
    later = state_after(2, 0)
    later.best.epoch = 0
    policy.on_epoch_end(later, STEPS_PER_EPOCH, last=False)
    assert writer.steps == [7]
    tables = [{"layer": "table.4", "step": 7}]
    assert writer.submitted[0][1]["best_folder"] == str(tmp_path)
    Checkpoints(str(tmp_path)).write_checkpoint(".", 7, {"tables": tables}, {})
    policy.restore_best(later, STEPS_PER_EPOCH)
    assert shards.calls[-1] == ("read", str(tmp_path), 7, False)


def test_damaged_rows_of_the_best_epoch_are_named(tmp_path: Path) -> None:
    folder = str(tmp_path / "damaged")
    Checkpoints(str(tmp_path)).write_checkpoint("damaged", 7, {"tables": [{"step": 7}]}, {})
    policy, _ = make_sharded_policy(RecordingWriter(), folder)
    state = state_after(2, 0)
    state.best.epoch = 0
    with pytest.raises(TrainError, match="rows of the best epoch cannot be read: it is damaged"):
        policy.restore_best(state, STEPS_PER_EPOCH)


def test_before_ranks_change_only_shards_are_written() -> None:
    for shards in (False, True):
        writer = RecordingWriter()
        policy = make_sharded_policy(writer)[0] if shards else make_policy(writer)
        policy.on_ranks_change(state_after(0, 3), STEPS_PER_EPOCH)
        assert writer.steps == ([3] if shards else [])
    plain = make_policy(writer)
    plain.restore_best(state_after(1, 0), STEPS_PER_EPOCH)  # does nothing: weights are in memory
    assert plain.get_request() == 0.0


def test_every_so_many_epochs_and_after_the_last_one() -> None:
    writer = RecordingWriter()
    policy = make_policy(writer, every_epochs=2)
    for epoch in range(1, 6):
        policy.on_epoch_end(state_after(epoch, 0), STEPS_PER_EPOCH, last=epoch == 5)
    assert writer.steps == [14, 28, 35]
    never = RecordingWriter()
    policy = make_policy(never, every_epochs=0)
    policy.on_epoch_end(state_after(1, 0), STEPS_PER_EPOCH, last=False)
    policy.on_update_end(state_after(1, 1), STEPS_PER_EPOCH)
    policy.on_epoch_end(state_after(2, 0), STEPS_PER_EPOCH, last=True)
    assert never.steps == [14]


def test_the_last_checkpoint_before_the_end_is_waited_for() -> None:
    writer = RecordingWriter()
    make_policy(writer).write_last(state_after(1, 3), STEPS_PER_EPOCH)
    assert (writer.steps, writer.waits) == ([10], 1)


def test_a_checkpoint_has_variables_state_and_facts() -> None:
    writer = RecordingWriter()
    state = state_after(1, 3, losses=[0.5] * 3, weights=[8.0] * 3, best_weights=[np.ones((1, 1))])
    make_policy(writer).write_last(state, STEPS_PER_EPOCH)
    ((_, facts, arrays, best_step),) = writer.submitted
    assert facts == {"run_id": "r", "dataset": "abc", "steps": 7, "state": state.to_json()}
    # the optimizer's: number of updates, rate, momentum
    optimizer_values = {"o0000": 0, "o0001": 0.5, "o0002": [[20.0]]}
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "w0000": [[2.0]], **optimizer_values, "b0000": [[1.0]],
    }  # fmt: skip
    assert best_step is None


def test_the_best_epochs_checkpoint_is_named_by_its_last_step() -> None:
    writer = RecordingWriter()
    state = state_after(4, 0)
    state.best.epoch = 1
    make_policy(writer).on_epoch_end(state, STEPS_PER_EPOCH, last=True)
    assert writer.submitted[0][3] == 14


def test_a_training_that_stopped_early_is_numbered_by_what_it_ran() -> None:
    writer = RecordingWriter()
    state = TrainState(BestEpoch(None), epoch=4, epochs_run=4, is_ended=True)
    make_policy(writer).on_epoch_end(state, STEPS_PER_EPOCH, last=True)
    assert writer.steps == [28]


def write_attempts(folder: Path, *attempts: str) -> Checkpoints:
    checkpoints = Checkpoints(str(folder))
    for attempt in attempts:
        checkpoints.write_checkpoint(attempt, 1, {"run_id": attempt}, ARRAYS)
    return checkpoints


def test_the_newest_unfinished_attempt_is_resumed(tmp_path: Path) -> None:
    checkpoints = write_attempts(tmp_path, "a", "b", "c")
    checkpoints.mark_finished("c", {})
    resume_point = find_resume_point(checkpoints, "auto", ignore_progress)
    assert resume_point.attempt == "b"
    assert resume_point.saved is not None
    assert resume_point.saved.state["run_id"] == "b"


def test_never_starts_an_attempt_of_its_own(tmp_path: Path) -> None:
    checkpoints = write_attempts(tmp_path, "a")
    resume_point = find_resume_point(checkpoints, "never", ignore_progress)
    assert resume_point.saved is None
    assert resume_point.attempt != "a"


def test_a_checkpoint_by_its_path_goes_to_an_attempt_and_a_run_of_its_own(tmp_path: Path) -> None:
    checkpoints = write_attempts(tmp_path, "a")
    path = f"{tmp_path}/a/step-000000001.ckpt"
    resume_point = find_resume_point(checkpoints, path, ignore_progress)
    assert resume_point.attempt != "a"
    assert resume_point.saved is not None
    assert resume_point.saved.state["run_id"] is None
    with pytest.raises(TrainError, match="does not exist"):
        find_resume_point(checkpoints, f"{tmp_path}/a/step-000000002.ckpt", ignore_progress)


def test_an_attempt_that_is_running_is_skipped_with_a_message(tmp_path: Path) -> None:
    first, second = write_attempts(tmp_path, "a", "b"), Checkpoints(str(tmp_path))
    assert first.lock_attempt("b")
    messages: list[str] = []
    resume_point = find_resume_point(second, "auto", lambda p: messages.append(p.text))
    assert resume_point.attempt == "a"
    assert messages == ["skipped: b is running in another process"]


def test_a_damaged_checkpoint_is_skipped_with_a_message(tmp_path: Path) -> None:
    checkpoints = write_attempts(tmp_path, "a", "b")
    (tmp_path / "b" / "step-000000001.ckpt").write_bytes(b"")
    messages: list[str] = []
    resume_point = find_resume_point(checkpoints, "auto", lambda p: messages.append(p.text))
    assert resume_point.attempt == "a"
    (message,) = messages
    assert message.startswith("skipped: checkpoint ")
    assert "/b/step-000000001.ckpt is truncated or damaged" in message


def test_one_of_a_newer_headrace_is_an_error_unless_none_is_asked_for(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write_checkpoint("a", 1, {"format": 5}, ARRAYS)
    with pytest.raises(FormatError):
        find_resume_point(checkpoints, "auto", ignore_progress)
    assert find_resume_point(checkpoints, "never", ignore_progress).saved is None


def test_a_checkpoint_of_another_dataset_is_refused() -> None:
    facts = {"dataset": "abc", "steps": 7}
    check_checkpoint_fits(facts, "abc", 7)
    with pytest.raises(TrainError, match="dataset abc, here xyz; steps 7, here 8"):
        check_checkpoint_fits(facts, "xyz", 8)


def test_all_that_a_checkpoint_has_is_restored_on_every_rank(tmp_path: Path) -> None:
    """Half an epoch, the best epoch, the plateau, the weights and the optimizer's momentum."""
    state = TrainState(
        BestEpoch(EARLY_STOPPING, best=0.75, epoch=1),
        epoch=3,
        step=2,
        losses=[0.5, 0.25],
        weights=[8.0, 6.0],
        metrics={"val_roc_auc": 0.75},
        best_weights=[np.array([[9.0]], np.float32)],
        plateau=Plateau(best=0.125, waited=1, reductions=2),
        epochs_run=3,
        history=[{"train_loss": float(epoch)} for epoch in range(3)],
        rates=[100.0, 110.0, 120.0],
        waited=1.5,
        worked=30.0,
    )
    writer = RecordingWriter()
    recorder: Any = writer
    ScheduledCheckpoints(s.Train(), recorder, *build_pair(2.0), lambda: {"run_id": "r"}).write_last(
        state, STEPS_PER_EPOCH
    )
    ((step, facts, arrays, _),) = writer.submitted
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write_checkpoint("a", step, facts, arrays)
    saved, _ = checkpoints.read_newest("a")
    pairs = [build_pair(), build_pair()]

    def restore_on_rank(collectives: ThreadCollectives) -> tuple[TrainState, dict[str, Any]] | None:
        # what another rank than 0 has does not count
        own = saved if collectives.rank == 0 else None
        pair = pairs[collectives.rank]
        return restore_checkpoint(ResumePoint("a", own), *pair, EARLY_STOPPING, collectives)

    results = run_on_threads(2, restore_on_rank)
    for (model, optimizer), result in zip(pairs, results, strict=True):
        assert result is not None
        restored, restored_facts = result
        assert restored.to_json() == state.to_json()
        assert restored.best.settings == EARLY_STOPPING
        assert restored_facts["run_id"] == "r"
        assert model.get_weights()[0].tolist() == [[2.0]]
        assert optimizer.variables[-1].numpy().tolist() == [[20.0]]
    best_weights = [result[0].best_weights for result in results if result]
    assert best_weights[0] is not None
    assert [array.tolist() for array in best_weights[0]] == [[[9.0]]]
    assert best_weights[1] is None


def test_without_a_checkpoint_nothing_is_restored() -> None:
    def restore_on_rank(collectives: ThreadCollectives) -> object:
        return restore_checkpoint(ResumePoint("a", None), *build_pair(), None, collectives)

    assert run_on_threads(2, restore_on_rank) == [None, None]


def test_a_checkpoint_of_another_model_is_refused() -> None:
    state = state_after(1, 0).to_json()
    saved = SavedCheckpoint("a.ckpt", {"state": state}, {"w0000": np.zeros((2, 1))})

    def restore_on_rank(collectives: ThreadCollectives) -> object:
        return restore_checkpoint(ResumePoint("a", saved), *build_pair(), None, collectives)

    with pytest.raises(TrainError, match=r"a\.ckpt does not fit .* model: .*--resume never"):
        run_on_threads(1, restore_on_rank)


def test_ranks_that_start_again_continue_their_own_attempt(tmp_path: Path) -> None:
    """Whatever `--resume` says; with `never`, an older training's would be there otherwise."""
    checkpoints = write_attempts(tmp_path, "20260101-old", "20260102-own")
    for resume in ("auto", "never", f"{tmp_path}/20260101-old/step-000000001.ckpt"):
        point = find_resume_point(checkpoints, resume, ignore_progress, "20260102-own")
        assert (point.attempt, point.saved is not None) == ("20260102-own", True)
    fresh = find_resume_point(checkpoints, "never", ignore_progress, "20260103-own")
    assert (fresh.attempt, fresh.saved) == ("20260103-own", None)


def test_without_locks_a_training_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken for one of another process, and began anew for ever."""
    checkpoints = write_attempts(tmp_path, "a")
    monkeypatch.setattr(checkpoints, "lock_attempt", lambda _: LockState.UNKNOWN)
    told: list[str] = []
    point = find_resume_point(checkpoints, "auto", lambda p: told.append(p.text))
    assert point.saved is not None
    assert told == [f"{tmp_path} has no locks: run this training in one process at a time"]


def test_an_older_training_that_stopped_early_goes_on_from_where_it_was(tmp_path: Path) -> None:
    state = {**state_after(4, 0).to_json(), "epoch": 10}
    del state["is_ended"]
    checkpoints = Checkpoints(str(tmp_path))
    location = checkpoints.write_checkpoint("a", 28, {"format": 2, "state": state}, ARRAYS)
    found = TrainState.from_json(read_checkpoint(location).state["state"], None)
    assert (found.epoch, found.step, found.epochs_run, found.is_ended) == (4, 0, 4, True)
    assert describe_progress(found, 7) == "after epoch 4, where it stopped early,"


def test_no_checkpoint_is_written_of_weights_that_are_not_finite() -> None:
    writer = RecordingWriter()
    recorder: Any = writer
    model, optimizer = build_pair(2.0)
    policy = ScheduledCheckpoints(s.Train(), recorder, model, optimizer, dict)
    policy.write_last(state_after(0, 3), STEPS_PER_EPOCH)
    for variable in (model.weights[0], optimizer.variables[-1]):
        before = np.array(variable)
        variable.assign(np.full_like(before, np.nan))
        with pytest.raises(TrainError, match="after step 4 1 of the 1 numbers of"):
            policy.write_last(state_after(0, 4), STEPS_PER_EPOCH)
        variable.assign(before)
    assert writer.steps == [3]

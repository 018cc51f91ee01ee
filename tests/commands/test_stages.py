"""The commands prepare, train, evaluate and run on stages that are replaced: results, exit codes.

The real stages run in tests/e2e.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.distributed.supervise.kept_ranks import KeptRanks
from headrace.errors import LakeError, ModelError
from headrace.progress import Progress
from tests.commands.stage_outcomes import (
    LEDGER_JSON,
    build_dataset,
    build_evaluated,
    build_prepared,
    build_trained,
    run_command,
    write_recipe,
)
from tests.tiny import write_tiny_lake

DATASET_JSON = {
    "path": "/lake/tiny",
    "version": 3,
    "build_id": "b3",
    "digest": build_dataset().digest,
}


class Stages:
    """Replaces the stages, and keeps the arguments that they get."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.outcomes: dict[str, Any] = {
            "prepare": build_prepared(),
            "train": build_trained(),
            "evaluate": build_evaluated(),
            "record_build": "run-1",
        }
        for stage, name in (
            ("prepare", "headrace.prepare.prepare"),
            ("train", "headrace.train.train"),
            ("evaluate", "headrace.evaluate.evaluate"),
        ):
            monkeypatch.setattr(name, self._replace(stage))
        monkeypatch.setattr("headrace.prepare.track.record_build", self._record_build)
        monkeypatch.setattr("headrace.spark_session.stop_own_session", self._stop_session)
        monkeypatch.setattr("headrace.tracking.run.start_parent_run", self._start_parent_run)
        monkeypatch.setattr(
            "headrace.tracking.pipeline_run.complete_pipeline_run", self._complete_run
        )
        monkeypatch.setattr("headrace.commands.beside_stages.open_client", lambda store: None)
        monkeypatch.setattr(
            "headrace.tracking.artifact_place.locate_artifact",
            lambda store, run_id, path: f"/artifacts/{run_id}/{path}",
        )
        monkeypatch.setattr(KeptRanks, "start", self._start_ranks)

    def _replace(self, stage: str) -> Any:
        def run(recipe: Any, *, report: Any, **arguments: Any) -> Any:
            self.calls.append((stage, arguments))
            report(Progress(f"{stage} at work"))
            return self._get_outcome(stage)

        return run

    def _get_outcome(self, name: str) -> Any:
        outcome = self.outcomes[name]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _record_build(self, recipe: Any, dataset: Any, seconds: Any, store: Any) -> str:
        self.calls.append(("record_build", {"parent": store.parent, "seconds": seconds}))
        return self._get_outcome("record_build")

    def _stop_session(self) -> None:
        self.calls.append(("stop_own_session", {}))

    def _start_ranks(self, count: int) -> None:
        self.calls.append(("start_ranks", {"count": count}))

    @contextmanager
    def _start_parent_run(
        self, store: Any, name: str, stage: str, report: Any
    ) -> Iterator[SimpleNamespace]:
        self.calls.append(("start_parent_run", {"name": name, "stage": stage}))
        yield SimpleNamespace(run_id="run-0", log_recipe=self._log_recipe)

    def _complete_run(self, store: Any, run_id: str, **outcome: Any) -> str:
        self.calls.append(("complete_run", {"run_id": run_id, **outcome}))
        return f"http://m/#/runs/{run_id}"

    def _log_recipe(self, recipe: Any) -> None:
        self.calls.append(("log_recipe", {"name": recipe.name}))


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    for name in ("RANK", "WORLD_SIZE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Stages(monkeypatch)


def run_with_json(command: str, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Run a command on the tiny recipe and lake; return exit code, result and standard error."""
    if not (folder / "w" / "lake").exists():
        write_tiny_lake(folder / "w" / "lake")
    done = run_command(
        command, write_recipe(folder), "--workdir", str(folder / "w"), "--json", *options
    )
    return done.code, done.result, done.err


def list_following(result: dict[str, Any], err: str) -> list[str]:
    """Return the commands of Headrace to go on with, without its name; they end what is printed."""
    commands: list[str] = result.pop("next")
    assert err.splitlines()[-len(commands) - 1 :] == ["Next", *(f"  {c}" for c in commands)]
    return [command.partition("headrace ")[2] for command in commands]


def test_prepare(stages: Stages, tmp_path: Path) -> None:
    code, result, err = run_with_json("prepare", tmp_path, "--refit", "--build-id", "night")
    assert code == 0
    assert list_following(result, err) == [f"train {tmp_path}/tiny.yaml --workdir {tmp_path}/w"]
    assert result == {
        "command": "prepare",
        "ok": True,
        "dataset": DATASET_JSON,
        "ledger": LEDGER_JSON,
        "split": None,
        "published": True,
        "why": "",
        "processed": LEDGER_JSON,
        "drifted": ["amount"],
        "differences": {},
        "report": "/lake/tiny/_headrace/b3/report.html",
        "quarantine": "/lake/tiny/_headrace/b3/quarantine",
        "seconds": {"prepare": {"all": 1.5}},
        "prepare_run_id": "run-1",
        "tracking_uri": f"sqlite:///{tmp_path}/w/mlflow/mlflow.db",
    }
    (_, arguments), stopped, (_, recorded) = stages.calls
    assert arguments.pop("workdir") == f"{tmp_path}/w"
    assert arguments.pop("wait_for")() is None  # there is no run of a pipeline above it
    (request,) = arguments.values()
    assert asdict(request) == {
        "full": False, "refit": True, "idempotency_id": "night", "retry_conflicts": 0,
        "erase": None,
    }  # fmt: skip
    assert stopped == ("stop_own_session", {})
    assert recorded == {"parent": None, "seconds": {"all": 1.5}}
    assert "prepare: prepare at work" in err
    assert "Dataset  /lake/tiny, version 3" in err


def test_nothing_to_prepare(stages: Stages, tmp_path: Path) -> None:
    stages.outcomes["prepare"] = build_prepared(published=False)
    code, result, err = run_with_json("prepare", tmp_path)
    assert code == 0
    assert (result["ok"], result["published"], result["why"]) == (True, False, "nothing new")
    assert "prepare: nothing new; version 3 stays the newest" in err
    assert [name for name, _ in stages.calls] == ["prepare", "stop_own_session"]


def test_a_build_that_mlflow_cannot_record_is_published(stages: Stages, tmp_path: Path) -> None:
    stages.outcomes["record_build"] = OSError("http://key:hunter2@mlflow is down\nand more")
    code, result, err = run_with_json("prepare", tmp_path)
    assert code == 0
    assert "prepare_run_id" not in result
    assert (
        "prepare: the build is published and MLflow has no record of it: "
        "OSError: http://***@mlflow is down\n"
    ) in err


def test_a_prepare_that_fails_stops_spark(stages: Stages, tmp_path: Path) -> None:
    stages.outcomes["prepare"] = LakeError("no such table")
    code, result, err = run_with_json("prepare", tmp_path)
    assert (code, result["ok"], result["exit_code"]) == (1, False, 1)
    assert err.endswith("headrace prepare: no such table\n")
    assert [name for name, _ in stages.calls] == ["prepare", "stop_own_session"]


def test_train(stages: Stages, tmp_path: Path) -> None:
    code, result, err = run_with_json(
        "train", tmp_path, "--dataset-version", "3", "--resume", "never"
    )
    assert code == 0
    assert list_following(result, err) == [f"evaluate {tmp_path}/tiny.yaml --workdir {tmp_path}/w"]
    assert result == {
        "command": "train",
        "ok": True,
        "dataset": DATASET_JSON,
        "ledger": LEDGER_JSON,
        "run_id": "run-2",
        "run_url": "http://m/#/runs/run-2",
        "model_uri": "models:/tiny/5",
        "metrics": {"val_loss": 0.25},
        "weights_checksum": ["abc", "abc"],
        "seconds": {"train": {"all": 2.5}},
        "first_step_at": 12.0,
        "tracking_uri": f"sqlite:///{tmp_path}/w/mlflow/mlflow.db",
    }
    ((_, arguments),) = stages.calls
    assert arguments == {
        "workdir": f"{tmp_path}/w",
        "dataset_version": 3,
        "resume": "never",
        "parent_run_id": None,
        "kept_ranks": None,
    }
    assert "Model    models:/tiny/5 (takes raw rows), run run-2" in err


def test_a_follower_has_no_result(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "headrace.distributed.launchers.external.run_external_rank", lambda *_: None
    )
    for command in ("train", "evaluate"):
        done = run_command(command, write_recipe(tmp_path), "--json")
        assert done == (0, "", "")
    assert stages.calls == []


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 3)])
def test_evaluate(passed: bool, code: int, stages: Stages, tmp_path: Path) -> None:
    stages.outcomes["evaluate"] = build_evaluated(passed)
    ended, result, err = run_with_json("evaluate", tmp_path, "--model", "models:/tiny/5")
    assert ended == code
    assert (result["ok"], result.get("exit_code", 0)) == (passed, code)
    assert result["verdict"]["passed"] is passed
    assert result["metrics"] == {"test_roc_auc": 0.7}
    ((_, arguments),) = stages.calls
    assert (arguments["model_uri"], arguments["dataset_version"]) == ("models:/tiny/5", None)
    assert "Judged   /artifacts/run-2/evaluation/test/report.html" in err
    assert result["evaluation_report_path"] == "/artifacts/run-2/evaluation/test/report.html"
    promote, score, serve = (
        f"promote {tmp_path}/tiny.yaml --workdir {tmp_path}/w",
        f"score {tmp_path}/tiny.yaml --input {tmp_path}/w/lake/visits "
        f"--output {tmp_path}/w/predictions --workdir {tmp_path}/w",
        "",  # MLflow's
    )
    assert f"MLFLOW_TRACKING_URI={result['tracking_uri']}" in result["next"][-1]
    assert list_following(result, err) == ([promote, score, serve] if passed else [serve])
    assert "headrace evaluate" not in err  # a gate that failed is no error


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 3)])
def test_run_merges_the_results_of_the_stages(
    passed: bool, code: int, stages: Stages, tmp_path: Path
) -> None:
    stages.outcomes["evaluate"] = build_evaluated(passed)
    ended, result, err = run_with_json("run", tmp_path)
    assert ended == code
    assert (result["command"], result["ok"]) == ("run", passed)
    assert result["pipeline_run_id"] == "run-0"
    assert result["prepare_run_id"] == "run-1"
    assert result["metrics"] == {"val_loss": 0.25, "test_roc_auc": 0.7}
    assert result["seconds"] == {
        "prepare": {"all": 1.5}, "train": {"all": 2.5}, "evaluate": {"all": 3.5},
    }  # fmt: skip
    calls = dict(stages.calls)
    assert calls["start_parent_run"] == {"name": "tiny-run", "stage": "run"}
    assert calls["log_recipe"] == {"name": "tiny"}
    completed = calls["complete_run"]
    assert completed["metrics"] == {"val_loss": 0.25, "test_roc_auc": 0.7}
    assert completed["tags"]["headrace.verdict"] == ("passed" if passed else "failed")
    assert completed["tags"]["headrace.build"] == "b3"
    assert completed["copied"]["evaluation/test/report.html"] == "report.html"
    assert result["pipeline_run_url"] == "http://m/#/runs/run-0"
    assert "Run      http://m/#/runs/run-0" in err.splitlines()
    assert calls["record_build"]["parent"] == "run-0"
    assert (calls["train"]["dataset_version"], calls["train"]["parent_run_id"]) == (3, "run-0")
    assert calls["evaluate"]["model_uri"] == "models:/tiny/5"
    # Ranks are there before rows are, and evaluate what they have trained.
    assert calls["start_ranks"] == {"count": 1}
    assert isinstance(calls["train"]["kept_ranks"], KeptRanks)
    assert calls["evaluate"]["kept_ranks"] is calls["train"]["kept_ranks"]


@pytest.mark.parametrize(
    ("override", "counts"),
    [
        ("train.ranks=auto", [1]),  # until the rows are known
        ("train.ranks=8", [min(8, len(os.sched_getaffinity(0)))]),
        ("train.launcher={kind: hosts, hosts: [a, b]}", []),
    ],
)
def test_ranks_of_this_machine_alone_are_there_before_the_rows(
    override: str, counts: list[int], stages: Stages, tmp_path: Path
) -> None:
    assert run_with_json("run", tmp_path, "--set", override)[0] == 0
    assert [call["count"] for name, call in stages.calls if name == "start_ranks"] == counts


def test_an_mlflow_that_cannot_be_used_ends_the_run_where_it_is_waited_for(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def refuse(*_: Any) -> Iterator[None]:
        raise ModelError("MLflow cannot be used")
        yield

    monkeypatch.setattr("headrace.tracking.run.start_parent_run", refuse)
    code, result, _ = run_with_json("run", tmp_path)
    assert (code, result["error"]["type"]) == (1, "ModelError")
    (wait_for,) = [call["wait_for"] for name, call in stages.calls if name == "prepare"]
    with pytest.raises(ModelError):  # a real build waits there before it reads a row
        wait_for()
    assert "train" not in dict(stages.calls)


def test_a_stage_that_fails_ends_the_run_in_mlflow(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended: list[str] = []

    @contextmanager
    def start(*_: Any) -> Iterator[SimpleNamespace]:
        try:
            yield SimpleNamespace(run_id="run-0")
        except BaseException as error:
            ended.append(str(error))
            raise

    monkeypatch.setattr("headrace.tracking.run.start_parent_run", start)
    stages.outcomes["train"] = ModelError("no rank")
    assert run_with_json("run", tmp_path)[0] == 1
    assert ended == ["no rank"]


@pytest.mark.parametrize(
    ("stage", "notes"),
    [
        ("prepare", ["prepare publishes all of a version or nothing", "to go on: "]),
        ("train", ["checkpoint: /w/step-7.ckpt", "to go on: "]),
        ("evaluate", ["the model is registered: models:/tiny/5", "to go on: "]),
    ],
)
def test_an_interruption_says_what_is_there_and_how_to_go_on(
    stage: str, notes: list[str], stages: Stages, tmp_path: Path
) -> None:
    interruption = KeyboardInterrupt()
    if stage == "train":
        interruption.add_note("checkpoint: /w/step-7.ckpt")
    stages.outcomes[stage] = interruption
    code, result, err = run_with_json("run", tmp_path)
    assert (code, result["error"]["type"]) == (130, "KeyboardInterrupt")
    shown = err.partition("headrace run: interrupted\n")[2].splitlines()
    assert len(shown) == len(notes)
    for line, note in zip(shown, notes, strict=True):
        assert line.startswith(f"  {note}")
    if stage == "evaluate":
        expected = f"evaluate {tmp_path}/tiny.yaml --model models:/tiny/5 --workdir {tmp_path}/w"
        assert shown[-1].endswith(expected)


def test_an_interruption_does_not_wait_for_mlflow_to_open(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    released = threading.Event()
    monkeypatch.setattr(
        "headrace.commands.beside_stages.open_client", lambda store: released.wait(60)
    )
    stages.outcomes["prepare"] = KeyboardInterrupt()
    began = time.monotonic()
    assert run_with_json("run", tmp_path)[0] == 130
    assert time.monotonic() - began < 5
    released.set()
    time.sleep(0.1)
    assert "start_parent_run" not in dict(stages.calls)  # nor is there a run that never ends


def test_run_is_refused_as_ranks(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    code, result, _ = run_with_json("run", tmp_path)
    assert code == 1
    assert result["error"]["type"] == "MachineError"
    assert stages.calls == []


def test_observers_get_the_results_of_stages(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADRACE_METRICS_FOLDER", str(tmp_path / "metrics"))
    run_with_json("run", tmp_path)
    files = {path.name: path.read_text() for path in (tmp_path / "metrics").iterdir()}
    assert set(files) == {f"headrace_tiny_{name}.prom" for name in ("prepare", "train", "evaluate")}
    row = 'headrace_rows{recipe="tiny",stage="prepare",state="published: train"} 60.0'
    assert row in files["headrace_tiny_prepare.prom"]
    metric = 'headrace_metric{name="val_loss",recipe="tiny",stage="train"} 0.25'
    assert metric in files["headrace_tiny_train.prom"]


def test_a_json_log_has_the_result_as_its_last_entry(stages: Stages, tmp_path: Path) -> None:
    done = run_command("train", write_recipe(tmp_path), "--log-format", "json")
    entries = [json.loads(line) for line in done.out.splitlines()]
    assert [entry["message"] for entry in entries] == ["train at work", "done", "result"]
    assert entries[-1]["result"]["model_uri"] == "models:/tiny/5"

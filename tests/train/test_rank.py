"""Generations of a rank: which errors lead to the next one, and in what order."""

from typing import Any

import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import StreamError
from headrace.progress import ignore_progress
from headrace.train import rank as rank_module
from headrace.train.loop import RanksChangeError
from headrace.train.rank import train_rank


class ElasticCollectives(SoloCollectives):
    """The collectives of a rank that may join another generation, recorded as a call."""

    is_elastic = True

    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    def join_next_generation(self) -> None:
        self._calls.append("join")


def train_with_errors(
    monkeypatch: pytest.MonkeyPatch, *errors: Exception | None, elastic: bool = True
) -> tuple[list[str], dict[str, Any] | Exception]:
    """Return the calls of a training whose generations raise these errors, and its outcome."""
    calls: list[str] = []
    outcomes = iter(errors)

    class FakeTraining:
        def __init__(self, payload: Any, collectives: Any, report: Any, stack: Any) -> None:
            stack.callback(lambda: calls.append("close"))

        def train_epochs(self) -> None:
            calls.append("run")
            if error := next(outcomes):
                raise error

        def finish_training(self) -> dict[str, Any]:
            return {"run_id": "7"}

        def rewind_to_last_update(self) -> None:
            calls.append("rewind")

    monkeypatch.setattr(rank_module, "RankTraining", FakeTraining)
    collectives = ElasticCollectives(calls) if elastic else SoloCollectives()
    try:
        return calls, train_rank({}, collectives, ignore_progress)
    except Exception as error:
        return calls, error


def test_one_generation_is_run_and_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, result = train_with_errors(monkeypatch, None)
    assert (calls, result) == (["run", "close"], {"run_id": "7"})


def test_a_change_of_ranks_is_followed_by_the_next_generation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, result = train_with_errors(monkeypatch, RanksChangeError(), RanksChangeError(), None)
    assert result == {"run_id": "7"}
    assert calls == ["run", *["rewind", "join", "run"] * 2, "close"]


def test_without_elastic_ranks_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RanksChangeError()
    assert train_with_errors(monkeypatch, error, elastic=False) == (["run", "close"], error)


def test_an_error_of_this_rank_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    error = StreamError("row group 3 cannot be read")
    assert train_with_errors(monkeypatch, error) == (["run", "close"], error)

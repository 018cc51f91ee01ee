"""Rows of a split are gathered from all ranks, without padding, in one order for any ranks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.evaluate import predictions
from headrace.evaluate.predictions import POSITION
from headrace.labels.spec import LabelSpec
from headrace.transform.spec import TransformSpec
from tests.tiny import tiny_recipe

SPEC = TransformSpec(raw=(), derived=(), features=(), label=LabelSpec())
# Two rows of identity 7 have equal labels, and one row has another label.
ROW_ID = np.array([3, 7, 7, 7, 1])
LABEL = np.array([0, 1, 0, 0, 1], np.float32)
SCORE = np.array([0.5, 0.1, 0.9, 0.2, 0.3], np.float32)
SORTED = ([1, 3, 7, 7, 7], [1, 0, 0, 0, 1], np.array([0.3, 0.5, 0.2, 0.9, 0.1], np.float32))


class Stream:
    """A stream of batches of two rows, with padding, that notes how many it was asked for."""

    global_batch_size = 2

    def __init__(self, positions: np.ndarray) -> None:
        self.positions, self.batches = positions, 0

    def read_batches(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(self.positions), 2):
            rows = self.positions[start : start + 2]
            self.batches += 1
            padding = 3 - len(rows)
            columns = {"row_id": ROW_ID, "label": LABEL, "score": SCORE, "weight": np.ones(5)}
            yield {n: np.pad(column[rows], (0, padding)) for n, column in columns.items()}

    def locate_rows(self, step: int) -> np.ndarray:
        rows = self.positions[2 * step : 2 * step + 2]
        return np.pad(rows, (0, 3 - len(rows)), constant_values=-1)


def predict(batches: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the score as the model's output, of all rows but padding, as `Predictor` does."""
    parts = [{n: column[b["weight"] > 0] for n, column in b.items()} for b in batches]
    rows = {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}
    return {"probability": rows.pop("score"), **{n: rows[n] for n in rows if n != "weight"}}


class TwoRanks(SoloCollectives):
    """Rank 0 of two, who gets the other rank's arrays one by one."""

    size = 2

    def __init__(self, other: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._arrays = iter(other.values())

    def alltoall_rows(self, rows: Any, counts: Any) -> tuple[np.ndarray, np.ndarray]:
        other = next(self._arrays)
        return np.concatenate([rows, other]), np.array([len(rows), len(other)])


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream(np.arange(5))
    monkeypatch.setattr(predictions.SplitStream, "for_split", lambda *_, **__: stream)
    return stream


def test_the_recipe_says_what_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engines: list[str] = []

    def record_engine(*_: Any, **options: Any) -> Stream:
        engines.append(options["engine"])
        return Stream(np.arange(5))

    monkeypatch.setattr(predictions.SplitStream, "for_split", record_engine)
    for engine in ("petastorm", "pyarrow"):
        recipe = tiny_recipe(tmp_path, f"stream.engine={engine}")
        predictions.predict_rows(None, SPEC, predict, "test", recipe, SoloCollectives())
    assert engines == ["petastorm", "pyarrow"]


def predict_rows(tmp_path: Path, collectives: Any = None, **options: Any) -> dict[str, np.ndarray]:
    recipe = tiny_recipe(tmp_path)
    return predictions.predict_rows(
        None, SPEC, predict, "test", recipe, collectives or SoloCollectives(), **options
    )


def check_sorted(rows: dict[str, np.ndarray]) -> None:
    row_id, label, probability = SORTED
    assert rows["row_id"].tolist() == row_id
    assert rows["label"].tolist() == label
    assert rows["probability"].tolist() == probability.tolist()
    assert SCORE[rows[POSITION]].tolist() == probability.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_does_not_depend_on_the_stream(stream: Stream, tmp_path: Path, seed: int) -> None:
    stream.positions = np.random.default_rng(seed).permutation(5)
    check_sorted(predict_rows(tmp_path))


def test_rows_of_all_ranks_are_gathered(stream: Stream, tmp_path: Path) -> None:
    rows = np.array([4, 0])  # in the order in which ranks gather them
    other = {"probability": SCORE, "row_id": ROW_ID, "label": LABEL, POSITION: np.arange(5)}
    other = {name: array[rows] for name, array in other.items()}
    stream.positions = np.array([1, 2, 3])
    check_sorted(predict_rows(tmp_path, TwoRanks(other)))


def test_some_rows_are_those_of_the_first_batches(stream: Stream, tmp_path: Path) -> None:
    rows = predict_rows(tmp_path, max_rows=3)
    assert stream.batches == 2
    assert sorted(rows["row_id"].tolist()) == [3, 7, 7, 7]


def test_sampled_inputs_are_sorted_and_at_most_so_many(stream: Stream, tmp_path: Path) -> None:
    inputs, facts = predictions.sample_inputs(
        None, SPEC, "test", tiny_recipe(tmp_path), SoloCollectives(), 3
    )
    assert stream.batches == 2
    assert inputs == {}  # the spec has no features
    assert facts["label"].tolist() == [0, 0, 0]  # of rows 3, 7 and 7


def test_rows_of_several_labels_are_sorted_by_their_highest_probability() -> None:
    rows = {
        "row_id": np.array([5, 5, 2]),
        "label": np.array([[0, 1], [0, 1], [1, 1]], np.float32),
        "probabilities": np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], np.float32),
    }
    ordered = predictions._sort_rows(rows, "probabilities")
    assert ordered["row_id"].tolist() == [2, 5, 5]
    assert ordered["probabilities"].max(axis=1).tolist() == np.array([0.5, 0.8, 0.9], "f").tolist()

"""Rows that a model was trained on are found by their identity, whatever files they are in."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.evaluate.seen_rows import find_seen_rows, read_test_labels
from headrace.labels.spec import LabelSpec
from headrace.lake.data_file import DataFile, SplitName
from tests.train.ranks_on_threads import run_on_threads


class Dataset:
    """A dataset version in memory: paths of files -> split and identities."""

    def __init__(self, root: str, files: dict[str, tuple[SplitName, list[int]]]) -> None:
        self.root, self._ids = root, {path: ids for path, (_, ids) in files.items()}
        self._files = [
            DataFile(path=path, split=split, bytes=1, row_groups=(len(ids),), content="c")
            for path, (split, ids) in files.items()
        ]
        self.read: list[str] = []

    def list_files(self, split: str) -> tuple[DataFile, ...]:
        return tuple(file for file in self._files if file.split == split)

    def read_file(self, file: DataFile, columns: list[str]) -> pa.Table:
        assert columns == ["row_id"]
        self.read.append(file.path)
        return pa.table({"row_id": pa.array(self._ids[file.path], pa.int64())})


def find(dataset: Dataset, own: Dataset, ids: list[int], collectives: Any = None) -> Any:
    row_id = np.array(ids, np.int64)
    return find_seen_rows(dataset, own, row_id, collectives or SoloCollectives())  # type: ignore[arg-type]


OWN = {"a": ("train", [1, 2]), "b": ("validation", [3]), "c": ("test", [4, 5, 6, 6, 7])}


def test_train_and_validation_rows_are_seen_and_test_rows_are_not() -> None:
    other = Dataset("/o", {"x": ("train", [4, 9]), "y": ("validation", [6]), "z": ("test", [5])})
    seen = find(other, Dataset("/r", OWN), [4, 5, 6, 6, 7])
    assert seen.is_seen.tolist() == [True, False, True, True, False]
    assert seen.shares_rows
    assert other.read == ["x", "y"]


def test_files_of_both_are_not_read() -> None:
    other = Dataset("/r", {"a": ("train", [1, 2]), "n": ("train", [7])})
    seen = find(other, Dataset("/r", OWN), [4, 5, 6, 6, 7])
    assert seen.is_seen.tolist() == [False, False, False, False, True]
    assert (other.read, seen.shares_rows) == (["n"], True)


@pytest.mark.parametrize(("trained", "shares"), [([2, 50], True), ([50, 51], False)])
def test_train_rows_tell_whether_identities_are_the_same(trained: list[int], shares: bool) -> None:
    other = Dataset("/o", {"a": ("train", trained)})  # another dataset's file of that name
    seen = find(other, Dataset("/r", OWN), [4, 5])
    assert (seen.is_seen.any(), seen.shares_rows) == (False, shares)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=9), max_size=7))
def test_ranks_find_what_a_loop_finds(files: list[list[int]]) -> None:
    named = {f"f{i}": (("train", "validation")[i % 2], ids) for i, ids in enumerate(files)}
    other, own = Dataset("/o", named), Dataset("/r", OWN)
    expected = [number in {i for ids in files for i in ids} for number in range(31)]
    assert find(other, own, list(range(31))).is_seen.tolist() == expected
    other.read.clear()
    first, _ = run_on_threads(2, lambda ranks: find(other, own, list(range(31)), ranks))
    assert first.is_seen.tolist() == expected
    assert sorted(other.read) == sorted(named)  # each file by one rank


def test_labels_are_in_the_order_of_predictions() -> None:
    class Labelled:
        def read_columns(self, split: str, columns: list[str]) -> pa.Table:
            lists = pa.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], pa.list_(pa.float32()))
            return pa.table({"row_id": [3, 1, 1], "label": lists})

    label = LabelSpec(kind="multi_label", classes=("a", "b"))
    rows = read_test_labels(Labelled(), label)  # type: ignore[arg-type]
    assert rows["row_id"].tolist() == [1, 1, 3]
    assert rows["label"].tolist() == [[0, 0], [0, 1], [1, 0]]

"""A task of the second job: rows of a target become files, one for each split."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.columns.histogram import HistogramAxis
from headrace.labels.spec import LabelSpec
from headrace.lake.build import StoredColumn
from headrace.lake.data_file import DataFile
from headrace.lake.profile import FileTally
from headrace.prepare.key_hashes import TaskKeyHashes
from headrace.prepare.shuffle.arrow_blobs import read_blobs
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.write.job import (
    WriteOptions,
    _compute_weights,
    _write_tallies,
    _write_target,
)
from headrace.prepare.write.task_statistics import TaskStatistics
from headrace.prepare.write.task_tallies import TaskTallies, join_tallies, read_sums
from headrace.source.internal_columns import BASELINE, BUCKET, LABEL, ROW_ID, WEIGHT
from headrace.transform.arrow import ArrowTransform
from tests.models import specs

BINS = HistogramAxis("x", edges=(-2.0, 0.0, 2.0))


def options(root: Path, **more: object) -> WriteOptions:
    defaults: dict[str, object] = {
        "root": str(root),
        "build_id": "B",
        "rows_per_row_group": 2,
        "partitioner": Partitioner(2, 1, (1, 1)),  # files 0 and 1 of day=1, 2 and 3 of day=2
        "seed": 0,
        "names": ("day=1", "day=2"),
        "raw": ("x",),
        "axes": (BINS,),
        "class_weights": {},
    }
    return WriteOptions(**(defaults | more))  # type: ignore[arg-type]


def rows(**more: object) -> pa.Table:
    """Three train rows and a test row, in order."""
    columns = {
        "x": [8.0, 12.0, None, 10.0],
        LABEL: [0.0, 1.0, 1.0, 0.0],
        ROW_ID: [11, 12, 13, 14],
        BUCKET: pa.array([0, 0, 0, 2], pa.int32()),
    }
    return pa.table(columns | more)


def write(root: Path, table: pa.Table, label: LabelSpec = specs.BINARY, **more: object) -> dict:
    transform = ArrowTransform(specs.make_spec(specs.NUMBER, label=label))
    blobs: dict[str, list[tuple[str, bytes]]] = {}
    settings, tallies = options(root, **more), TaskTallies(str(root), "B", 1)
    hashes, statistics = TaskKeyHashes(str(root), "B", 1), TaskStatistics(str(root), "B", 1)
    for kind, name, target, blob in _write_target(
        table, 3, 1, transform, settings, tallies, hashes, statistics
    ):
        assert target == 3
        blobs.setdefault(kind, []).append((name, blob))
    for batch in _write_tallies(tallies):
        for kind, name, target, blob in read_blobs(batch):
            assert target == 3
            blobs.setdefault(kind, []).append((name, bytes(blob)))
    return blobs


def test_a_target_is_written_as_a_file_for_each_split(tmp_path: Path) -> None:
    blobs = write(tmp_path, rows())
    files = [DataFile.model_validate_json(blob) for _, blob in blobs["file"]]
    assert [(f.path, f.split, f.partition, f.row_groups) for f in files] == [
        ("split=train/part-B-00003-1.parquet", "train", "day=2", (2, 1)),
        ("split=test/part-B-00003-1.parquet", "test", "day=2", (1,)),
    ]
    train = pq.ParquetFile(tmp_path / files[0].path).read()
    # (x - 10) / 2, and 10 stands for a missing value
    assert train.to_pydict() == {
        "row_id": [11, 12, 13], "x": [-1.0, 1.0, 0.0], "label": [0.0, 1.0, 1.0]
    }  # fmt: skip
    content = hashlib.sha256()
    content.update(np.array([11, 12, 13]).tobytes())
    content.update(np.array([-1, 1, 0], np.float32).tobytes())
    content.update(np.array([0, 1, 1], np.float32).tobytes())
    assert files[0].content == content.hexdigest()
    ((name, sums),) = blobs["tally"]
    assert name == "00003-1.parquet"
    joined = list(FileTally.read_tallies(join_tallies(str(tmp_path), "B", [name])))
    assert [t.path for t in joined] == [file.path for file in files]
    for tallies in (joined, [tally for _, tally in read_sums(sums)]):
        assert [t.counts["x"].tolist() for t in tallies] == [[1, 2], [0, 1]]
        assert [t.missing for t in tallies] == [{"x": 1}, {"x": 0}]
    assert set(blobs) == {"file", "tally"}


def test_rows_of_an_unknown_class_are_left_out_and_counted(tmp_path: Path) -> None:
    label = LabelSpec(kind="classes", classes=("a", "b"))
    table = rows(**{LABEL: ["b", "z", "a", "z"]})
    blobs = write(tmp_path, table, label)
    assert blobs["unseen"] == [("day=2", b"2")]
    (file,) = (DataFile.model_validate_json(blob) for _, blob in blobs["file"])
    assert pq.ParquetFile(tmp_path / file.path).read()["label"].to_pylist() == [1, 0]


def test_weights_baseline_and_passthrough_columns_lie_beside_the_features(tmp_path: Path) -> None:
    label = LabelSpec(kind="regression", center=1.0, scale=2.0, weighted=True, baseline=True)
    more = {
        LABEL: [1.0, 3.0, 5.0, 7.0],
        WEIGHT: [0.5, 1.0, 2.0, 1.0],
        BASELINE: [4.0, 4.0, 4.0, 4.0],
        "word": pa.array(["a", None, "a", "b"]).dictionary_encode(),
    }
    blobs = write(tmp_path, rows(**more), label, passthrough={"word": "string"})
    file = DataFile.model_validate_json(blobs["file"][0][1])
    train = pq.ParquetFile(tmp_path / file.path).read()
    assert train["label"].to_pylist() == [0.0, 1.0, 2.0]
    assert train["sample_weight"].to_pylist() == [0.5, 1.0, 2.0]
    assert train["baseline"].to_pylist() == [4.0, 4.0, 4.0]  # in the label's own unit
    assert train["kept_word"].to_pylist() == ["a", None, "a"]


def test_raw_values_lie_beside_the_rows_of_the_test_split_alone(tmp_path: Path) -> None:
    more = {
        "big": pa.array([1, 2, 3, 2**53 + 1], pa.int64()),
        "word": pa.array(["a", None, "a", "b"]).dictionary_encode(),
        "flag": pa.array([0, 1, None, 1], pa.int64()),
    }
    stored = {
        "big": StoredColumn(name="raw_big", type="integer"),
        "word": StoredColumn(name="kept_word", type="string"),  # every split has it already
        "flag": StoredColumn(name="raw_flag_2", type="boolean"),
        "x": StoredColumn(name="raw_x", type="real"),
    }
    plain = write(tmp_path / "plain", rows(**more), passthrough={"word": "string"})
    blobs = write(tmp_path, rows(**more), passthrough={"word": "string"}, stored=stored)
    files = [DataFile.model_validate_json(blob) for _, blob in blobs["file"]]
    train, test = (pq.ParquetFile(tmp_path / file.path).read() for file in files)
    assert train.column_names == ["row_id", "x", "label", "kept_word"]
    assert test.column_names == [*train.column_names, "raw_big", "raw_flag_2", "raw_x"]
    assert test.select([3, 4, 5, 6]).to_pylist() == [
        {"kept_word": "b", "raw_big": 2**53 + 1, "raw_flag_2": 1, "raw_x": 10.0}
    ]
    # They are no training data.
    without = [DataFile.model_validate_json(blob) for _, blob in plain["file"]]
    assert [file.content for file in files] == [file.content for file in without]


@pytest.mark.parametrize(
    ("spec", "label", "by_class", "expected"),
    [
        (specs.BINARY, [0, 1], {"true": 3.0, "false": 0.5}, [1.0, 12.0]),
        (specs.BINARY, [0, 1], {"true": 3.0}, [2.0, 12.0]),
        (specs.CLASSES, [2, 0], {"high": 10.0, "low": 1.5}, [20.0, 6.0]),
        (specs.BINARY, [0, 1], {}, [2.0, 4.0]),
    ],
)
def test_a_row_weighs_its_own_weight_times_that_of_its_class(
    spec: LabelSpec, label: list[int], by_class: dict[str, float], expected: list[float]
) -> None:
    table = pa.table({WEIGHT: [2.0, 4.0]})
    weights = _compute_weights(table, np.array(label), spec, by_class)
    assert weights.dtype == np.float32
    assert weights.tolist() == expected


@pytest.mark.parametrize(
    ("examples", "files", "expected"),
    [
        (0, 4, [0, 0, 0, 0]),
        (4, 4, [1, 1, 1, 1]),
        (2, 4, [1, 0, 1, 0]),
        (10, 4, [3, 3, 3, 3]),  # the first ten are taken
        (1, 3, [1, 0, 0]),
    ],
)
def test_examples_come_from_all_over(
    tmp_path: Path, examples: int, files: int, expected: list[int]
) -> None:
    settings = options(tmp_path, partitioner=Partitioner(files, 1, (1,)), examples=examples)
    assert [settings.count_examples(target) for target in range(files)] == expected

"""Rows through a task: counted, filtered, predicted, written."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.columns.histogram import HistogramAxis
from headrace.errors import ModelError
from headrace.labels.spec import LabelSpec
from headrace.score.files import PredictionLayout, PredictionWriter
from headrace.score.predicting import (
    ScoreOptions,
    _count_and_filter,
    _predict_chunk,
    _read_chunks,
    choose_chunk_rows,
)
from headrace.score.task_results import TaskResults
from headrace.source.internal_columns import BUCKET, FILE, PARTITION, PROBLEMS, name_output_copy
from headrace.source.partition_index import PartitionIndex
from headrace.transform.arrow import ArrowTransform
from tests.models import specs

SPEC = specs.make_spec(specs.NUMBER, specs.WORD)
SCHEMA = pa.schema(
    {"x": pa.float64(), "key": pa.string(), "prediction": pa.int64(), "probability": pa.float64(),
     "model_version": pa.int64(), "scored_at": pa.timestamp("us", "UTC")}
)  # fmt: skip
INDEX = PartitionIndex(("day=1", "day=2"), np.array([40, 50]), np.array([1, 0], np.int32))


def options(root: Path, **changes: Any) -> ScoreOptions:
    layout = PredictionLayout(
        root=str(root), build_id="B", names=INDEX.names, values=({}, {}), folders=("one", "two"),
        schema=SCHEMA, rows_per_file=100,
    )  # fmt: skip
    defaults: dict[str, Any] = {
        "output": layout,
        "spec_json": SPEC.to_json(),
        "model": "",
        "partition_index": INDEX,
        "partition_columns": ("day",),
        "written": ("x", "key"),
        "constants": {"model_version": 3, "scored_at": 1_000_000},
        "threshold": 0.5,
        "batch_rows": 65_536,
        "axes": (
            HistogramAxis("x", edges=(-1.0, 0.0, 1.0), shown_edges=(-1.0, 0.0, 1.0)),
            HistogramAxis("w", labels=("missing", "unknown", "a", "b"), unknown=(1, 2)),
            HistogramAxis("gone", labels=("a",)),
        ),
        "prediction_axis": HistogramAxis("prediction", edges=(0.0, 0.5, 1.0)),
        "checks": ("range(x)", "not_null(w)"),
    }
    return ScoreOptions(**(defaults | changes))


def rows(**changes: Any) -> pa.Table:
    """Four rows, of which the second broke the first check."""
    columns = {
        "x": [9.0, 10.0, None, 11.0],
        "w": ["a", "b", None, "z"],
        name_output_copy("key"): ["k1", "k2", "k3", "k4"],
        FILE: [50, 50, 40, 50],
        BUCKET: pa.array([0, 1, 0, 0], pa.int32()),
    }
    return pa.table(columns | changes)


def test_lists_images_and_many_labels_make_chunks_small() -> None:
    assert choose_chunk_rows(SPEC, 65_536) == 65_536  # two numbers wide
    wide = specs.make_spec(specs.IMAGE, specs.SERIES)  # 64 pixels and 6 numbers
    assert choose_chunk_rows(wide, 65_536) == 4_194_304 // 70
    labels = LabelSpec(kind="multi_label", classes=tuple(map(str, range(1_000))))
    many = specs.make_spec(specs.NUMBER, label=labels)
    assert choose_chunk_rows(many, 65_536) == 4_194_304 // 8_001
    assert choose_chunk_rows(many, 100) == 100
    assert choose_chunk_rows(many, 1) == 16


def test_rows_are_counted_by_partition_and_bucket(tmp_path: Path) -> None:
    results = TaskResults()
    table = _count_and_filter(rows(), options(tmp_path), results, None, None)
    assert results.buckets == {(0, 0): 2, (0, 1): 1, (1, 0): 1}
    assert table["x"].to_pylist() == [9.0, None, 11.0]
    assert table[PARTITION].to_pylist() == [0, 1, 0]


def test_rejected_rows_are_noted_before_they_are_left_out(tmp_path: Path) -> None:
    noted: list[dict[str, Any]] = []

    class Rejected:
        def add_rows(self, rows: pa.Table) -> None:
            noted.extend(rows.to_pylist())

    class Reader:
        def add_late_columns(self, rows: pa.Table) -> pa.Table:
            assert rows.num_rows == 4  # it reads rows that lie one behind the other
            return rows.append_column("late", pa.array([1, 2, 3, 4]))

    table = rows(**{PROBLEMS: [None, "0\x1fx", None, None]})
    reader, rejected = Reader(), Rejected()
    scored = _count_and_filter(table, options(tmp_path), TaskResults(), reader, rejected)  # type: ignore[arg-type]
    assert [(row["x"], row[PROBLEMS]) for row in noted] == [(10.0, "0\x1fx")]
    assert PROBLEMS not in scored.column_names
    assert scored["late"].to_pylist() == [1, 3, 4]


def test_one_partition_needs_no_file(tmp_path: Path) -> None:
    index = PartitionIndex(("",), np.zeros(0, np.int64), np.zeros(0, np.int32))
    results = TaskResults()
    table = rows().drop_columns([FILE])
    table = _count_and_filter(table, options(tmp_path, partition_index=index), results, None, None)
    assert results.buckets == {(0, 0): 3, (0, 1): 1}
    assert table[PARTITION].to_pylist() == [0, 0, 0]


def test_batches_are_joined_and_split_to_chunks(tmp_path: Path) -> None:
    table = rows(**{BUCKET: pa.array([0, 0, 0, 0], pa.int32())})
    names = table.column_names
    unnamed = table.rename_columns([f"c{i}" for i in range(len(names))])
    batches = [*unnamed.to_batches(max_chunksize=1), *unnamed.to_batches()] * 4
    small = options(tmp_path, batch_rows=16)
    results = TaskResults()
    chunks = list(_read_chunks(batches, names, small, results, SPEC, None))
    assert [chunk.num_rows for chunk in chunks] == [12, 12, 8]  # three quarters full, or more
    assert chunks[0].column_names == [*names, PARTITION]
    assert pa.types.is_dictionary(chunks[0].schema.field("w").type)
    assert results.buckets == {(0, 0): 24, (1, 0): 8}
    assert list(_read_chunks([], names, small, results, SPEC, None)) == []


def predict(root: Path, output: list[float], **changes: Any) -> TaskResults:
    """Predict the rows that are scored with a network of known outputs."""
    task_options, results = options(root, **changes), TaskResults()
    table = _count_and_filter(rows(), task_options, results, None, None)
    writer = PredictionWriter(task_options.output, "0")
    inputs: dict[str, np.ndarray] = {}

    def network(columns: Any) -> np.ndarray:
        inputs.update(columns)
        return np.array(output)

    _predict_chunk(table, task_options, ArrowTransform(SPEC), network, results, writer)
    results.files = writer.close()
    # (x - 10) / 2, 10 where it is missing; 2 is "a", 0 is missing, 1 is out of the vocabulary
    assert inputs["numeric"].tolist() == [[-0.5], [0.0], [0.5]]
    assert inputs["categorical"].tolist() == [[2], [0], [1]]
    return results


def test_predictions_are_written_beside_the_key_by_partition(tmp_path: Path) -> None:
    results = predict(tmp_path, [0.25, 0.5, 0.75])
    tables = [pq.ParquetFile(tmp_path / file.path).read() for file in results.files]
    assert [file.partition for file in results.files] == ["day=1", "day=2"]
    assert tables[0].schema == SCHEMA
    plain = {name: column.to_pylist() for name, column in zip(SCHEMA.names, tables[0], strict=True)}
    times = plain.pop("scored_at")
    assert [time.timestamp() for time in times] == [1.0, 1.0]
    assert plain == {
        "x": [9.0, 11.0],  # as it was read, beside what the model reads
        "key": ["k1", "k4"],
        "prediction": [0, 1],
        "probability": [0.25, 0.75],
        "model_version": [3, 3],
    }
    assert tables[1]["prediction"].to_pylist() == [1]


def test_values_and_predictions_are_counted(tmp_path: Path) -> None:
    results = predict(tmp_path, [0.25, 0.5, 0.75])
    assert {name: counts.tolist() for name, counts in results.counts.items()} == {
        "x": [1, 2], "w": [1, 1, 1, 0]
    }  # fmt: skip
    assert results.unknown == {"x": 0, "w": 1}
    assert results.predictions is not None
    assert results.predictions.tolist() == [1, 2]
    assert predict(tmp_path, [0.0] * 3, prediction_axis=None).predictions is None


def test_a_prediction_that_is_not_finite_ends_the_task(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^2 of 3 predictions are not finite; nothing was"):
        predict(tmp_path, [float("nan"), 0.5, float("inf")])

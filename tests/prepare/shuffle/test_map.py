"""The map side of the shuffle: a task's rows, partitioned into one blob for each target."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.prepare.shuffle import map as shuffle_map_module
from headrace.prepare.shuffle.map import collect_examples, make_map_function
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.row_hash import hash_rows
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.internal_columns import BUCKET, FILE, PARTITION, PROBLEMS, ROW_ID, name_mask
from headrace.source.partition_index import PartitionIndex
from headrace.source.problems import PROBLEM_SEPARATOR, REASON_SEPARATOR
from tests.prepare.shuffle.shuffled import batch_of, counts_of, options, row, rows_of

TWO_TARGETS = Partitioner(2, 1, (1,))


def mapped(rows: list[dict[str, object]], **settings: object) -> list[pa.RecordBatch]:
    batch = batch_of(rows)
    function = make_map_function(options(TWO_TARGETS, **settings), batch.schema.names)  # type: ignore[arg-type]
    unnamed = pa.RecordBatch.from_arrays(
        batch.columns, names=[f"c{i}" for i in range(batch.num_columns)]
    )
    return list(function([unnamed]))


def test_published_rows_go_to_the_target_of_their_identity_and_others_are_counted() -> None:
    """Of two targets, even identities go to the first, odd ones to the second."""
    clean = {name_mask(0): 0, PROBLEMS: None}
    broken = {name_mask(0): 1, PROBLEMS: f"0{REASON_SEPARATOR}x: '9' is above 5"}
    blobs = mapped(
        [
            row(4, 0, 1.0, **clean),
            row(7, 2, 2.0, **clean),
            row(9, 7, 9.0, **broken),  # bucket 7 is of a check
            row(6, 1, 9.0, **broken),  # violated, and published all the same
            row(5, 3, 3.0, **clean),  # filtered
        ],
        checks=1,
    )
    by_target = {target: rows for target, _, rows in rows_of(blobs)}
    assert by_target[0][ROW_ID].to_pylist() == [4, 6]
    assert by_target[1][ROW_ID].to_pylist() == [7]
    assert by_target[1]["x"].to_pylist() == [2.0]
    assert PROBLEMS not in by_target[0].column_names
    assert name_mask(0) not in by_target[0].column_names
    counts = counts_of(blobs)
    assert counts.buckets == {(0, 3): 1, (0, 7): 1}
    assert counts.violations == {0: 2}
    assert counts.examples == {0: ["x: '9' is above 5"]}


def test_a_row_without_a_key_is_identified_by_all_of_its_values() -> None:
    blobs = mapped([row(None, 0, 1.5), row(8, 0, 2.5), row(None, 0, 1.5), row(None, 0, 2.5)])
    identities = {}
    for _, _, rows in rows_of(blobs):
        for r in rows.to_pylist():
            identities.setdefault((r["x"], r[ROW_ID]), 0)
            identities[r["x"], r[ROW_ID]] += 1
    start = np.full(2, 5, np.uint64)  # TIE
    one_and_half, two_and_half = (
        hash_rows([pa.chunked_array([[1.5, 2.5]])], start).view(np.int64).tolist()
    )
    assert identities == {(1.5, one_and_half): 2, (2.5, 8): 1, (2.5, two_and_half): 1}


def test_rows_know_the_source_partition_of_their_file() -> None:
    index = PartitionIndex(("a", "b"), np.array([-3, 11]), np.array([1, 0], np.int32))
    partitioner = Partitioner(1, 1, (1, 1))
    batch = batch_of(
        [row(1, 0, 1.0, **{FILE: 11}), row(2, 3, 1.0, **{FILE: -3}), row(3, 0, 2.0, **{FILE: -3})]
    )
    function = make_map_function(options(partitioner, partition_index=index), batch.schema.names)
    blobs = list(function([batch]))
    ((_, _, rows),) = rows_of(blobs)
    assert rows.select([ROW_ID, PARTITION]).to_pydict() == {ROW_ID: [1, 3], PARTITION: [0, 1]}
    assert FILE not in rows.column_names
    assert counts_of(blobs).buckets == {(1, 3): 1}


def test_full_buffers_are_partitioned_and_no_row_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle_map_module, "BUFFER_ROWS", 40)
    monkeypatch.setattr(shuffle_map_module, "_FIRST_ROWS", 16)
    monkeypatch.setattr(shuffle_map_module, "_CHUNK_BYTES", 1000)
    blobs = mapped([row(n, n % 4, float(n)) for n in range(500)])
    parts = list(rows_of(blobs))
    assert len(parts) > 10
    identities = [i for _, _, rows in parts for i in rows[ROW_ID].to_pylist()]
    assert sorted(identities) == [n for n in range(500) if n % 4 < 3]
    assert all(b < 3 for _, _, rows in parts for b in rows[BUCKET].to_pylist())
    assert counts_of(blobs).buckets == {(0, 3): 125}


def test_examples_do_not_depend_on_where_a_batch_ends() -> None:
    between, reason = PROBLEM_SEPARATOR, REASON_SEPARATOR
    problems = [f"0{reason}b{n:04}{between}1{reason}a{9999 - n}" for n in range(1000)]
    problems = [*problems[500:], None, *problems[:500]]
    whole, parts = TaskCounts(), TaskCounts()
    collect_examples(pa.array(problems), whole)
    for begin in range(0, 1001, 37):
        collect_examples(pa.array(problems[begin : begin + 37], pa.string()), parts)
    assert whole.examples == parts.examples
    assert whole.examples[0] == [f"b{n:04}" for n in range(5)]
    assert whole.examples[1] == [f"a{n}" for n in range(9000, 9005)]

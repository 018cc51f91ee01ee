"""Keys that span source partitions of which a build reads some."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.columns.statistics import read_ipc
from headrace.prepare.shuffle.arrow_blobs import LOST_KEYS, PUBLISHED_KEYS, group_by_target
from headrace.prepare.shuffle.dedup import find_distinct_rows
from headrace.prepare.shuffle.dedup_across_partitions import (
    UnreadKeys,
    _build_reader,
    can_span_partitions,
    count_rows,
    find_columns_beside_key,
    list_unread_files,
    locate_duplicates,
    write_cross_duplicates,
)
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.run_row_ids import describe_runs
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.internal_columns import KEY_DIGEST, PARTITION, ROW_ID, TIE_BREAKER
from headrace.source.partition_index import PartitionIndex
from tests.lake.building import make_file
from tests.prepare.daily import daily_recipe
from tests.prepare.shuffle.test_dedup import with_digests

READ = PartitionIndex(("day=2", "day=3"), np.array([1, 2]), np.array([0, 1], np.int32))


@pytest.mark.parametrize(
    ("key", "partitions", "expected"),
    [
        ("null", ["day=1", "day=2"], False),  # no dedup
        ("{key: [event]}", ["day=1"], False),  # nothing to span
        ("{key: [event]}", ["day=1", "day=2"], True),
        ("{key: [event, day]}", ["day=1", "day=2"], False),  # the folder is part of the key
        ("{key: [event, day]}", ["day=1/hour=2", "day=1/hour=3"], True),
        ("{key: [event, day]}", ["day=1", "day=01"], True),  # Spark reads both as 1
        ("{key: [event, day]}", ["day=a", "day=A"], True),
        ("{key: [event]}", [], False),
    ],
)
def test_whether_keys_can_span_partitions(
    tmp_path: Path, key: str, partitions: list[str], expected: bool
) -> None:
    recipe = daily_recipe(tmp_path, f"clean.dedup={key}")
    assert can_span_partitions(recipe, partitions) is expected


@pytest.mark.parametrize(
    ("key", "partitions", "expected"),
    [
        ("null", ["day=1"], []),
        ("{key: [event]}", [""], []),  # the whole table
        ("{key: [event]}", ["day=1"], ["day"]),  # with the next day it will matter
        ("{key: [event, day]}", ["day=1/hour=2"], ["hour"]),
        ("{key: [event, day]}", ["day=1", "day=01"], []),
    ],
)
def test_columns_of_folders_that_the_key_does_not_have(
    tmp_path: Path, key: str, partitions: list[str], expected: list[str]
) -> None:
    recipe = daily_recipe(tmp_path, f"clean.dedup={key}")
    assert find_columns_beside_key(recipe, partitions) == expected


def target_of(rows: list[tuple[int, int | None, int]]) -> pa.Table:
    """Rows of a target: identity, second hash, position of the source partition."""
    identity, second, partition = zip(*rows, strict=True)
    return pa.table(
        {
            ROW_ID: pa.array(identity, pa.int64()),
            KEY_DIGEST: pa.array(second, pa.int64()),
            PARTITION: pa.array(partition, pa.int32()),
            TIE_BREAKER: pa.array([0] * len(rows), pa.int64()),
        }
    )


def settle(
    table: pa.Table, published: list[pa.Table], lost: list[pa.Table]
) -> tuple[list[int], list[dict[str, object]], TaskCounts]:
    counts = TaskCounts()
    distinct, losses = find_distinct_rows(table, [])
    keys = UnreadKeys.from_tables(published, lost)
    distinct, recorded = keys.settle_duplicates(table, distinct, losses, READ, counts)
    return distinct.tolist(), recorded.to_pylist(), counts


def published_keys(identities: list[int], partition: str) -> pa.Table:
    name = pa.DictionaryArray.from_arrays(
        pa.array([0] * len(identities), pa.int32()), pa.array([partition])
    )
    return pa.table({ROW_ID: pa.array(identities, pa.int64()), "partition": name})


def lost_key(identity: int, second: int, loser: str, winner: str) -> dict[str, object]:
    return {ROW_ID: identity, KEY_DIGEST: second, "loser": loser, "winner": winner}


def test_a_loss_against_a_row_of_another_partition_is_recorded() -> None:
    table = target_of([(7, 1, 1), (7, 1, 0), (8, 1, 0), (8, 1, 0)])
    distinct, recorded, counts = settle(table, [], [])
    assert distinct == [1, 2]  # of equal rows, day=2 comes first
    assert recorded == [lost_key(7, 1, "day=3", "day=2")]  # of 8, both rows are of one partition
    assert counts.cross_duplicates == {("day=3", "day=2"): 1}


def test_keys_that_are_published_elsewhere_are_reported() -> None:
    table = target_of([(7, 1, 0), (8, None, 0), (9, 1, 1)])
    unread = [published_keys([7, 8, 5], "day=1"), published_keys([9], "day=0")]
    distinct, recorded, counts = settle(table, unread, [])
    assert distinct == [0, 1, 2]
    assert recorded == []
    assert counts.shared_keys == {"day=1": 1, "day=0": 1}  # a row without a key shares none


@pytest.mark.parametrize("definition", [1, 2])
def test_a_row_that_lost_before_is_lost_again_and_needs_nobody(definition: int) -> None:
    table = with_digests(target_of([(7, 1, 0), (7, 2, 0), (8, 1, 1)]), definition)
    key = with_digests(pa.Table.from_pylist([lost_key(7, 1, "day=2", "day=1")]), definition)
    distinct, recorded, counts = settle(table, [published_keys([7], "day=1")], [key])
    assert distinct == [1, 2]  # the other key of the same hash stays
    assert recorded == key.to_pylist()
    assert counts.shared_keys == {"day=1": 1}  # of the key whose second hash is 2


def test_without_a_key_nothing_is_settled() -> None:
    table = target_of([(7, 1, 0)]).drop_columns([KEY_DIGEST])
    assert settle(table, [], [])[:2] == ([0], [])


def test_keys_are_read_from_data_files_and_recorded_losses(tmp_path: Path) -> None:
    pq.write_table(pa.table({"row_id": [9, 4, 7], "x": [0.0, 1.0, 2.0]}), tmp_path / "data.parquet")
    recorded = [
        lost_key(2, 1, "day=2", "day=1"),
        lost_key(3, 1, "day=2", "day=9"),  # day=9 is not retained any more
        lost_key(5, 1, "day=3", "day=1"),  # of another partition
    ]
    folder = locate_duplicates(str(tmp_path), "build")
    write_cross_duplicates(pa.Table.from_pylist(recorded), folder, 12)
    assert folder == f"{tmp_path}/_headrace/build/duplicates"
    work = pa.RecordBatch.from_pylist(
        [
            {
                "kind": PUBLISHED_KEYS,
                "path": f"{tmp_path}/data.parquet",
                "name": describe_runs(make_file("data", ("day=0", 1), ("day=1", 2)), {"day=1"}),
            },
            {"kind": LOST_KEYS, "path": f"{folder}/00000012.parquet", "name": "build"},
        ]
    )
    losers = {"build": ["day=2", "day=4"]}
    reader = _build_reader(Partitioner(2, 1, (1,)), frozenset({"day=1"}), losers)
    read = {
        (target, kind): read_ipc(blob).to_pylist()
        for target, rows in group_by_target(reader([work]))
        for kind, _, _, blob in rows
    }
    assert read == {
        (0, PUBLISHED_KEYS): [{ROW_ID: 4, "partition": "day=1"}],
        (1, PUBLISHED_KEYS): [{ROW_ID: 7, "partition": "day=1"}],
        (0, LOST_KEYS): [lost_key(2, 1, "day=2", "day=1")],
    }


def test_retained_rows_are_counted() -> None:
    files = [
        make_file("x", ("a", 3)),
        make_file("y", ("b", 4)),
        make_file("z", ("a", 5), ("b", 6), ("c", 7)),
    ]
    base = SimpleNamespace(build=SimpleNamespace(files=files))
    assert count_rows(base, {"b"}) == 10  # type: ignore[arg-type]
    assert count_rows(base, {"a", "c"}) == 15  # type: ignore[arg-type]


@pytest.mark.parametrize("partitions", [2, 8, 32])
def test_a_file_of_losses_is_read_once_for_all_partitions_of_its_build(
    tmp_path: Path, partitions: int
) -> None:
    names = [f"day={i}" for i in range(partitions)]
    folder = locate_duplicates(str(tmp_path), "build")
    for target in range(3):
        lost = [lost_key(2, 1, name, "old") for name in names]
        write_cross_duplicates(pa.Table.from_pylist(lost), folder, target)
    base: Any = SimpleNamespace(
        root=str(tmp_path),
        build=SimpleNamespace(
            files=[make_file("old.parquet", ("old", 1), ("new", 1))],
            crossings=[SimpleNamespace(loser=name, winner="old") for name in names],
            partitions=[SimpleNamespace(name=n, build_id="build", files=()) for n in names],
        ),
    )
    plan: Any = SimpleNamespace(
        retained=frozenset({"old"}), processed={*names}, partitions=dict.fromkeys(names, ())
    )
    assert [kind for kind, *_ in list_unread_files(base, plan, frozenset())[0]] == [LOST_KEYS] * 3
    work, losers = list_unread_files(base, plan, frozenset({"old"}))
    assert [kind for kind, _, _ in work] == [PUBLISHED_KEYS, *[LOST_KEYS] * 3]
    assert losers == {"build": names}

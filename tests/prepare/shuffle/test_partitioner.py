"""Which file a row goes to: by partition and key alone, and files are complete in their group."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.prepare.shuffle.partitioner import (
    Partitioner,
    distribute_evenly,
    find_substitutes,
    hash_like_spark,
    limit_rows_per_file,
)


@pytest.mark.parametrize(
    ("rows", "rivals", "expected"),
    [
        ([0], 0, Partitioner(1, 1, (1,))),  # an empty partition still has a place
        ([100], 0, Partitioner(1, 1, (1,))),
        ([101], 0, Partitioner(2, 1, (1,))),  # one partition: a target is a group is a file
        ([950], 0, Partitioner(10, 1, (1,))),
        ([300] * 4, 0, Partitioner(3, 4, (1, 1, 1, 1))),  # three groups, of one file each partition
        ([600] * 2, 0, Partitioner(8, 2, (1, 1))),  # more than four groups: a multiple of four
        ([50] * 3, 0, Partitioner(1, 2, (1, 1, 1))),  # small partitions: all in one group
        ([1000, 10], 0, Partitioner(8, 2, (2, 1))),  # a large one has more files in each
        (
            [100],
            5_000_000,
            Partitioner(1, 5, (1,)),
        ),  # few new rows, many that they are compared with
    ],
)
def test_layouts(rows: list[int], rivals: int, expected: Partitioner) -> None:
    assert Partitioner.for_rows(rows, 100, rivals) == expected


@pytest.mark.parametrize(
    ("rows", "row_bytes", "expected"),
    [
        ([1600], 400, Partitioner(16, 1, (1,))),  # 16 targets are enough, and no more than needed
        ([3200], 400, Partitioner(16, 1, (2,), 2)),
        ([100_000], 400, Partitioner(250, 1, (4,), 4)),  # four files at most
        ([100_000], 500_000, Partitioner(500, 1, (2,), 2)),  # 128 MiB at most
        ([100_000], 0, Partitioner(1000, 1, (1,))),  # images
        ([8000] * 12, 400, Partitioner(80, 3, (1,) * 12, 4)),
    ],
)
def test_targets_have_more_rows_where_there_are_many_small_ones(
    rows: list[int], row_bytes: int, expected: Partitioner
) -> None:
    assert Partitioner.for_rows(rows, 100, row_bytes=row_bytes) == expected


layouts = st.builds(
    Partitioner,
    st.integers(1, 9),
    st.integers(1, 7),
    st.lists(st.integers(1, 4), min_size=1).map(tuple),
)


@settings(deadline=None)
@given(layouts, st.integers(0, 2**32))
def test_a_file_is_of_one_partition_and_of_one_group(layout: Partitioner, seed: int) -> None:
    rng = np.random.default_rng(seed)
    identity = rng.integers(-(2**63), 2**63, 500)
    partition = rng.integers(0, len(layout.files_per_group), 500)
    file, target = layout.assign_files(partition, identity), layout.assign_targets(identity)
    assert file.min() >= 0
    assert file.max() < layout.files
    assert [layout.get_partition(f) for f in file.tolist()] == partition.tolist()
    group = target // layout.targets_per_group
    for number in set(file.tolist()):
        assert len(set(group[file == number].tolist())) == 1
    # of one key and partition there is one file, of one key one target
    assert layout.assign_files(partition[:1], identity[:1]) == file[:1]


def test_large_groups_and_few_of_them_are_dealt_out_again() -> None:
    assert Partitioner(1, 1, (1,)).fits_one_task(100, large=True)
    assert Partitioner(8, 12, (1,) * 12).fits_one_task(2, large=False)
    assert not Partitioner(8, 12, (1,) * 12).fits_one_task(2, large=True)
    assert not Partitioner(8, 12, (1,) * 12).fits_one_task(100, large=False)
    assert not Partitioner(8, 365, (1,) * 365).fits_one_task(2, large=False)
    assert Partitioner(8, 8, (1,) * 12, 4).fits_one_task(2, large=False)
    assert not Partitioner(8, 9, (1,) * 12, 4).fits_one_task(2, large=False)


@pytest.mark.spark
@pytest.mark.parametrize("tasks", [1, 8, 24])
def test_numbers_are_dealt_to_tasks_in_turn(spark: Any, tasks: int) -> None:
    import pyspark.sql.functions as F

    frame = spark.range(24).repartition(tasks, distribute_evenly(F.col("id"), tasks))
    counts = frame.groupBy(F.spark_partition_id().alias("task")).count().collect()
    assert sorted(row["count"] for row in counts) == [24 // tasks] * tasks


@pytest.mark.spark
def test_numbers_are_hashed_as_spark_does(spark: Any) -> None:
    import pyspark.sql.functions as F

    numbers = [0, 1, 2, -1, 12345, 2**31 - 1, -(2**31)]
    frame = spark.createDataFrame([(n,) for n in numbers], "n int")
    expected = [row[0] for row in frame.select(F.hash("n")).collect()]
    assert hash_like_spark(np.array(numbers, np.int32)).tolist() == expected


@pytest.mark.parametrize("tasks", [1, 7, 1024, 16_000])
def test_every_task_has_a_substitute(tasks: int) -> None:
    substitutes = find_substitutes(tasks)
    assert (hash_like_spark(substitutes).astype(np.int64) % tasks).tolist() == list(range(tasks))


@pytest.mark.spark
@pytest.mark.classic
def test_calls_of_the_jvm_do_not_grow_with_the_tasks(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import py4j.clientserver
    import pyspark.sql.functions as F

    calls = 0
    send_command = py4j.clientserver.JavaClient.send_command

    def count_and_send(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return send_command(*arguments, **options)

    monkeypatch.setattr(py4j.clientserver.JavaClient, "send_command", count_and_send)
    counted = []
    for tasks in (16, 256, 4096):
        calls = 0
        distribute_evenly(F.col("id"), tasks)
        counted.append(calls)
    assert counted[0] > 0
    assert max(counted) <= counted[0] + 20  # Python's collector may release objects of before


@pytest.mark.parametrize(
    ("rows_per_file", "row_bytes", "expected"),
    [
        (65_536, 2_000, 65_536),  # 125 MiB, of 200 columns
        (65_536, 5_000, 26_843),
        (65_536, 20_000, 6_710),  # of 2,000 columns: 128 MiB again
        (1_000, 20_000, 1_000),
        (65_536, 0, 65_536),  # lists and images have tasks of their own
        (65_536, 2**30, 1),
    ],
)
def test_a_file_of_wide_rows_has_fewer(rows_per_file: int, row_bytes: int, expected: int) -> None:
    assert limit_rows_per_file(rows_per_file, row_bytes) == expected

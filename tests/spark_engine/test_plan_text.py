"""What a plan's text says of rows; the texts are those of Spark 4.3, shortened."""

import pytest

from headrace.spark_engine.plan_text import drop_broadcast_sides, filters_rows, keeps_file_order

SCAN = """== Physical Plan ==
*(1) Project [x#1, xxhash64(_metadata#4.file_path, 42) AS file#9L]
+- *(1) ColumnarToRow
   +- FileScan parquet [x#1] PartitionFilters: [isnotnull(day#2), (day#2 = 1)], PushedFilters: []
"""
FILTERED = """== Physical Plan ==
*(1) Project [x#1]
+- *(1) Filter (isnotnull(x#1) AND (x#1 > 2.0))
   +- FileScan parquet [x#1] PartitionFilters: []
"""
UNION = """Union
:- *(1) Filter (x#1 > 2.0)
:  +- FileScan parquet [x#1]
+- *(2) Project [x#3]
   +- FileScan parquet [x#3]
"""
BROADCAST = """AdaptiveSparkPlan isFinalPlan=false
+- Project [x#1, height#5]
   +- BroadcastHashJoin [place#3], [place#4], LeftOuter, BuildRight, false
      :- Project [x#1, place#3]
      :  +- FileScan parquet [x#1,place#3]
      +- BroadcastExchange HashedRelationBroadcastMode(List(input[0, string, false]),false)
         +- Sort [place#4 ASC NULLS FIRST], false, 0
            +- Exchange hashpartitioning(place#4, 8)
"""
MERGED = """AdaptiveSparkPlan isFinalPlan=false
+- SortMergeJoin [place#3], [place#4], LeftOuter
   :- Sort [place#3 ASC NULLS FIRST], false, 0
   :  +- Exchange hashpartitioning(place#3, 8), ENSURE_REQUIREMENTS
   :     +- FileScan parquet [x#1,place#3]
   +- InMemoryTableScan [place#4, height#5]
"""


def test_a_scan_keeps_the_order_of_files() -> None:
    assert keeps_file_order(SCAN)
    assert keeps_file_order(UNION)


@pytest.mark.parametrize(
    "operator",
    [
        "Sort [x#1 ASC NULLS FIRST], true, 0",
        "Exchange RoundRobinPartitioning(3), REPARTITION_BY_NUM",
        "PhotonShuffleExchangeSource",
        "Window [count(1) windowspecdefinition(x#1)]",
        "ShuffledHashJoin [a#1], [b#2], LeftOuter",
        "CartesianProduct",
    ],
)
def test_what_moves_rows_does_not(operator: str) -> None:
    assert not keeps_file_order(f"*(2) Project [x#1]\n+- *(1) {operator}\n   +- FileScan parquet")


def test_only_operators_count_and_no_columns_of_their_names() -> None:
    assert keeps_file_order("Project [Sort#1, Window#2, Exchange#3]\n+- FileScan parquet [Sort#1]")
    assert not filters_rows("Project [Filter#1]\n+- FileScan parquet [Filter#1]")


def test_the_broadcast_side_of_a_join_is_none_of_the_rows_that_pass() -> None:
    assert not keeps_file_order(BROADCAST)
    assert keeps_file_order(drop_broadcast_sides(BROADCAST))
    assert drop_broadcast_sides(BROADCAST).splitlines()[-1].strip() == (
        ":  +- FileScan parquet [x#1,place#3]"
    )
    assert not keeps_file_order(drop_broadcast_sides(MERGED))


def test_what_stands_behind_a_broadcast_side_is_kept() -> None:
    plan = "Union\n:- BroadcastExchange x\n:  +- Sort a\n:- Sort b\n+- Scan"
    assert drop_broadcast_sides(plan) == "Union\n:- Sort b\n+- Scan"


def test_a_filter_looks_at_rows_and_partition_filters_at_folders() -> None:
    assert not filters_rows(SCAN)
    assert filters_rows(FILTERED)
    assert filters_rows(UNION)
    assert filters_rows("PhotonFilter (x#1 > 2)\n+- PhotonScan parquet")

"""Fifty steps with large tables: the weights of dense steps on one rank, on any number of ranks."""

from typing import Any

import numpy as np
import pytest

from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress

pytestmark = pytest.mark.e2e

SGD = {"optimizer": {"kind": "sgd", "learning_rate": 0.5}}
ADAGRAD = {"kind": "adagrad", "learning_rate": 0.1}
TOWERS = {
    "kind": "two_tower",
    "query": {"features": ["x", "h", "tags"], "hidden": [8]},
    "item": {"features": ["g"], "hidden": []},
    "vector_width": 4,
    "temperature": 0.5,
}
POLICIES: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    "adagrad": {"optimizer": ADAGRAD},
    "clip_norm": {"optimizer": {**ADAGRAD, "clip_norm": 0.01}},
    "clip_value": {"optimizer": {**ADAGRAD, "clip_value": 1e-4}},
    "accumulate": {**SGD, "accumulate": 5},
    "wide_deep": {**SGD, "model": {"kind": "wide_deep"}},
    "a table per feature": {**SGD, "model": {"kind": "dcn", "embeddings": {"shared": False}}},
    "two_tower": {**SGD, "model": TOWERS},
    # rows travel, and Keras updates all of them
    "momentum": {"optimizer": {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9}},
    "adam": {"optimizer": {"kind": "adam", "learning_rate": 1e-4}},
}
# The same at any number of ranks, and not as dense steps are.
LAZY: dict[str, dict[str, Any]] = {
    "rowwise": {"optimizer": {**ADAGRAD, "kind": "rowwise_adagrad"}},
    "lazy adam": {"optimizer": {"kind": "adam", "learning_rate": 0.01, "sparse": "lazy"}},
}
ROUNDED: dict[str, dict[str, Any]] = {
    "bf16": {**SGD, "compression": "bf16"},
    "fp16": {**SGD, "compression": "fp16"},
}
ALL = {**POLICIES, **LAZY, **ROUNDED}
# What has a table that may be split over ranks.
SHARDED = {name: p for name, p in ALL.items() if name not in ("momentum", "adam")}
Trained = dict[str, dict[str, Any]]


def train(ranks: int, collectives: str = "horovod", payload: Trained = ALL) -> Trained:
    task = RankTask("tests.train.table_steps:train_all", payload, collectives=collectives)
    return run_ranks(task, ranks, ignore_progress)


@pytest.fixture(scope="module")
def both_on_one_rank() -> Trained:
    dense = {f"dense {name}": {**policy, "sparse": False} for name, policy in ALL.items()}
    return train(1, payload={**ALL, **dense})


@pytest.fixture(scope="module")
def dense(both_on_one_rank: Trained) -> Trained:
    return {name: both_on_one_rank[f"dense {name}"] for name in ALL}


@pytest.fixture(scope="module")
def one_rank(both_on_one_rank: Trained) -> Trained:
    return {name: both_on_one_rank[name] for name in ALL}


@pytest.fixture(scope="module")
def two_ranks() -> Trained:
    return train(2)


@pytest.fixture(scope="module")
def sharded() -> Trained:
    return train(2, payload={n: {**p, "shard_above": 1} for n, p in SHARDED.items()})


def measure_distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    assert a["weights"].keys() == b["weights"].keys()
    return max(
        float(np.abs(np.subtract(a["weights"][path], b["weights"][path])).max())
        for path in a["weights"]
    )


def measure_moments(a: dict[str, Any], b: dict[str, Any]) -> float:
    pairs = zip(a["moments"], b["moments"], strict=True)
    return max(float(np.abs(np.subtract(x, y)).max()) for x, y in pairs)


@pytest.mark.parametrize("policy", POLICIES)
def test_sparse_steps_make_the_weights_of_dense_ones(
    dense: Trained, one_rank: Trained, two_ranks: Trained, policy: str
) -> None:
    assert dense[policy]["tables"] == []
    assert all(is_sparse for _, is_sparse, _ in one_rank[policy]["tables"])
    is_by_row = policy not in ("momentum", "adam")
    assert [by_row for *_, by_row in one_rank[policy]["tables"]] == [is_by_row] * len(
        one_rank[policy]["tables"]
    )
    for result in (one_rank, two_ranks):
        assert measure_distance(dense[policy], result[policy]) < 1e-6
        np.testing.assert_allclose(
            result[policy]["losses"], dense[policy]["losses"], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("policy", LAZY)
def test_lazy_steps_do_not_depend_on_ranks(
    dense: Trained, one_rank: Trained, two_ranks: Trained, policy: str
) -> None:
    """Whether a table is large or small, its rows are updated by the same rule."""
    assert [row[1:] for row in dense[policy]["tables"]] == [[False, True]] * 2
    assert [row[1:] for row in one_rank[policy]["tables"]] == [[True, True]] * 2
    for result in (one_rank, two_ranks):
        assert measure_distance(dense[policy], result[policy]) < 1e-6
        assert measure_moments(dense[policy], result[policy]) < 1e-5


@pytest.mark.parametrize("policy", ROUNDED)
def test_compressed_rows_are_near(one_rank: Trained, two_ranks: Trained, policy: str) -> None:
    limit = {"bf16": 5e-2, "fp16": 1e-3}[policy]
    assert 0 < measure_distance(one_rank[policy], two_ranks[policy]) < limit


@pytest.mark.parametrize("policy", SHARDED)
def test_sharded_tables_make_the_weights_of_whole_ones(
    two_ranks: Trained, sharded: Trained, policy: str
) -> None:
    """Each rank has half of the rows, and adds the same numbers in the same order."""
    found, expected = sharded[policy], two_ranks[policy]
    assert found["shards"]
    if policy in ("sgd", "adagrad", "lazy adam", "wide_deep", "accumulate", "bf16"):
        assert measure_distance(found, expected) == 0
        assert measure_moments(found, expected) == 0
    else:  # what decides over all rows together is summed by rank; a mean over a row is rounded by
        # how many rows there are
        assert measure_distance(found, expected) < 1e-6
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=0, atol=1e-6)
    for name in ("table_rows_per_update",):
        assert found["counts"][name] == expected["counts"][name]


def test_policies_do_something(one_rank: Trained) -> None:
    for policy in ("clip_norm", "clip_value"):
        assert measure_distance(one_rank["adagrad"], one_rank[policy]) > 1e-3
    assert measure_distance(one_rank["sgd"], one_rank["accumulate"]) > 1e-3


def test_the_cost_of_tables_is_counted_and_measured(
    dense: Trained, one_rank: Trained, two_ranks: Trained
) -> None:
    assert (dense["sgd"]["counts"], dense["sgd"]["seconds"]) == ({}, {})
    alone, both = one_rank["sgd"], two_ranks["sgd"]
    rows = alone["counts"]["table_rows_per_update"]
    # ids of two columns and three words of 64 rows, some of them more than once
    assert 64 < rows < 64 * 5
    assert both["counts"]["table_rows_per_update"] == rows
    assert alone["counts"]["table_bytes_per_update"] == 0
    assert alone["seconds"]["exchange"] == 0
    assert both["seconds"]["exchange"] > 0
    # a row of 16 numbers and its id; a rank sends at most what it looked up
    assert rows / 2 * 68 <= both["counts"]["table_bytes_per_update"] <= 32 * 5 * 68
    halved = two_ranks["bf16"]["counts"]["table_bytes_per_update"]
    assert halved / both["counts"]["table_bytes_per_update"] == pytest.approx(36 / 68, rel=0.02)
    for result in (alone, both):
        assert result["seconds"]["lookup"] > 0
        assert result["seconds"]["update"] > 0
    assert "update" not in one_rank["adam"]["seconds"]  # Keras's, of all rows


@pytest.mark.long
@pytest.mark.parametrize(
    ("ranks", "collectives"), [(4, "horovod"), (2, "tensorflow"), (4, "tensorflow")]
)
def test_any_collectives_and_four_ranks(
    dense: Trained, two_ranks: Trained, ranks: int, collectives: str
) -> None:
    sharded = {f"sharded {name}": {**p, "shard_above": 1} for name, p in SHARDED.items()}
    result = train(ranks, collectives, {**ALL, **sharded})
    for policy in (*POLICIES, *LAZY):
        assert measure_distance(dense[policy], result[policy]) < 1e-6, policy
    for policy in SHARDED.keys() - ROUNDED.keys():
        assert measure_distance(dense[policy], result[f"sharded {policy}"]) < 1e-6, policy
    for policy in ROUNDED:
        assert measure_distance(dense[policy], result[policy]) < 5e-2, policy


@pytest.mark.parametrize(
    "collectives", ["horovod", pytest.param("tensorflow", marks=pytest.mark.long)]
)
def test_rows_are_gathered_whatever_their_number(collectives: str) -> None:
    """Of several types, of another length on each rank and in each call, none among them."""
    lengths = [[3, 1, 2], [3, 1, 2], [0, 4, 0], [700, 0, 90], [0, 0, 0]]
    task = RankTask(
        "tests.train.table_steps:gather_rows", {"lengths": lengths}, collectives=collectives
    )
    result = run_ranks(task, 3, ignore_progress)
    for call, counts in enumerate(lengths):
        ids = [
            i + 100 * rank + 1000 * call for rank, count in enumerate(counts) for i in range(count)
        ]
        expected = [ids, [[float(i), float(-i)] for i in ids], [i % 7 for i in ids]]
        assert result["gathered"][call] == expected


@pytest.mark.parametrize(
    "collectives", ["horovod", pytest.param("tensorflow", marks=pytest.mark.long)]
)
def test_rows_are_exchanged_whatever_their_number(collectives: str) -> None:
    """Counts by sender and receiver: none, one way only, and more than fit one piece."""
    counts = [
        [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        [[0, 0, 0], [0, 0, 4], [0, 0, 0]],
        [[0, 0, 0]] * 3,
        [[0, 90, 1], [2, 0, 0], [80, 0, 0]],
    ]
    task = RankTask(
        "tests.train.table_steps:exchange_rows", {"counts": counts}, collectives=collectives
    )
    result = run_ranks(task, 3, ignore_progress)
    for rank in range(3):
        expected = []
        for table in counts:
            ids = [
                1000 * sender + 100 * rank + i
                for sender in range(3)
                for i in range(table[sender][rank])
            ]
            expected += [[ids, [table[sender][rank] for sender in range(3)]]] * 6
        assert result["received"][rank] == expected

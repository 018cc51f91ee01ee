"""Hashes and digests of columns are Spark's."""

import hashlib
import math
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.prepare.local.hashes import digest_texts, hash_columns

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 2000
ALPHABET = "ab\u00e9\u20ac\U0001f600 \t0123xyz\x00"


def draw_columns(seed: int) -> dict[str, pa.Array]:
    rng = random.Random(seed)

    def draw(make: Any) -> list[Any]:
        return [None if rng.random() < 0.1 else make() for _ in range(ROWS)]

    texts = draw(lambda: "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(90))))
    whole = draw(lambda: rng.choice([0, -1, 2**63 - 1, -(2**63), rng.randrange(-(2**63), 2**63)]))
    odd = [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324]
    reals = draw(lambda: rng.choice([*odd, rng.gauss(0, 1e9)]))
    return {
        "t": pa.array(texts, pa.string()),
        "i": pa.array(whole, pa.int64()),
        "r": pa.array(reals, pa.float64()),
        "b": pa.array(draw(lambda: rng.random() < 0.5), pa.bool_()),
        "s": pa.array(draw(lambda: rng.randrange(-(2**31), 2**31)), pa.int32()),
    }


@pytest.mark.spark
def test_they_are_those_of_spark(spark: "SparkSession") -> None:
    import pyspark.sql.functions as F

    columns = draw_columns(1)
    rows = list(zip(*(column.to_pylist() for column in columns.values()), strict=True))
    frame = spark.createDataFrame(rows, "t string, i long, r double, b boolean, s int")
    chosen = [["t"], ["i"], ["r"], ["b"], ["s"], ["t", "r", "i", "b", "s"], ["i", "t"]]
    expected = frame.select(*(F.xxhash64(*names) for names in chosen)).collect()
    for position, names in enumerate(chosen):
        hashed = hash_columns([columns[name] for name in names], ROWS)
        assert hashed.tolist() == [row[position] for row in expected], names


def test_known_values() -> None:
    """Of Spark 4: SELECT xxhash64('Spark'), xxhash64(42L), xxhash64('', 0D)."""
    assert hash_columns([pa.array(["Spark"])], 1).tolist() == [-4294468057691064905]
    assert hash_columns([pa.array([42])], 1).tolist() == [-6876166290308861218]
    assert hash_columns([pa.array([""]), pa.array([0.0])], 1).tolist() == [1172808402238552441]


def test_slices_and_nulls() -> None:
    texts = pa.array(["x", "abc", None, "abcdefgh"])
    whole = hash_columns([texts], 4)
    assert hash_columns([texts.slice(1, 2)], 2).tolist() == whole[1:3].tolist()
    assert whole[2] == 42  # the seed itself
    assert hash_columns([], 2).tolist() == [42, 42]
    assert hash_columns([pa.array([], pa.string())], 0).tolist() == []


def test_long_texts_take_no_multiple_of_their_bytes() -> None:
    texts = pa.array(["x" * 100_000] * 200)
    tracemalloc.start()
    try:
        hashed = hash_columns([texts], 200)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(hashed.tolist()) == {*hash_columns([pa.array(["x" * 100_000])], 1).tolist()}
    assert peak < 32 * 2**20  # of 20 MB; one index for all of their bytes would be 160


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="timestamp"):
        hash_columns([pa.array([0], pa.timestamp("us"))], 1)


def test_digests() -> None:
    key = [pa.array([5, None, -1]), pa.array(["a", "b", "\u00e9"])]
    digests = digest_texts(key, np.array([False, True, False])).to_pylist()
    assert digests[1] is None
    assert digests[0] == hashlib.sha256(b"5;1:a").digest()[:16]
    assert digests[2] == hashlib.sha256("-1;2:\u00e9".encode()).digest()[:16]

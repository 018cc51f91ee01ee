"""Check the hashes against the specification, and the split points against Spark's."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.propose.split_point import compute_split_points, hash_xxh64, write_key_texts


def test_hashes_of_the_specification() -> None:
    # From xxHash's own test vectors: the empty text, and texts of its doc's test suite.
    assert hash_xxh64(b"", 0) == 0xEF46DB3751D8E999
    assert hash_xxh64(b"a", 0) == 0xD24EC4F1A98C6E5B
    assert hash_xxh64(b"abc", 0) == 0x44BC2CF5AD770999


def test_points_are_those_of_the_keys_whatever_their_order() -> None:
    first, second, null = compute_split_points([("a", "b"), ("c", None), (None, None)], seed=1)
    assert compute_split_points([("c", None), ("a", "b"), ("c", None)], 1) == [
        second,
        first,
        second,
    ]
    assert 0 <= min(first, second, null) <= max(first, second, null) < 1
    assert len({first, second, null}) == 3
    assert compute_split_points([("a", "b")], seed=2) != [first]


@pytest.mark.spark
def test_rows_go_where_prepare_puts_them(spark: object, tmp_path: Path) -> None:
    from headrace.prepare.split import assign_split as spark_split
    from headrace.source.raw_schema import RawSchema
    from tests.tiny import tiny_recipe

    texts = ["", "a", "é" * 20, "x" * 31, "x" * 32, "y" * 33, "z" * 100, None, *map(str, range(60))]
    numbers = list(range(len(texts)))
    recipe = tiny_recipe(tmp_path, "split.key=[text, number]", "split.seed=7")
    frame = spark.createDataFrame(pa.table({"text": texts, "number": numbers}))
    splits = [
        row[0] for row in frame.select(spark_split(recipe, RawSchema.from_frame(frame))).collect()
    ]
    keys = [(text, str(number)) for text, number in zip(texts, numbers, strict=True)]
    points = compute_split_points(keys, 7)
    assert splits == np.digitize(points, [0.6, 0.8]).tolist()
    assert len(set(splits)) == 3


REALS = [
    0.0, -0.0, 1.0, 1.5, -2.25, 0.1, 1e-3, 9.99e-4, 1e-7, 1e6 + 0.5, 1.25e7 + 0.5, 1e15 + 0.5, 1e16,
    1e22, -1.5e300, 5e-320, float("nan"), float("inf"), -float("inf"), None, 123.456, 2**53 + 2.0,
]  # fmt: skip


@pytest.mark.spark
def test_texts_of_values_are_those_of_spark(spark: object) -> None:
    from headrace.source.keys import KEY_DEFINITION, write_key_text
    from headrace.source.raw_schema import RawSchema

    micros = [0, 86_400 * 10**6, 1_500_000, -1, -86_400 * 10**6, 10**15 + 120, None]
    columns = {
        "real": pa.array(REALS, pa.float64()),
        "time": pa.array((micros * 4)[: len(REALS)], pa.timestamp("us", "UTC")),
        "flag": pa.array(([True, False, None] * 8)[: len(REALS)]),
        "whole": pa.array(([1, -5, None] * 8)[: len(REALS)]),
    }
    frame = spark.createDataFrame(pa.table(columns))
    schema = RawSchema.from_frame(frame)
    for name, values in columns.items():
        texts = frame.select(write_key_text(name, schema, KEY_DEFINITION)).collect()
        assert write_key_texts(values) == [row[0] for row in texts], name

"""Arrow columns into arrays: exact values from any slice, and every breach of contract named."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import StreamError
from headrace.features.image import ImageFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.labels.spec import LabelSpec
from headrace.stream.columns import (
    Columns,
    build_feature_columns,
    list_baseline_columns,
    list_weight_columns,
)
from headrace.transform.spec import ModelInput, TransformSpec

FEATURES = (
    ScaledFeature(name="a", column="a", indicator=True),
    VocabularyFeature(name="v", column="v", values=("x",)),
    TokensFeature(name="t", column="t", length=3, values=("x",)),
    SeriesFeature(name="s", column="s", length=1),
    ImageFeature(name="i", column="i", height=2, width=1, channels=3),
)


def make_spec(**label: object) -> TransformSpec:
    return TransformSpec(raw=(), derived=(), features=FEATURES, label=LabelSpec(**label))


def make_table(first: int, rows: int) -> pa.Table:
    """Make a table whose every value follows from its row."""
    numbers = np.arange(first, first + rows)
    return pa.table(
        {
            "a": numbers.astype(np.float32),
            "a_missing": (numbers % 2).astype(np.float32),
            "v": numbers.astype(np.int32),
            "t": pa.array([[n, n + 1, 0] for n in numbers], pa.list_(pa.int32())),
            "s": pa.array([[n / 4] for n in numbers], pa.list_(pa.float32())),
            "i": pa.array([bytes([n] * 5 + [0]) for n in numbers], pa.binary(6)),
            "label": (-numbers).astype(np.float32),
        }
    )


def test_slices_and_chunks_give_the_rows_they_stand_for() -> None:
    columns = build_feature_columns(make_spec())
    chunked = pa.concat_tables([make_table(0, 10), make_table(10, 10)]).slice(7, 6)
    arrays = columns.allocate_arrays(9)
    columns.fill_arrays(arrays, 2, chunked)
    rows = np.arange(7, 13)
    inside = slice(2, 8)
    np.testing.assert_array_equal(arrays["numeric"][inside], np.stack([rows, rows % 2], 1))
    np.testing.assert_array_equal(arrays["categorical"][inside], rows[:, None])
    np.testing.assert_array_equal(arrays["t"][inside], np.stack([rows, rows + 1, 0 * rows], 1))
    np.testing.assert_array_equal(arrays["s"][inside], rows[:, None] / 4)
    np.testing.assert_array_equal(arrays["label"][inside], -rows)
    assert arrays["i"][2].tolist() == [[[7, 7, 7]], [[7, 7, 0]]]
    assert arrays["i"][7].tolist() == [[[12, 12, 12]], [[12, 12, 0]]]
    for name, array in arrays.items():
        assert not array[:2].any(), name
        assert not array[8:].any(), name


def test_dtypes_shapes_and_names() -> None:
    columns = build_feature_columns(
        make_spec(kind="classes", classes=("p", "q")), {"n": ("int64", "row_id")}
    )
    arrays = {name: (str(a.dtype), a.shape) for name, a in columns.allocate_arrays(4).items()}
    assert arrays == {
        "numeric": ("float32", (4, 2)),
        "categorical": ("int32", (4, 1)),
        "t": ("int32", (4, 3)),
        "s": ("float32", (4, 1)),
        "i": ("uint8", (4, 2, 1, 3)),
        "label": ("int32", (4,)),
        "n": ("int64", (4,)),
    }
    assert columns.list_names() == ["a", "a_missing", "v", "t", "s", "i", "label", "row_id"]
    assert columns.row_bytes == 8 + 4 + 12 + 4 + 6 + 4 + 8


def test_weight_and_baseline_are_read_where_rows_carry_them() -> None:
    assert list_weight_columns(make_spec()) == list_baseline_columns(make_spec()) == {}
    rich = make_spec(kind="regression", weighted=True, baseline=True)
    assert list_weight_columns(rich) == {"sample_weight": ("float32", "sample_weight")}
    assert list_baseline_columns(rich) == {"baseline": ("float32", "baseline")}
    columns = build_feature_columns(rich, list_weight_columns(rich))
    assert columns.arrays["sample_weight"] == ModelInput("float32", (), ("sample_weight",))


INT32, FLOAT32 = pa.int32(), pa.float32()


@pytest.mark.parametrize(
    ("array", "expected", "message"),
    [
        (pa.array([1.0, None], FLOAT32), ("float32", ()), "holds 1 nulls"),
        (pa.array([1.0, 2.0]), ("float32", ()), "has type double, expected float32"),
        (pa.array([1, 2]), ("int32", ()), "has type int64, expected int32"),
        (pa.array([[1, 2], [3]], pa.list_(INT32)), ("int32", (2,)), "lists of length 1"),
        # the sum of lengths is right, the lengths are not
        (pa.array([[1, 2, 3], [4]], pa.list_(INT32)), ("int32", (2,)), "lists of length 1"),
        (pa.array([[1, None], [3, 4]], pa.list_(INT32)), ("int32", (2,)), "nulls in lists"),
        (pa.array([[1, 2], None], pa.list_(INT32)), ("int32", (2,)), "holds 1 nulls"),
        (pa.array([[1, 2]], pa.list_(INT32)), ("float32", (2,)), r"list<item: int32>, expected"),
        (pa.array([1.0], FLOAT32), ("float32", (2,)), r"expected float32 of shape \(2,\)"),
        (pa.array([b"abcd"]), ("uint8", (2, 2, 1)), "has type binary"),
        (pa.array([b"abc"], pa.binary(3)), ("uint8", (2, 2, 1)), r"fixed_size_binary\[3\]"),
    ],
)
def test_breaches_of_contract(
    array: pa.Array, expected: tuple[str, tuple[int, ...]], message: str
) -> None:
    dtype, shape = expected
    columns = Columns({"x": ModelInput(dtype, shape, ("col",))})
    with pytest.raises(StreamError, match=f"column 'col' .*{message}"):
        columns.fill_arrays(columns.allocate_arrays(len(array)), 0, pa.table({"col": array}))


def test_a_scalar_among_several_is_checked_too() -> None:
    columns = Columns({"numeric": ModelInput("float32", (2,), ("a", "b"))})
    table = pa.table({"a": pa.array([1.0], FLOAT32), "b": pa.array([1], INT32)})
    with pytest.raises(StreamError, match=r"column 'b' has type int32, expected float32 of shape"):
        columns.fill_arrays(columns.allocate_arrays(1), 0, table)


CHECKED = Columns(
    {
        "f": ModelInput("float32", (), ("f",)),
        "n": ModelInput("int64", (), ("n",)),
        "image": ModelInput("uint8", (3, 1, 1), ("image",)),
        "pair": ModelInput("int32", (2,), ("a", "b")),
    }
)


def test_checksums_worked_out_by_hand() -> None:
    """Sums of words of four bytes; of bytes where a row's values are no whole words."""
    arrays = {
        "f": np.array([1.0, 2.0, 0.0], np.float32),
        "n": np.array([1, 2**32, 5], np.int64),
        "image": np.array([[1, 2, 3], [255, 0, 1], [0, 0, 0]], np.uint8).reshape(3, 3, 1, 1),
        "pair": np.array([[1, 10], [2, -1], [0, 0]], np.int32),
    }
    assert CHECKED.compute_checksums(arrays) == {
        "f": 0x3F80_0000 + 0x4000_0000,  # the bits of 1.0 and of 2.0
        "n": 1 + 1 + 5,  # low words 1, 0, 5 and high words 0, 1, 0
        "image": 262,
        "pair": 12,  # 1 + 10 + 2 + (2**32 - 1), modulo 2**32
    }
    shuffled = {name: np.ascontiguousarray(array[[2, 0, 1]]) for name, array in arrays.items()}
    assert CHECKED.compute_checksums(shuffled) == CHECKED.compute_checksums(arrays)


def test_checksums_of_the_shards_of_a_batch_stack() -> None:
    # 2 steps, 3 shards, one row of each in a batch
    stack = {
        "f": np.zeros((2, 3), np.float32),
        "n": np.array([[1, 2, 3], [10, 20, 2**32]], np.int64),
        "image": np.full((2, 3, 3, 1, 1), 100, np.uint8),
        "pair": np.array([[[1, 2], [3, 4], [5, 6]], [[10, 20], [30, 40], [-1, 0]]], np.int32),
    }
    checksums = CHECKED.compute_shard_checksums(stack, 3)
    assert {name: sums.tolist() for name, sums in checksums.items()} == {
        "f": [0, 0, 0],
        "n": [11, 22, 4],
        "image": [600, 600, 600],
        "pair": [33, 77, 10],  # 5 + 6 + (2**32 - 1), modulo 2**32
    }


def test_recorded_checksums_of_columns_give_those_of_arrays() -> None:
    recorded = {"a": [7, 2**32 - 1], "b": [8, 5], "n": [1, 2]}
    assert CHECKED.combine_checksums(recorded, 0) == {"n": 1, "pair": 15}
    assert CHECKED.combine_checksums(recorded, 1) == {"n": 2, "pair": 4}
    assert CHECKED.combine_checksums({"a": [7]}, 0) == {}  # without b there is none for the pair

"""Arrow columns into arrays: exact values from any slice, and every breach of contract named."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import StreamError
from headrace.stream.columns import (
    Columns,
    baseline_columns,
    feature_columns,
    weight_columns,
)
from headrace.transform.spec import (
    ImageFeature,
    LabelSpec,
    ModelInput,
    ScaledFeature,
    SeriesFeature,
    TokensFeature,
    TransformSpec,
    VocabularyFeature,
)

FEATURES = (
    ScaledFeature(name="a", column="a", indicator=True),
    VocabularyFeature(name="v", column="v", values=("x",)),
    TokensFeature(name="t", column="t", length=3, values=("x",)),
    SeriesFeature(name="s", column="s", length=1),
    ImageFeature(name="i", column="i", height=2, width=1, channels=3),
)


def spec(**label: object) -> TransformSpec:
    return TransformSpec(raw=(), derived=(), features=FEATURES, label=LabelSpec(**label))


def table(first: int, rows: int) -> pa.Table:
    """Every value tells its row."""
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
    columns = feature_columns(spec())
    chunked = pa.concat_tables([table(0, 10), table(10, 10)]).slice(7, 6)
    arrays = columns.empty(9)
    columns.fill(arrays, 2, chunked)
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
    columns = feature_columns(spec(kind="classes", classes=("p", "q")), {"n": ("int64", "row_id")})
    found = {name: (str(a.dtype), a.shape) for name, a in columns.empty(4).items()}
    assert found == {
        "numeric": ("float32", (4, 2)),
        "categorical": ("int32", (4, 1)),
        "t": ("int32", (4, 3)),
        "s": ("float32", (4, 1)),
        "i": ("uint8", (4, 2, 1, 3)),
        "label": ("int32", (4,)),
        "n": ("int64", (4,)),
    }
    assert columns.names() == ["a", "a_missing", "v", "t", "s", "i", "label", "row_id"]
    assert columns.row_bytes == 8 + 4 + 12 + 4 + 6 + 4 + 8


def test_weight_and_baseline_are_read_where_rows_carry_them() -> None:
    assert weight_columns(spec()) == baseline_columns(spec()) == {}
    rich = spec(kind="regression", weighted=True, baseline=True)
    assert weight_columns(rich) == {"sample_weight": ("float32", "sample_weight")}
    assert baseline_columns(rich) == {"baseline": ("float32", "baseline")}
    columns = feature_columns(rich, weight_columns(rich))
    assert columns.arrays["sample_weight"] == ModelInput("float32", (), ("sample_weight",))


INT32, FLOAT32 = pa.int32(), pa.float32()


@pytest.mark.parametrize(
    ("array", "wanted", "message"),
    [
        (pa.array([1.0, None], FLOAT32), ("float32", ()), "holds 1 nulls"),
        (pa.array([1.0, 2.0]), ("float32", ()), "has type double, expected float32"),
        (pa.array([1, 2]), ("int32", ()), "has type int64, expected int32"),
        (pa.array([[1, 2], [3]], pa.list_(INT32)), ("int32", (2,)), "lists of length 1"),
        # the sum of lengths is right, the lengths are not
        (pa.array([[1, 2, 3], [4]], pa.list_(INT32)), ("int32", (2,)), "lists of length 1"),
        (pa.array([[1, None], [3, 4]], pa.list_(INT32)), ("int32", (2,)), "nulls in its lists"),
        (pa.array([[1, 2], None], pa.list_(INT32)), ("int32", (2,)), "holds 1 nulls"),
        (pa.array([[1, 2]], pa.list_(INT32)), ("float32", (2,)), r"list<item: int32>, expected"),
        (pa.array([1.0], FLOAT32), ("float32", (2,)), r"expected float32 of shape \(2,\)"),
        (pa.array([b"abcd"]), ("uint8", (2, 2, 1)), "has type binary"),
        (pa.array([b"abc"], pa.binary(3)), ("uint8", (2, 2, 1)), r"fixed_size_binary\[3\]"),
    ],
)
def test_breaches_of_contract(
    array: pa.Array, wanted: tuple[str, tuple[int, ...]], message: str
) -> None:
    dtype, shape = wanted
    columns = Columns({"x": ModelInput(dtype, shape, ("col",))})
    with pytest.raises(StreamError, match=f"column 'col' .*{message}"):
        columns.fill(columns.empty(len(array)), 0, pa.table({"col": array}))


def test_a_scalar_among_several_is_checked_too() -> None:
    columns = Columns({"numeric": ModelInput("float32", (2,), ("a", "b"))})
    wrong = pa.table({"a": pa.array([1.0], FLOAT32), "b": pa.array([1], INT32)})
    with pytest.raises(StreamError, match=r"column 'b' has type int32, expected float32 of shape"):
        columns.fill(columns.empty(1), 0, wrong)

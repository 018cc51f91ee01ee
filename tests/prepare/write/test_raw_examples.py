"""Raw rows that go with a dataset."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prepare.write.raw_examples import join_examples, pack_examples
from headrace.transform.spec import RawColumn, TransformSpec

SPEC = TransformSpec(
    raw=(
        RawColumn(name="word", kind="string", nullable=True),
        RawColumn(name="at", kind="timestamp", nullable=False),
    ),
    derived=(),
    features=(),
    label={"kind": "binary"},
)


def rows(first: int, count: int) -> pa.Table:
    return pa.table(
        {
            "at": pa.array([first + n for n in range(count)], pa.int64()),  # microseconds
            "word": pa.array([f"w{first + n}" for n in range(count)]).dictionary_encode(),
            "unused": [0] * count,
        }
    )


def read(blob: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(blob))


def test_rows_are_picked_from_all_over() -> None:
    blob = join_examples([pack_examples(rows(0, 101), SPEC, 3)], 10)
    assert blob is not None
    table = read(blob)
    assert table["word"].to_pylist() == ["w0", "w50", "w100"]
    assert table.schema.names == ["word", "at"]
    assert table["word"].type == pa.string()
    assert table["at"].type == pa.timestamp("us", "UTC")
    assert table["at"].cast(pa.int64()).to_pylist() == [0, 50, 100]


def test_no_row_is_picked_twice() -> None:
    blob = join_examples([pack_examples(rows(0, 2), SPEC, 5)], 10)
    assert read(blob)["word"].to_pylist() == ["w0", "w1"]  # type: ignore[arg-type]


def test_the_first_rows_of_all_samples_are_joined() -> None:
    blobs = [pack_examples(rows(first, 2), SPEC, 2) for first in (0, 10, 20)]
    assert read(join_examples(blobs, 3))["word"].to_pylist() == ["w0", "w1", "w10"]  # type: ignore[arg-type]
    assert join_examples([], 3) is None

"""The split of a row: by the hash of its key, or by its time."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import from_arrow_schema

from headrace.prepare.split import KEY_SEPARATOR, MISSING_KEY, SPLIT_STEPS, assign_split
from headrace.propose.split_point import hash_xxh64
from headrace.source.raw_schema import RawSchema
from tests.tiny import tiny_recipe

pytestmark = pytest.mark.spark


def splits(spark: object, rows: pa.Table, workdir: Path, *overrides: str) -> list[int]:
    recipe = tiny_recipe(workdir, *overrides)
    values = [tuple(row.values()) for row in rows.to_pylist()]
    frame = spark.createDataFrame(values, from_arrow_schema(rows.schema)).coalesce(1)
    split = assign_split(recipe, RawSchema.from_frame(frame), crossing=9)
    return [row[0] for row in frame.select(split).collect()]


def expected_split(*key: str | None) -> int:
    """By hand: seed 3, fractions 0.6 and 0.2; 42 is the seed of Spark's xxhash64."""
    words = ["3", *(MISSING_KEY if word is None else word for word in key)]
    signed = hash_xxh64(KEY_SEPARATOR.join(words).encode(), 42)
    signed -= 2**64 if signed >= 2**63 else 0
    point = signed % SPLIT_STEPS
    return 0 if point < 600_000 else 1 if point < 800_000 else 2


def test_by_key(spark: object, tmp_path: Path) -> None:
    keys = [("a", 1), ("a", 2), (None, 1), ("b", None), ("ab", 1), *(("c", n) for n in range(40))]
    rows = pa.table(
        {
            "word": pa.array([word for word, _ in keys]),
            "number": pa.array([number for _, number in keys], pa.int32()),
        }
    )
    assigned = splits(spark, rows, tmp_path, "split.key=[word, number]")
    expected = [expected_split(w, None if n is None else str(n)) for w, n in keys]
    assert assigned == expected
    assert set(assigned) == {0, 1, 2}
    wider = rows.set_column(1, "number", rows["number"].cast(pa.int64()))
    assert splits(spark, wider, tmp_path, "split.key=[word, number]") == assigned


def test_without_a_test_split_nothing_is_in_it(spark: object, tmp_path: Path) -> None:
    rows = pa.table({"day": range(100)})
    fractions = "split.fractions={train: 0.5, validation: 0.5, test: 0}"
    assert set(splits(spark, rows, tmp_path, fractions)) == {0, 1}


TIMES = ["2020-01-01", "2020-01-31T23:59:59", "2020-02-01", "2020-02-29", "2020-03-01"]
BY_TIME = "split={time: {column: at, validation_from: '2020-02-01', test_from: '2020-03-01'}}"


def test_by_time(spark: object, tmp_path: Path) -> None:
    rows = pa.table({"at": TIMES})
    assert splits(spark, rows, tmp_path, BY_TIME) == [0, 0, 1, 1, 2]


def test_a_window_over_a_boundary_is_in_no_split(spark: object, tmp_path: Path) -> None:
    """Two steps of a day: a window has the day before, its target is the day after."""
    windows = (
        "source.windows={key: [shop], order: at, step: 86400, past: 2, ahead: 1, "
        "columns: {past: amount}, targets: {later: amount}}"
    )
    days = ["2020-01-30", "2020-01-31", "2020-02-01", "2020-02-02", "2020-02-29", "2020-03-02"]
    rows = pa.table({"at": days})
    assert splits(spark, rows, tmp_path, BY_TIME, windows) == [0, 9, 9, 1, 9, 2]

"""Broken lakes: each a clear error that names table and column, and nothing published."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from tests import tiny
from tests.prepare.tiny_builds import build_anew, has_published_nothing, write_visits

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark", "tiny_lake")]


def change(name: str, column: str, values: pa.Array | None) -> callable:
    def apply(workdir: Path) -> None:
        path = workdir / "lake" / name / "part-0.parquet"
        table = pq.read_table(path)
        index = table.column_names.index(column)
        table = table.remove_column(index)
        if values is not None:
            table = table.add_column(index, column, values)
        pq.write_table(table, path)

    return apply


def remove(name: str) -> callable:
    return lambda workdir: (workdir / "lake" / name / "part-0.parquet").unlink()


def corrupt(name: str) -> callable:
    return lambda workdir: (workdir / "lake" / name / "part-0.parquet").write_bytes(b"junk" * 99)


def nulls(kind: pa.DataType) -> pa.Array:
    return pa.nulls(tiny.ROWS, kind)


@pytest.mark.parametrize(
    ("breakage", "overrides", "message"),
    [
        (
            lambda w: None,
            ["source.tables.visits.path=/nope/x"],
            "table 'visits': there is nothing at /nope/x",
        ),
        (remove("shops"), [], "table 'shops': there is (no file|nothing) at"),
        (corrupt("visits"), [], "table 'visits' .*part-0.parquet is not a readable Parquet file"),
        (
            lambda w: write_visits(w, tiny.visits().slice(0, 0)),
            [],
            "table 'visits' at .* is empty: 0 rows",
        ),
        (
            change("visits", "amount", None),
            [],
            "column 'amount' is missing .needed by features.amount",
        ),
        (
            change("visits", "amount", pa.array(["x"] * tiny.ROWS)),
            [],
            "column 'amount' has type string, expected boolean or integer or real",
        ),
        (
            change("visits", "clock", pa.array([1.5] * tiny.ROWS)),
            [],
            r"column 'clock' has type real, expected integer .needed by derive.hour",
        ),
        (
            change("visits", "shop", pa.array([[1]] * tiny.ROWS, pa.list_(pa.int32()))),
            [],
            r"'shop' has type list.integer., expected",
        ),
        (
            change("visits", "shop", nulls(pa.int64())),
            [],
            "'shop' is integer in 'visits' and string in",
        ),
        (change("visits", "day", None), [], "column 'day' is missing .needed by split.key"),
        (
            change("visits", "visit", None),
            [],
            "column 'visit' is missing .needed by clean.dedup.key",
        ),
        (change("shops", "size", None), [], "table 'shops': column 'size' is missing"),
        (
            lambda w: None,
            ["source.joins.0.columns={day: size}"],
            "'visits' has its own column 'day'",
        ),
        (
            lambda w: None,
            ["label.expression=latee"],
            "label.expression: reads 'latee', and there is no such column .did you mean late",
        ),
        (lambda w: None, ["label.expression=(("], "label.expression .*: .*[Ss]yntax error"),
        (lambda w: None, ["label.expression=visit"], "has type bigint, expected boolean"),
        (lambda w: None, ["label.expression=visit < 0"], "every label of the train split is false"),
        (
            change("visits", "late", nulls(pa.bool_())),
            [],
            "no row is left to train on.*label is null: 600",
        ),
        (
            change("visits", "day", nulls(pa.int64())),
            ["split.fractions={train: 0.000001, validation: 0.5, test: 0.499999}"],
            "no row is left to train on.*all rows with one key share a split",
        ),
        (
            lambda w: None,
            ["source.tables.visits.partitions=nope = 1"],
            "visits.partitions: reads 'nope', and there is no such column",
        ),
        (lambda w: None, ["unavailable=[amuont]"], "column 'amuont' is missing .needed by unavail"),
        (
            lambda w: None,
            ["source.tables.visits.partitions=visit < 0"],
            "partitions .visit < 0. uses columns that are no partition",
        ),
    ],
)
def test_bad_lakes(tmp_path: Path, breakage: callable, overrides: list[str], message: str) -> None:
    breakage(tmp_path)
    with pytest.raises(LakeError, match=message) as caught:
        build_anew(tmp_path, *overrides)
    # Columns that are nowhere, and what is no SQL, no later night mends.
    of_recipe = re.search(
        "is missing|no such column|yntax error|label.* has type", str(caught.value)
    )
    assert caught.value.exit_code == (2 if of_recipe else 1)
    assert "\tat " not in str(caught.value)  # no Java stack
    assert has_published_nothing(tmp_path)


def test_all_contract_violations_come_at_once(tmp_path: Path) -> None:
    change("visits", "amount", None)(tmp_path)
    change("shops", "size", None)(tmp_path)
    with pytest.raises(LakeError) as caught:
        build_anew(tmp_path)
    assert str(caught.value).count("\n  - ") == 2


def test_a_join_key_with_two_rows_is_an_error_with_examples(tmp_path: Path) -> None:
    doubled = pa.concat_tables([tiny.shops(), tiny.shops().slice(0, 1)])
    pq.write_table(doubled, tmp_path / "lake" / "shops" / "part-0.parquet")
    with pytest.raises(LakeError, match=r"'shops' has several rows .*shop='a' has 2 rows"):
        build_anew(tmp_path)
    assert has_published_nothing(tmp_path)

"""Types that are known before Spark starts, and literals that are held to them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

import headrace.prepare.run
from headrace.errors import LakeError
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe.sections import Table
from headrace.schema import ColumnType
from headrace.source.list_table import list_table
from headrace.source.listed_types import find_listed_types, refuse_other_literals
from tests import tiny

ROWS = pa.table(
    {
        "whole": pa.array([1], pa.int32()),
        "real": [0.5],
        "text": ["a"],
        "flag": [True],
        "day": pa.array([0], pa.date32()),
        "price": pa.array([1], pa.decimal128(10, 2)),
        "list": [[1]],
    }
)
KNOWN = {
    "whole": ColumnType.INTEGER, "real": ColumnType.REAL, "text": ColumnType.STRING,
    "flag": ColumnType.BOOLEAN, "day": ColumnType.TIMESTAMP, "price": ColumnType.REAL,
}  # fmt: skip


def find_types(folder: Path, **settings: Any) -> dict[str, ColumnType]:
    table = Table(path=str(folder), **settings)
    return find_listed_types(table, list_table(table, {}))


def test_types_of_footers_and_logs(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "a.parquet")
    assert find_types(tmp_path) == KNOWN
    write_deltalake(tmp_path / "delta", ROWS)
    assert find_types(tmp_path / "delta") == KNOWN


def test_types_of_files_that_differ_are_those_that_hold_all_values(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "a.parquet")
    pq.write_table(pa.table({"whole": [0.5], "text": [1]}), tmp_path / "b.parquet")
    found = find_types(tmp_path)
    assert found["whole"] is ColumnType.REAL
    assert found["text"] is ColumnType.STRING  # nobody wants it yet, and a text says both


def test_what_spark_alone_would_tell_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "whole=01").mkdir()
    pq.write_table(ROWS, tmp_path / "whole=01" / "a.parquet")
    assert "whole" not in find_types(tmp_path)
    assert find_types(tmp_path, columns={"whole": "string"})["whole"] is ColumnType.STRING
    assert find_listed_types(Table(table="db.t", columns={"a": "date"}), None) == {
        "a": ColumnType.TIMESTAMP
    }


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{kind: in, column: shop, values: [a, b]}", None),
        (
            "{kind: in, column: visit, values: [1, x]}",
            r"rules\.0\.values\.1: column 'visit' is int",
        ),
        (
            "{kind: range, column: size, min: low}",
            r"rules\.0\.min: column 'size' is real, and 'low",
        ),
        ("{kind: range, column: note, max: 5}", r"rules\.0\.max: column 'note' is string, and 5"),
    ],
)
def test_a_literal_of_another_type_is_refused_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, words: str | None
) -> None:
    tiny.write_tiny_lake(tmp_path / "lake")

    def start_spark(*_: Any) -> None:
        raise RuntimeError("Spark starts")

    monkeypatch.setattr(headrace.prepare.run, "_start_spark", start_spark)
    recipe = tiny.tiny_recipe(tmp_path, f"clean.rules=[{rule}]")
    error, expected = (LakeError, words) if words else (RuntimeError, "Spark starts")
    with pytest.raises(error, match=expected):
        prepare(recipe, workdir=str(tmp_path), report=ignore_progress)


def test_a_column_that_a_join_replaces_is_not_held_to_its_old_type(
    tmp_path: Path,
) -> None:
    tiny.write_tiny_lake(tmp_path / "lake")
    rule = "clean.rules=[{kind: range, column: note, max: 5}]"
    join = "source.joins.0.columns={size: size, note: size}"
    for overrides, is_real in (([rule, join], True), ([rule], False)):
        recipe = tiny.tiny_recipe(tmp_path, *overrides)
        tables = {name: list_table(table, {}) for name, table in recipe.source.tables.items()}
        if is_real:
            refuse_other_literals(recipe, tables["visits"], {"shops": tables["shops"]})
            refuse_other_literals(recipe, tables["visits"], {})  # only Spark knows the joined one
        else:
            with pytest.raises(LakeError, match="'note' is string"):
                refuse_other_literals(recipe, tables["visits"], {"shops": tables["shops"]})

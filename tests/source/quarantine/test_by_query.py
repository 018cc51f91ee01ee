"""Rejected rows, found by another query over the table."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LedgerError
from headrace.recipe.lake_sections import Table
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.quarantine.by_query import select_rejected, write_quarantine
from headrace.source.rules import CheckedRows, check_rows
from headrace.source.tables import RawTable, open_table
from tests.tiny import tiny_recipe

X_ALONE = NeededColumns.from_names(["x"])

pytestmark = pytest.mark.spark


def checked(spark: Any, folder: Path, rows: pa.Table) -> tuple[CheckedRows, RawTable]:
    """Check rows whose `x` is declared real, and is 5 at most."""
    pq.write_table(rows, folder / "a.parquet")
    table = Table(path=str(folder), columns={"x": "real"})
    main = open_table(spark, "t", table, X_ALONE, list_table(table, {}))
    rule = "clean.rules=[{kind: range, column: x, max: 5}]"
    recipe = tiny_recipe(folder, rule, "features={amount: {kind: standardize}}", "derive={}")
    return check_rows(main.frame, main.schema, recipe, main), main


def read_quarantine(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / "_headrace" / "B" / "quarantine").glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_rows_are_kept_as_they_were_read(spark: object, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    rows = pa.table({"x": ["1", "9.50", "nine", None], "a.b": [1, 2, 3, 4]})
    parts = checked(spark, tmp_path / "lake", rows)
    write_quarantine(*parts, root=str(tmp_path), build_id="B", expected=2)
    assert read_quarantine(tmp_path) == [
        {
            "x": "9.50", "a.b": 2, "quarantine_rules": ["range(x)"],
            "quarantine_reasons": ["x: '9.5' is above 5"],
        },
        {
            "x": "nine", "a.b": 3, "quarantine_rules": ["x is real"],
            "quarantine_reasons": ["x: 'nine' is no real"],
        },
    ]  # fmt: skip


def test_a_table_that_changed_since_rows_were_counted(spark: object, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    parts = checked(spark, tmp_path / "lake", pa.table({"x": ["9"]}))
    with pytest.raises(LedgerError, match=r"^1 rows were written to the quarantine and 3 were"):
        write_quarantine(*parts, root=str(tmp_path), build_id="B", expected=3)


@pytest.mark.classic
def test_the_query_for_rejected_rows_is_compiled(spark: Any, tmp_path: Path) -> None:
    """A method of more than 8,000 bytes is not: of 5 million rows of 41 columns, two of them texts
    of numbers, this query then took 24.7 s of CPU in the JVM, and 3.6 s otherwise."""
    (tmp_path / "lake").mkdir()
    rows = {f"c{i}": pa.array([str(i)] if i % 3 else [0.5]) for i in range(38)}
    pq.write_table(pa.table({"x": ["1"], "y": ["2"], **rows}), tmp_path / "lake" / "a.parquet")
    table = Table(path=str(tmp_path / "lake"), columns={"x": "real", "y": "real"})
    needed = NeededColumns.from_names(["x", "y", *rows])
    main = open_table(spark, "t", table, needed, list_table(table, {}))
    recipe = tiny_recipe(tmp_path, "features={x: {kind: standardize}}", "derive={}")
    query = select_rejected(check_rows(main.frame, main.schema, recipe, main), main)
    plan = query._jdf.queryExecution().executedPlan()
    stages = spark._jvm.org.apache.spark.sql.execution.debug.package.codegenStringSeq(plan)
    sizes = [stages.apply(i)._3().maxMethodCodeSize() for i in range(stages.size())]
    assert 0 < max(sizes) <= 8000

"""Tables that are opened without Spark, and those that are left to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.prepare.local.assign import make_assigner
from headrace.prepare.plan import make_plan
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.table import open_local_table
from tests.prepare.local.plain_table import make_recipe

COLUMNS = {"id": [1, 2], "y": [0, 1], "x": [0.5, 1.0], "text": ["a", "b"]}


def write(lake: Path, name: str = "part-0.parquet", **columns: Any) -> None:
    path = lake / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**COLUMNS, **columns}), path)


def open_table(lake: Path, **changes: Any) -> Any:
    recipe = make_recipe(lake, "/dataset", **changes)
    return open_local_table(recipe, make_plan(recipe, None))


def test_columns_and_files(tmp_path: Path) -> None:
    write(tmp_path, "day=2026-01-01/a.parquet", x=pa.array([1, 2], pa.float32()))
    write(tmp_path, "day=2026-01-02/a.parquet", id=pa.array([1, 2], pa.int8()), extra=[1, 2])
    table = open_table(tmp_path)
    assert dict(table.columns.schema.sql_types) == {
        "id": "bigint", "y": "bigint", "x": "double", "text": "string", "extra": "bigint",
        "day": "date", FILE: "bigint", POSITION: "bigint",
    }  # fmt: skip
    assert table.columns.partition_columns == ["day"]
    assert table.raw.read == {"day=2026-01-01": 2, "day=2026-01-02": 2}
    assert table.raw.partition_index.names == ("day=2026-01-01", "day=2026-01-02")
    assert [Path(file.path).name for file in table.files.values()] == ["a.parquet"] * 2


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_files_are_found_by_path_or_url(tmp_path: Path, scheme: str) -> None:
    write(tmp_path / "a b%20c")
    source = {"tables": {"t": {"path": f"{scheme}{tmp_path}/a b%20c"}}, "main": "t"}
    table = open_table(tmp_path, source=source)
    assert [file.path for file in table.files.values()] == [f"{tmp_path}/a b%20c/part-0.parquet"]


@pytest.mark.parametrize(
    ("folders", "kind"),
    [
        (["hour=0", "hour=12"], "int"), (["day=2026-01-01"], "date"),
        (["place=abc", "place=d"], "string"),
    ],
)  # fmt: skip
def test_types_of_folders(tmp_path: Path, folders: list[str], kind: str) -> None:
    for folder in folders:
        write(tmp_path, f"{folder}/a.parquet")
    name = folders[0].partition("=")[0]
    assert open_table(tmp_path).columns.schema.sql_types[name] == kind


@pytest.mark.parametrize(
    "folders",
    [
        ["hour=07"], ["hour=99999999999"], ["x1=1.5"], ["n=nan"], ["t=2026-01-01 10:00"],
        ["d=2026-13-01"], ["n=1", "n=a"], ["n=__HIVE_DEFAULT_PARTITION__"], ["a=1", "b=1"],
        ["n=1d"], ["x=1"],
    ],
)  # fmt: skip
def test_folders_that_are_left_to_spark(tmp_path: Path, folders: list[str]) -> None:
    for folder in folders:
        write(tmp_path, f"{folder}/a.parquet")
    with pytest.raises((NeedsSparkError, LakeError)):
        open_table(tmp_path)


def table_of(**columns: Any) -> Callable[[Path], None]:
    return lambda lake: write(lake, **columns)


def write_two_types(lake: Path) -> None:
    write(lake, "a.parquet", x=["1", "2"])
    write(lake, "b.parquet")


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (table_of(x=pa.array([1, 2], pa.decimal128(5, 2))), {}),
        (table_of(x=[None, None]), {}),
        (table_of(text=pa.array([b"a", b"b"])), {}),
        (table_of(x=[[1.0], [2.0]]), {"features": {"x": {"kind": "series", "length": 1}}}),
        (table_of(text=[1, 2], x=["a", "b"]), {}),
        (table_of(), {"source": {"where": "x > 0"}}),
        (table_of(), {"source": {"read_with": "spark"}}),
        (table_of(), {"source": {"options": {"mergeSchema": True}}}),
        (table_of(), {"source": {"columns": {"x": "string"}}}),
        (
            table_of(x=["Jan 1 2026", "Feb 1 2026"]),
            {"source": {"columns": {"x": "date(MMM d yyyy)"}}},
        ),
    ],
)  # fmt: skip
def test_what_is_left_to_spark(
    tmp_path: Path, make: Callable[[Path], None], changes: dict[str, Any]
) -> None:
    make(tmp_path)
    source = {"tables": {"t": {"path": str(tmp_path), **changes.pop("source", {})}}, "main": "t"}
    with pytest.raises(NeedsSparkError):
        open_table(tmp_path, **{"source": source, **changes})


def test_joined_tables_are_left_to_spark(tmp_path: Path) -> None:
    write(tmp_path / "t")
    write(tmp_path / "other")
    tables = {"t": {"path": str(tmp_path / "t")}, "other": {"path": str(tmp_path / "other")}}
    joins = [{"table": "other", "key": ["id"], "columns": {"z": "x"}}]
    with pytest.raises(NeedsSparkError, match="joined"):
        open_table(tmp_path, source={"tables": tables, "main": "t", "joins": joins})


def test_a_contract_that_is_broken_is_no_matter_of_the_engine(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(LakeError, match="'missing' is missing"):
        open_table(tmp_path, features={"missing": {"kind": "standardize"}})


@pytest.mark.parametrize(
    "changes",
    [
        {"clean": {"rules": [{"kind": "not_null", "columns": ["x"]}]}},
        {"clean": {"dedup": {"key": ["x"]}}},
        {"split": {"key": ["b"]}},
        {"split": {"time": {"column": "at", "validation_from": "-2 days", "test_from": "-1 days"}}},
        {"label": {"expression": "x + 1 > 1", "kind": "binary"}},
        {"label": {"expression": "array(text)", "kind": "multi_label"}},
    ],
)
def test_recipes_that_are_left_to_spark(tmp_path: Path, changes: dict[str, Any]) -> None:
    import datetime

    days = [datetime.datetime(2026, 1, day) for day in (1, 2)]
    write(tmp_path, at=pa.array(days, pa.timestamp("us")), b=[True, False])
    features = {"id": {"kind": "standardize"}}
    recipe = make_recipe(tmp_path, "/dataset", **{"features": features, **changes})
    table = open_local_table(recipe, make_plan(recipe, None))
    with pytest.raises(NeedsSparkError):
        make_assigner(recipe, table.columns, {}, {"id": "integer"}, None)

"""Tables of a catalog: files that spell columns otherwise, texts filled up with spaces, views."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import open_table

pytestmark = pytest.mark.spark


@pytest.fixture
def catalog(spark: Any, tmp_path: Path) -> Iterator[Any]:
    """The session, without what a test put into its catalog."""
    yield spark
    spark.sql("drop view if exists heads")
    for name in ("events", "codes"):
        spark.sql(f"drop table if exists {name}")


def write_days(folder: Path, *names: tuple[str, str]) -> None:
    for day, (x, place) in enumerate(names, start=1):
        (folder / f"day={day}").mkdir(parents=True)
        rows = pa.table({x: [float(day), day + 0.5], place: ["a", None]})
        pq.write_table(rows, folder / f"day={day}" / "a.parquet")


def declare(spark: Any, folder: Path) -> None:
    spark.sql(
        f"create table events (x double, place string, day int) using parquet "
        f"partitioned by (day) location '{folder}'"
    )
    spark.sql("msck repair table events")


def read(spark: Any, name: str) -> list[Any]:
    needed = NeededColumns.from_names(["x", "place"])
    frame = open_table(spark, "t", Table(table=name), needed, None).frame
    return [tuple(row) for row in frame.collect()]


@pytest.mark.parametrize("names", [("X", "Place"), ("x", "PLACE"), ("x", "place")])
def test_columns_are_read_whatever_the_files_call_them(
    catalog: Any, tmp_path: Path, names: tuple[str, str]
) -> None:
    write_days(tmp_path / "t", names, names)
    declare(catalog, tmp_path / "t")
    expected = [(1.0, "a", 1), (1.5, None, 1), (2.0, "a", 2), (2.5, None, 2)]
    assert sorted(read(catalog, "events")) == expected


def test_several_spellings_are_refused(catalog: Any, tmp_path: Path) -> None:
    write_days(tmp_path / "t", ("x", "place"), ("X", "place"))
    declare(catalog, tmp_path / "t")
    with pytest.raises(LakeError, match=r"'t' .events.: column 'x' is 'X' in .*day=2.*, 'x' in"):
        read(catalog, "events")


def test_a_view_is_read_and_refused_where_its_values_would_be_null(
    catalog: Any, tmp_path: Path
) -> None:
    write_days(tmp_path / "t", ("x", "place"))
    declare(catalog, tmp_path / "t")
    catalog.sql("create view heads as select * from events where x < 1.2")
    assert read(catalog, "heads") == [(1.0, "a", 1)]
    write_days(tmp_path / "other", ("X", "place"))
    catalog.sql("drop table events")
    declare(catalog, tmp_path / "other")
    with pytest.raises(LakeError, match=r"it is a view .*declares column 'x', .*a.parquet has as"):
        read(catalog, "heads")


def test_fixed_width_texts_lose_the_spaces_that_spark_adds(catalog: Any, tmp_path: Path) -> None:
    columns = "place char(5), x varchar(9)"
    catalog.sql(f"create table codes ({columns}) using parquet location '{tmp_path}/codes'")
    catalog.sql("insert into codes values ('ab', 'c '), (' d', null), ('', 'e')")
    assert {*read(catalog, "codes")} == {("", "e"), ("ab", "c "), (" d", None)}

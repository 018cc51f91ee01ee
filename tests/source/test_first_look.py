"""Tables as they are seen without Spark: Parquet, partitions, ORC, Delta, Iceberg, CSV and JSON."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from headrace.errors import LakeError
from headrace.recipe import Recipe, build_recipe
from headrace.recipe import sections as s
from headrace.source import first_look
from headrace.source.first_look import (
    find_mistakes,
    look_at_tables,
    refuse_certain_mistakes,
)
from tests.lake.iceberg_tables import create_table, write_hint
from tests.tiny import tiny_recipe, tiny_tree, write_tiny_lake

ROWS = pa.table({"visit": [1, 2], "Shop": ["a", "b"], "place": [{"city": "x"}, {"city": "y"}]})


def see(folder: Path, **table: Any) -> first_look.TableLook:
    """Look at one table, of which nothing is needed."""
    return first_look._look_at_table("t", s.Table(path=str(folder), **table), None, remote=False)


def write_parquet(folder: Path) -> None:
    for month, columns in ((1, ROWS), (2, ROWS.append_column("late", pa.array([True, False])))):
        (folder / f"month={month}").mkdir(parents=True)
        pq.write_table(columns, folder / f"month={month}" / "a.parquet")


def test_the_columns_of_parquet_are_those_of_all_footers_and_folders(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t")
    look = see(tmp_path / "t")
    assert (look.files, look.names) == (2, {"visit", "Shop", "place", "late", "month"})


def test_the_columns_of_orc_are_those_of_its_footers(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    pa.orc.write_table(ROWS, tmp_path / "t" / "a.orc")
    assert see(tmp_path / "t", format="orc").names == {"visit", "Shop", "place"}


@pytest.mark.parametrize("format_", ["parquet", "delta"])
def test_the_columns_of_a_delta_table_are_those_of_its_log(tmp_path: Path, format_: str) -> None:
    write_deltalake(tmp_path / "t", ROWS.drop_columns(["place"]), partition_by=["Shop"])
    for file in (tmp_path / "t").rglob("*.parquet"):
        file.write_bytes(b"no footer is opened")
    assert see(tmp_path / "t", format=format_).names == {"visit", "Shop"}


def test_the_columns_of_an_iceberg_table_are_those_of_its_metadata(tmp_path: Path) -> None:
    table = create_table(tmp_path / "t", ROWS.drop_columns(["place"]), by=("Shop",))
    table.append(ROWS.drop_columns(["place"]))
    write_hint(table)
    assert see(tmp_path / "t", format="iceberg").names == {"visit", "Shop"}


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        ("a,b,c\n1,2,3\n", {}, {"a", "b", "c"}),
        ('\ufeff"a b";c\n1;2\n', {"sep": ";"}, {"a b", "c"}),
        ("'a,b',c\n1,2\n", {"quote": "'"}, {"a,b", "c"}),
        ("1,2,3\n", {"header": False}, {"_c0", "_c1", "_c2"}),
        ("a,,c\n", {}, None),  # Spark makes a name up
        ("a,A\n", {}, None),
        (" a,b\n", {}, None),
        ("# note\na,b\n", {"comment": "#"}, None),
        ("é,b\n", {"encoding": "latin1"}, None),
        ("", {}, None),
    ],
)
def test_the_columns_of_csv_are_those_of_its_header(
    tmp_path: Path, text: str, options: dict[str, Any], names: set[str] | None
) -> None:
    (tmp_path / "t.csv").write_text(text)
    look = see(tmp_path / "t.csv", format="csv", options=options)
    assert look.names == names
    assert ("csv files do not tell them" in look.unseen) == (names is None)


def test_what_only_spark_knows_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"a": 1}\n')
    assert "json files do not tell" in see(tmp_path / "t.json", format="json").unseen
    (tmp_path / "t.parquet").write_bytes(b"no footer")
    assert see(tmp_path / "t.parquet").names is None
    assert "--remote" in see("s3://bucket/t").unseen  # type: ignore[arg-type]
    catalog = first_look._look_at_table("t", s.Table(table="a.b"), None, remote=True)
    assert catalog.unseen == "a.b is in Spark's catalog, which Spark alone can ask"


def test_few_footers_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "t")
    monkeypatch.setattr(first_look, "_MAX_FOOTERS", 1)
    look = see(tmp_path / "t")
    assert (look.files, look.names) == (2, None)
    assert look.unseen == "columns: it has 2 files, more than 1 whose footers are opened here"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_tiny_lake(tmp_path / "lake")
    return tmp_path


def find_missing(recipe: Recipe) -> dict[str, str]:
    mistakes = find_mistakes(recipe, look_at_tables(recipe))
    return {problem.where: problem.message for problem in mistakes.missing}


def test_a_recipe_that_fits_its_lake_has_no_mistakes(lake: Path) -> None:
    mistakes = find_mistakes(tiny_recipe(lake), look_at_tables(tiny_recipe(lake)))
    assert (mistakes.missing, mistakes.suspicions) == ((), ())
    refuse_certain_mistakes(tiny_recipe(lake))


@pytest.mark.parametrize(
    ("override", "where", "said"),
    [
        ("features.amout={kind: standardize}", "features.amout", "did you mean 'amount'?"),
        ("derive.hour.columns=[clok]", "derive.hour", "did you mean 'clock'?"),
        ("split.key=[dya]", "split.key", "column 'dya' is missing (needed by split.key)"),
        ("clean.dedup.key=[visits]", "clean.dedup.key", "did you mean 'visit'?"),
        ("clean.dedup.latest_by=dai", "clean.dedup.latest_by", "'dai' is missing"),
        ("clean.rules=[{kind: not_null, columns: [nte]}]", "clean.rules.0", "did you mean 'note'?"),
        ("unavailable=[latte]", "unavailable", "did you mean 'late'?"),
        ("dataset.keep=[shp]", "dataset.keep", "did you mean 'shop'?"),
        ("label.expression=latte", "label.expression", "reads 'latte'"),
        ("label.sample_weight=amont + 1", "label.sample_weight", "reads 'amont'"),
        ("source.tables.visits.where=dya > 3", "source.tables.visits.where", "reads 'dya'"),
        ("source.tables.visits.columns={dya: integer}", "source.tables.visits.columns.dya", "dya"),
        ("source.joins.0.columns={size: sise}", "source.joins.0.columns.size", "table 'shops'"),
        (
            "source.joins.0.columns={day: size}",
            "source.joins.0.columns.day",
            "its own column 'day'",
        ),
        ("source.joins.0.key=[shopp]", "source.joins.0.key", "did you mean 'shop'?"),
    ],
)
def test_a_column_that_is_nowhere_is_missing(
    lake: Path, override: str, where: str, said: str
) -> None:
    recipe = tiny_recipe(lake, override)
    assert said in find_missing(recipe)[where]
    with pytest.raises(LakeError, match="the lake does not fit the recipe"):
        refuse_certain_mistakes(recipe)


def test_literals_and_types_are_held_to_what_footers_say(lake: Path) -> None:
    recipe = tiny_recipe(
        lake,
        "clean.rules=[{kind: in, column: day, values: [1, many]}]",
        "features.shop={kind: standardize}",
        "features.hour={kind: standardize}",
    )
    mistakes = find_mistakes(recipe, look_at_tables(recipe))
    (literal,) = mistakes.missing
    assert (literal.where, literal.message) == (
        "clean.rules.0.values.1", "column 'day' is integer, and 'many' is no number",
    )  # fmt: skip
    (type_,) = mistakes.suspicions
    assert type_.where == "features.shop"
    assert "column 'shop' has type string, expected boolean or integer or real" in type_.message


def test_joined_columns_are_no_columns_of_the_main_table_before_the_join(lake: Path) -> None:
    recipe = tiny_recipe(lake, "label.sample_weight=size + 1")
    assert find_missing(recipe) == {}
    found = find_missing(tiny_recipe(lake, "source.tables.visits.where=size > 1"))
    assert "reads 'size'" in found["source.tables.visits.where"]


def test_other_capitals_are_what_they_are_to_the_reader_of_files(lake: Path) -> None:
    tree = tiny_tree()
    tree["features"]["Late_"] = {"kind": "standardize", "column": "Amount"}
    tree["label"]["expression"] = "LATE"
    recipe = build_recipe(tree, source="t", workdir=str(lake), environment={})
    # `amount` is needed too, so that Amount is another column; SQL has the names of the files.
    found = find_missing(recipe)
    assert "names are case-sensitive, did you mean 'amount'?" in found["features.Late_"]
    assert "reads 'LATE', and there is no such column" in found["label.expression"]
    tree["label"]["expression"] = "late"
    tree["features"].pop("amount")
    recipe = build_recipe(tree, source="t", workdir=str(lake), environment={})
    assert find_missing(recipe) == {}


def test_a_table_that_is_not_there_is_an_error_of_its_key(lake: Path) -> None:
    recipe = tiny_recipe(lake, "source.tables.shops.path=${workdir}/lake/shop")
    look = look_at_tables(recipe)["shops"]
    assert "there is nothing at" in look.error
    assert "source.tables.shops.path" in look.error
    with pytest.raises(LakeError, match="there is nothing at"):
        refuse_certain_mistakes(recipe)


def test_columns_of_a_table_that_is_not_known_are_not_missing(lake: Path) -> None:
    recipe = tiny_recipe(
        lake, "source.tables.visits={table: a.b}", "features.nope={kind: standardize}"
    )
    assert find_missing(recipe) == {}


def test_spark_is_not_imported() -> None:
    assert "headrace.source.first_look" in sys.modules
    for module in (first_look, sys.modules["headrace.source.listed_columns"]):
        assert not any(
            getattr(v, "__name__", "").startswith("pyspark") for v in vars(module).values()
        )

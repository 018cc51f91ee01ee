"""When a build goes without Spark."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prepare.plan import Plan, make_plan
from headrace.recipe import Recipe
from headrace.source.local import choice
from headrace.source.local.choice import can_do_without_spark, choose_processes, describe_rows
from headrace.source.local.table import open_local_table
from tests.prepare.local.plain_table import make_recipe


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    table = pa.table({"id": range(10), "y": [0, 1] * 5, "x": [0.5] * 10, "text": ["a"] * 10})
    for number in range(2):
        pq.write_table(table, tmp_path / f"part-{number}.parquet")
    return tmp_path


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_session", lambda: False)
    for name in ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"):
        monkeypatch.delenv(name, raising=False)


def plan(recipe: Recipe) -> Plan:
    return make_plan(recipe, None)


@pytest.mark.parametrize(
    ("spark", "expected"),
    [
        ({}, True),
        ({"above_rows": 20}, True),
        ({"above_rows": 19}, False),
        ({"above_rows": 0}, False),
        ({"master": "local"}, True),
        ({"master": "local[3]"}, True),
        ({"master": "spark://host:7077"}, False),
        ({"master": "yarn"}, False),
        ({"remote": "sc://host:15002"}, False),
        ({"conf": {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": 2}}, True),
        ({"conf": {"spark.sql.parquet.enableVectorizedReader": False}}, False),
        ({"conf": {"spark.hadoop.fs.s3a.endpoint": "http://host"}}, False),
    ],
)
def test_by_size_and_settings(lake: Path, spark: dict[str, Any], expected: bool) -> None:
    recipe = make_recipe(lake, "/dataset", spark=spark)
    assert can_do_without_spark(recipe, plan(recipe)) is expected


def test_a_spark_that_is_there_is_used(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe(lake, "/dataset")
    made = plan(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(choice, "has_session", lambda: True)
        assert not can_do_without_spark(recipe, made)
    with monkeypatch.context() as patch:
        patch.setenv("PYSPARK_GATEWAY_PORT", "25333")
        assert not can_do_without_spark(recipe, made)
    assert can_do_without_spark(recipe, made)


def test_rows_that_are_not_known(lake: Path) -> None:
    recipe = make_recipe(lake, "/dataset")
    made = plan(recipe)
    unknown = {
        name: tuple(file.model_copy(update={"rows": None}) for file in files)
        for name, files in made.partitions.items()
    }
    assert not can_do_without_spark(recipe, replace(made, partitions=unknown))


@pytest.mark.parametrize(
    ("master", "cells_alone", "expected"),
    [("local[*]", 10**9, 0), ("local[*]", 10, 4), ("local[2]", 10, 2), ("local", 10, 4),
     ("local[16]", 10, 4)],
)  # fmt: skip
def test_processes(
    lake: Path, monkeypatch: pytest.MonkeyPatch, master: str, cells_alone: int, expected: int
) -> None:
    monkeypatch.setattr(choice, "_CELLS_ALONE", cells_alone)
    monkeypatch.setattr(choice, "count_cores", lambda: 4)
    recipe = make_recipe(lake, "/dataset", spark={"master": master})
    table = open_local_table(recipe, plan(recipe))
    assert choose_processes(recipe, table) == expected
    assert describe_rows(table) == "20 rows of 2 files"


def test_one_core_needs_no_other_process(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_CELLS_ALONE", 0)
    monkeypatch.setattr(choice, "count_cores", lambda: 1)
    recipe = make_recipe(lake, "/dataset")
    assert choose_processes(recipe, open_local_table(recipe, plan(recipe))) == 0

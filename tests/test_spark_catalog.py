"""Registering Delta tables in Spark's catalog.

Delta's JAR is on no package index, so a source of the same short name stands in for it: Spark's
catalog, its SQL and a Hive metastore are the real ones.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from headrace import spark_catalog
from headrace.errors import LakeError
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.score.run import score
from headrace.spark_catalog import check_registration, find_place, register_table
from tests.tiny import tiny_recipe, tiny_tree, write_tiny_lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

datasource = pytest.importorskip("pyspark.sql.datasource", reason="Spark 3 has no such sources")
KEY = "dataset.catalog_table"


def make_source() -> Any:
    """Make a source of Delta's name, within a function, so that workers need no module of tests."""

    class Delta(datasource.DataSource):
        @classmethod
        def name(cls) -> str:
            return "delta"

        def schema(self) -> str:
            return "id bigint"

    return Delta


@pytest.fixture
def hive(spark: "SparkSession", monkeypatch: pytest.MonkeyPatch) -> "SparkSession":
    """A session with data sources of its own, as if a metastore kept its catalog."""
    session = spark.newSession()
    monkeypatch.setattr(spark_catalog, "_ends_with_session", lambda spark, parts: False)
    session.sql("CREATE SCHEMA IF NOT EXISTS mine")
    return session


@pytest.mark.spark
@pytest.mark.classic  # SQL tells no place of a table of the source that stands in for Delta's
@pytest.mark.parametrize("folder", ["plain", "a b", "it's 50", "größe", "x=1"])
def test_a_table_is_registered_once_at_its_place(
    hive: "SparkSession", tmp_path: Path, folder: str
) -> None:
    root, name = str(tmp_path / folder), "mine.t"
    with pytest.raises(LakeError, match="put Delta's JAR on it"):
        check_registration(hive, KEY, name, root)
    hive.dataSource.register(make_source())
    try:
        assert not check_registration(hive, KEY, name, root)
        write_deltalake(root, pa.table({"id": [1, 2]}))
        for _ in range(2):
            register_table(hive, KEY, name, root)
            assert check_registration(hive, KEY, name, root)
        with pytest.raises(LakeError, match=rf"t is in the catalog already, at \S*{tmp_path}"):
            check_registration(hive, KEY, name, str(tmp_path / "another"))
        with pytest.raises(LakeError, match="became a table of something else"):
            register_table(hive, KEY, name, str(tmp_path / "another"))
    finally:
        hive.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.mark.spark
def test_what_cannot_be_registered_is_refused_first(hive: "SparkSession", tmp_path: Path) -> None:
    root = str(tmp_path / "t")
    with pytest.raises(LakeError, match="the catalog has no schema `nowhere`; create it first"):
        check_registration(hive, KEY, "nowhere.t", root)
    with pytest.raises(LakeError, match="is no name of a table"):
        check_registration(hive, KEY, "t; drop", root)
    hive.sql("CREATE OR REPLACE VIEW mine.v AS SELECT 1 AS one")
    with pytest.raises(LakeError, match="without a place of its own"):
        check_registration(hive, KEY, "mine.v", root)
    assert find_place(hive, "mine.v") is None


@pytest.mark.spark
def test_a_catalog_in_memory_is_refused(spark: "SparkSession", tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="would be gone with the session"):
        check_registration(spark, KEY, "t", str(tmp_path))


@pytest.mark.spark
@pytest.mark.parametrize("stage", ["prepare", "score"])
def test_stages_refuse_before_any_work(spark: "SparkSession", tmp_path: Path, stage: str) -> None:
    write_tiny_lake(tmp_path / "lake")
    key = {"prepare": "dataset", "score": "score"}[stage]
    recipe = tiny_recipe(tmp_path, f"{key}.catalog_table=ml.tiny")
    workdir = str(tmp_path)
    with pytest.raises(LakeError, match=rf"^{key}.catalog_table: .* would be gone"):
        if stage == "prepare":
            prepare(recipe, workdir=workdir, report=ignore_progress)
        else:
            table, output = f"{tmp_path}/lake/visits", f"{tmp_path}/scores"
            score(recipe, table=table, output=output, workdir=workdir, report=ignore_progress)
    assert {path.name for path in tmp_path.iterdir()} == {"lake"}


_JOB = """
import json, sys
from pathlib import Path
from headrace.prepare import prepare
from headrace.recipe import build_recipe
from headrace.recipe.sections import Spark
from headrace.spark_catalog import find_place
from headrace.spark_session import spark_session
from tests.test_spark_catalog import make_source

workdir, with_delta = sys.argv[1], sys.argv[2] == "delta"
conf = {
    "spark.sql.catalogImplementation": "hive",
    "spark.hadoop.javax.jdo.option.ConnectionURL":
        f"jdbc:derby:;databaseName={workdir}/metastore;create=true",
    "spark.sql.warehouse.dir": f"{workdir}/warehouse",
}
spark = spark_session(Spark(master="local[2]", conf=conf), app_name="job", scratch=workdir)
if with_delta:
    spark.dataSource.register(make_source())
spark.sql("CREATE SCHEMA IF NOT EXISTS ml")
if sys.argv[3] == "prepare":
    recipe = json.loads(Path(workdir, "recipe.json").read_text())
    done = prepare(build_recipe(recipe, source="r", environment={}), workdir=workdir, report=print)
    print(json.dumps({"version": done.dataset.version, "published": done.published}))
else:
    print(json.dumps(find_place(spark, "ml.tiny")))
"""


@pytest.mark.long
def test_a_dataset_is_registered_for_other_jobs(tmp_path: Path) -> None:
    """A Hive metastore on disk: a job registers, and the next one finds it there."""

    def run_job(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _JOB, str(tmp_path), *arguments]
        env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(
            command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )

    def read_answer(job: subprocess.CompletedProcess[str]) -> Any:
        assert job.returncode == 0, job.stderr[-3000:]
        return json.loads(job.stdout.strip().splitlines()[-1])

    write_tiny_lake(tmp_path / "lake")
    tree = tiny_tree()
    tree["source"]["tables"] = {
        name: {**table, "path": table["path"].replace("${workdir}", str(tmp_path))}
        for name, table in tree["source"]["tables"].items()
    }
    tree["dataset"] |= {"path": str(tmp_path / "dataset"), "catalog_table": "ml.tiny"}
    (tmp_path / "recipe.json").write_text(json.dumps(tree))
    refused = run_job("none", "prepare")
    assert refused.returncode != 0 and "put Delta's JAR on it" in refused.stderr
    assert not (tmp_path / "dataset").exists()
    assert read_answer(run_job("delta", "prepare")) == {"version": 0, "published": True}
    assert read_answer(run_job("none", "look")) == f"file:{tmp_path}/dataset"
    for source in ("delta", "none"):  # what is registered needs no JAR
        assert read_answer(run_job(source, "prepare")) == {"version": 0, "published": False}

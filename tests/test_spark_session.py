"""A session of Spark: whatever a cluster, a caller or a recipe sets, rows are read alike."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.recipe.spark_settings import PINNED
from headrace.spark_session import read_cluster_settings, stop_own_session_afterwards

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Another value that Spark takes for each setting.
_OTHERS = {
    "CORRECTED": "LEGACY", "ANSI": "LEGACY", "UTC": "America/New_York", "EXCEPTION": "LAST_WIN",
    "TIMESTAMP_LTZ": "TIMESTAMP_NTZ", "true": "false", "false": "true",
    "avro,csv,json,kafka,orc,parquet,text": "",
}  # fmt: skip
_LEGACY = "spark.sql.legacy.charVarcharAsString"  # one that is not pinned
BAD = {key: _OTHERS[value] for key, value in PINNED.items()} | {_LEGACY: "true"}
_PROGRAM = """
import json, sys
from pyspark.sql import SparkSession
from headrace.recipe.sections import Spark
from headrace.recipe.spark_settings import PINNED
from headrace.spark_session import spark_session, stop_own_session
bad = json.loads(sys.argv[2])
settings = Spark(master="local[1]", conf={"spark.driver.memory": "1g"})
def read(session):
    keys = [*PINNED, "spark.sql.legacy.charVarcharAsString"]
    return {key: session.conf.get(key, None) for key in keys}
session = spark_session(settings, app_name="test", scratch=sys.argv[1])
started = read(session)
session.stop()
# A session that somebody else has started.
builder = SparkSession.builder.master("local[1]")
for key, value in bad.items():
    if key.startswith("spark.sql."):
        builder = builder.config(key, value)
running = builder.config("spark.files.ignoreCorruptFiles", "false").config(
    "spark.files.ignoreMissingFiles", "false").getOrCreate()
before = read(running)
taken = read(spark_session(settings, app_name="test", scratch=sys.argv[1]))
running.stop()
builder.config("spark.files.ignoreMissingFiles", "true").getOrCreate()
try:
    spark_session(settings, app_name="test", scratch=sys.argv[1])
    refused = None
except Exception as error:
    refused = f"{type(error).__name__}: {error}"
print(json.dumps({"started": started, "before": before, "taken": taken, "refused": refused}))
"""


@pytest.mark.e2e
def test_what_rows_depend_on_is_set_whoever_started_the_session(tmp_path: Path) -> None:
    lines = [f"{key} {value}" for key, value in BAD.items()]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines))
    # The last is what a session of Spark Connect leaves behind in the process that starts us.
    others = {"SPARK_CONF_DIR": str(tmp_path), "LC_ALL": "C", "SPARK_CONNECT_MODE_ENABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, str(tmp_path), json.dumps(BAD)],
        env={**os.environ, **others},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    sql = {key for key in PINNED if key.startswith("spark.sql.")}
    assert {key for key in sql if found["before"][key] == PINNED[key]} == set()
    for which in ("started", "taken"):
        assert found[which].pop(_LEGACY) in (None, "false")
        assert found[which] == PINNED
    assert found["refused"].startswith(
        "MachineError: Spark was started with spark.files.ignoreMissingFiles = true, which leaves"
    )


def test_settings_of_a_cluster_are_read_as_spark_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert read_cluster_settings() == {}
    (tmp_path / "spark-defaults.conf").write_text(
        "# a comment\n\nspark.a  1 2\n  spark.b=true \nspark.c: x=y\nspark.d\n"
    )
    assert read_cluster_settings() == {
        "spark.a": "1 2", "spark.b": "true", "spark.c": "x=y", "spark.d": ""
    }  # fmt: skip


@pytest.mark.spark
def test_an_error_of_spark_has_its_text_when_the_jvm_is_gone(
    spark: "SparkSession", monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark import SparkContext

    monkeypatch.setattr("headrace.spark_session.stop_own_session", lambda: None)
    with pytest.raises(Exception, match="nowhere") as caught, stop_own_session_afterwards():
        spark.sql("SELECT * FROM nowhere").collect()
    monkeypatch.setattr(SparkContext, "_jvm", None)
    assert "nowhere" in str(caught.value)
    assert isinstance(caught.value, Exception)
    assert type(caught.value).__name__ == "AnalysisException"

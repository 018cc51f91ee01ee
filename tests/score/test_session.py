"""Spark's settings for scoring."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from headrace.score.session import configure_session
from tests.models import specs
from tests.tiny import tiny_recipe

PARTITIONS = "spark.sql.files.minPartitionNum"
BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"


def configure(workdir: Path, *overrides: str, spec: Any = None, **conf: str) -> dict[str, str]:
    """Return the settings that a session of two cores gets, of which `conf` is configured."""
    settings: dict[str, str] = {}
    session: Any = SimpleNamespace(
        conf=SimpleNamespace(set=settings.__setitem__),
        sparkContext=SimpleNamespace(
            defaultParallelism=2, getConf=lambda: SimpleNamespace(getAll=lambda: [*conf.items()])
        ),
    )
    spec = spec or specs.make_spec(specs.NUMBER, specs.WORD)
    configure_session(session, spec, tiny_recipe(workdir, *overrides))
    return settings


def test_some_partitions_for_each_core_and_batches_as_large_as_predictions(tmp_path: Path) -> None:
    assert configure(tmp_path, "score.batch_rows=1000") == {PARTITIONS: "8", BATCH: "1000"}


def test_rows_with_lists_come_in_batches_as_spark_has_them(tmp_path: Path) -> None:
    spec = specs.make_spec(specs.NUMBER, specs.SERIES)
    assert configure(tmp_path, spec=spec) == {PARTITIONS: "8"}


def test_what_the_user_set_stays(tmp_path: Path) -> None:
    override = f"spark.conf={{{BATCH}: 10}}"
    assert configure(tmp_path, override, **{PARTITIONS: "3"}) == {}

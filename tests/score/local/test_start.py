"""When a job scores without Spark, in how many processes, and what is said where it does not."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.progress import Progress
from headrace.score.local import start
from headrace.score.local.start import start_workers
from headrace.score.plan import make_plan
from headrace.score.reading import replace_main_table
from headrace.source.local import choice
from tests.prepare.local.plain_table import make_recipe


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs that would be used, and processes import next to nothing."""
    monkeypatch.setattr(choice, "has_session", lambda: False)
    monkeypatch.setattr(start, "_PRELOAD", "json")
    monkeypatch.setattr(choice, "count_cores", lambda: 4)
    for name in ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"id": range(10), "x": [0.5] * 10}), tmp_path / "part-0.parquet")
    return tmp_path


def count_workers(lake: Path, **changes: Any) -> tuple[int, list[str]]:
    """Return how many processes are started, and what is said."""
    recipe = replace_main_table(make_recipe("/elsewhere", "/dataset", **changes), str(lake))
    said: list[str] = []

    def report(progress: Progress) -> None:
        said.append(progress.text)

    workers = start_workers(recipe, make_plan(recipe, "t", None, full=True), report)
    if workers is None:
        return 0, said
    with workers:
        return workers.count, said


def test_small_tables_get_one_process(lake: Path) -> None:
    assert count_workers(lake) == (1, [])


@pytest.mark.parametrize(
    ("rows", "master", "expected"),
    [(4, "local[*]", 3), (10, "local[*]", 2), (1, "local[*]", 4), (1, "local[2]", 2),
     (1, "local[9]", 4)],
)  # fmt: skip
def test_larger_ones_get_more(
    lake: Path, monkeypatch: pytest.MonkeyPatch, rows: int, master: str, expected: int
) -> None:
    monkeypatch.setattr(start, "_ROWS_PER_PROCESS", rows)
    assert count_workers(lake, spark={"master": master}) == (expected, [])


def test_lines_are_estimated_by_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "part.csv").write_text("id,x\n" + "1,0.5\n" * 100)  # 605 bytes
    monkeypatch.setattr(start, "_LINE_BYTES", 6)
    monkeypatch.setattr(start, "_ROWS_PER_PROCESS", 50)
    source = {"tables": {"t": {"path": "/elsewhere", "format": "csv"}}, "main": "t"}
    assert count_workers(tmp_path, source=source) == (3, [])


@pytest.mark.parametrize(
    "spark",
    [{"above_rows": 9}, {"above_rows": 0}, {"master": "yarn"}, {"remote": "sc://host:15002"}],
)
def test_larger_tables_and_other_sparks_are_left_to_spark(
    lake: Path, spark: dict[str, Any]
) -> None:
    assert count_workers(lake, spark=spark) == (0, [])


def test_a_session_that_runs_is_used(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_session", lambda: True)
    assert count_workers(lake) == (0, [])


JOIN = {"table": "other", "key": ["id"], "columns": {"z": "x"}}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"clean": {"rules": [{"kind": "not_null", "columns": ["x"]}]}}, "rules are checked"),
        (
            {"source": {"tables": {"t": {"path": "/t"}, "other": {"path": "/o"}}, "main": "t",
                        "joins": [JOIN]}},
            "tables are joined, or windows are made",
        ),
        (
            {"source": {"tables": {"t": {"path": "/t", "where": "x > 0"}}, "main": "t"}},
            "source.tables has a condition, or read_with: spark",
        ),
    ],
)  # fmt: skip
def test_what_is_left_to_spark_is_said(lake: Path, changes: dict[str, Any], why: str) -> None:
    assert count_workers(lake, **changes) == (0, [f"Spark is needed: {why}"])


def test_nothing_is_started_where_nothing_is_read(lake: Path) -> None:
    recipe = replace_main_table(make_recipe("/elsewhere", "/dataset"), str(lake))
    plan = make_plan(recipe, "t", None, full=True)
    nothing = type(plan)(**{**vars(plan), "processed": frozenset()})
    assert start_workers(recipe, nothing, lambda _: None) is None

"""How rows are read without Spark, and which are left to it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.progress import ignore_progress
from headrace.score.attempt import ScoreAttempt
from headrace.score.local.jobs import LocalJobs, LocalRows
from headrace.score.plan import make_plan
from headrace.score.reading import replace_main_table
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, name_output_copy
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.row_parts import FilePart
from headrace.source.local.workers import Workers
from headrace.tracking.model import ModelVersion
from headrace.transform.spec import TransformSpec
from tests.models import specs
from tests.prepare.local.plain_table import make_recipe

SPEC = specs.make_spec(specs.NUMBER, specs.WORD)
COLUMNS = {"id": [1, 2, 3], "x": [0.5, None, 1.0], "w": ["a", "b", None], "n": ["1", "odd", None]}


def plan_rows(
    lake: Path, spec: TransformSpec = SPEC, written: list[str] | None = None, **changes: Any
) -> LocalRows:
    recipe = make_recipe(lake, "/dataset", **changes)
    reading = replace_main_table(recipe, str(lake))
    attempt = ScoreAttempt(
        recipe=recipe, reading=reading, plan=make_plan(reading, "t", None, full=True),
        root="/scores", base=None, model=ModelVersion("m", 1, "r", {}), written=written or ["id"],
        report=ignore_progress, idempotency_id=None, now=datetime.now(UTC), build_id="b",
    )  # fmt: skip
    return LocalJobs(attempt, Workers(0)).plan_rows(spec, ())


def write(lake: Path, **columns: Any) -> None:
    pq.write_table(pa.table({**COLUMNS, **columns}), lake / "part-0.parquet")


def source_of(**columns: str) -> dict[str, Any]:
    return {"tables": {"t": {"path": "/t", "columns": columns}}, "main": "t"}


def test_columns_that_need_nothing_are_read_late(tmp_path: Path) -> None:
    write(tmp_path)
    rows = plan_rows(tmp_path)
    assert rows.late is not None
    assert {*rows.late.columns} == {"id", "x", "w"}
    (batch,) = rows.reader.read_batches(FilePart(0, rows.files.files[0]))
    assert batch.to_pydict() == {FILE: [0, 0, 0], POSITION: [0, 1, 2], BUCKET: [0, 0, 0]}


def test_casts_are_checked_early(tmp_path: Path) -> None:
    write(tmp_path)
    rows = plan_rows(tmp_path, written=["id", "n"], source=source_of(n="real"))
    assert [check.name for check in rows.checks] == ["n is real"]
    (batch,) = rows.reader.read_batches(FilePart(0, rows.files.files[0]))
    assert batch.to_pydict() == {
        name_output_copy("n"): [1.0, None, None],
        FILE: [0, 0, 0],
        POSITION: [0, 1, 2],
        PROBLEMS: [None, "0\x1fn: 'odd' is no real", None],
        BUCKET: [0, 1, 0],
    }


@pytest.mark.parametrize("values", [[1, 2, 3], [True, False, None]])
def test_whole_numbers_of_a_model_that_reads_real_ones(tmp_path: Path, values: list[Any]) -> None:
    write(tmp_path, x=values)
    rows = plan_rows(tmp_path)
    (batch,) = rows.reader.read_batches(FilePart(0, rows.files.files[0]))
    expected = [None if v is None else float(v) for v in values]
    assert batch["x"].to_pylist() == expected
    assert batch["x"].type == pa.float64()


def test_times_are_written_in_utc(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 10)
    write(tmp_path, at=pa.array([moment] * 3, pa.timestamp("ms")))
    rows = plan_rows(tmp_path, written=["at"])
    (batch,) = rows.reader.read_batches(FilePart(0, rows.files.files[0]))
    written = batch[name_output_copy("at")]
    assert written.type == pa.timestamp("us", "UTC")
    assert written[0].as_py() == moment.replace(tzinfo=UTC)


def test_what_is_left_to_spark(tmp_path: Path) -> None:
    write(tmp_path, tags=[["a"], [], None])
    with pytest.raises(NeedsSparkError, match="tags has lists or images"):
        plan_rows(tmp_path, specs.make_spec(specs.NUMBER, specs.TOKENS))
    rules = {"rules": [{"kind": "not_null", "columns": ["x"]}]}
    with pytest.raises(NeedsSparkError, match="rules are checked"):
        plan_rows(tmp_path, SPEC.model_copy(update={"rules": None}), clean=rules)
    folder = tmp_path / "lake" / "day=1"
    folder.mkdir(parents=True)
    write(folder)
    with pytest.raises(NeedsSparkError, match="uses the folder column day"):
        plan_rows(tmp_path / "lake", written=["id", "day"])


def test_a_table_of_other_types(tmp_path: Path) -> None:
    write(tmp_path, x=["a", "b", "c"])
    with pytest.raises((LakeError, NeedsSparkError)):
        plan_rows(tmp_path)

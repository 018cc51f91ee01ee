"""Which source partitions are scored: those that are new, or changed since they were."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.lake.score_record import ScoredPartition, ScoreLedger
from headrace.score.plan import ScorePlan, make_plan, parse_partition_values
from headrace.score.reading import replace_main_table
from tests.tiny import tiny_recipe

SOURCE = "/lake/new"


def write(folder: Path, name: str, rows: int = 1) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": range(rows)}), folder / name / "a.parquet")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for day in (1, 2, 3):
        write(tmp_path / "new", f"day={day}")
    return tmp_path / "new"


class Record:
    """What a plan reads of a record."""

    def __init__(self, *partitions: ScoredPartition) -> None:
        self.partitions = partitions
        self.file_columns: dict[str, Any] = {}
        self.snapshots: dict[str, Any] = {}


def scored_partition(name: str, files: Any = (), source: str = SOURCE) -> ScoredPartition:
    ledger = ScoreLedger(read=1, scored=1, quarantined={}, filtered=0)
    return ScoredPartition(
        source=source, name=name, build_id="B", model="models:/m/1", files=files, ledger=ledger
    )


def planned(table: Path | str, base: Any = None, *overrides: str, full: bool = False) -> ScorePlan:
    recipe = replace_main_table(tiny_recipe(Path("/none"), *overrides), str(table))
    return make_plan(recipe, SOURCE, base, full=full)


def record_of(plan: ScorePlan, *more: ScoredPartition) -> Record:
    return Record(*(scored_partition(n, f) for n, f in plan.partitions.items()), *more)


def test_the_first_job_scores_everything(table: Path) -> None:
    plan = planned(table)
    assert plan.processed == {"day=1", "day=2", "day=3"}
    assert (plan.reason, plan.removed_count, plan.unaffected) == ("source partitions: 3 new", 0, ())
    assert plan.retained == frozenset()
    assert plan.list_paths() is None
    assert not plan.is_up_to_date


def test_nothing_changed(table: Path) -> None:
    first = planned(table)
    base = record_of(first, scored_partition("day=9", source="/lake/other"))
    plan = planned(table, base)
    assert plan.is_up_to_date
    assert plan.reason == "nothing changed"
    assert plan.retained == {"day=1", "day=2", "day=3"}
    assert plan.unaffected == base.partitions  # those of another table are not gone


def test_new_changed_and_removed_partitions(table: Path) -> None:
    base = record_of(planned(table))
    write(table, "day=4")
    write(table, "day=2", rows=20)
    (table / "day=1" / "a.parquet").unlink()
    plan = planned(table, base)
    assert plan.processed == {"day=2", "day=4"}
    assert plan.reason == "source partitions: 1 new, 1 changed, 1 removed"
    assert [p.name for p in plan.unaffected] == ["day=3"]
    assert plan.removed_count == 1
    assert plan.list_paths() == [f"day={day}/a.parquet" for day in (2, 4)]


def test_a_file_that_arrives_in_a_scored_partition_has_it_scored_again(table: Path) -> None:
    """Also in a folder of it that is no partition."""
    base = record_of(planned(table))
    pq.write_table(pa.table({"x": [7]}), table / "day=2" / "late.parquet")
    (table / "day=3" / "more").mkdir()
    pq.write_table(pa.table({"x": [7]}), table / "day=3" / "more" / "b.parquet")
    plan = planned(table, base)
    assert plan.processed == {"day=2", "day=3"}
    assert plan.reason == "source partitions: 2 changed"
    assert plan.list_paths() == [
        "day=2/a.parquet", "day=2/late.parquet", "day=3/a.parquet", "day=3/more/b.parquet"
    ]  # fmt: skip
    assert planned(table, record_of(plan)).is_up_to_date


def test_partitions_that_are_gone_are_something_to_do(table: Path) -> None:
    base = record_of(planned(table))
    (table / "day=1" / "a.parquet").unlink()
    plan = planned(table, base)
    assert (plan.processed, plan.is_up_to_date) == (frozenset(), False)


def test_everything_again(table: Path) -> None:
    base = record_of(planned(table), scored_partition("day=9", source="/lake/other"))
    plan = planned(table, base, full=True)
    assert plan.processed == {"day=1", "day=2", "day=3"}
    assert plan.reason == "asked for everything"
    assert [p.name for p in plan.unaffected] == ["day=9"]


def test_a_table_of_a_catalog_is_one_partition_that_always_changed() -> None:
    plan = planned("some.table")
    assert (plan.listing, dict(plan.partitions)) == (None, {"": ()})
    assert plan.list_paths() is None
    again = planned("some.table", record_of(plan))
    assert again.reason == "source partitions: 1 changed"


def test_an_empty_file_is_refused(table: Path) -> None:
    (table / "day=2" / "b.parquet").write_bytes(b"")
    with pytest.raises(LakeError, match=r"day=2/b.parquet is not a readable Parquet file: it is e"):
        planned(table)


@pytest.mark.parametrize(
    ("name", "partitioning", "values"),
    [
        ("day=1/shop=a%20b", "partition", {"day": "1", "shop": "a b"}),
        ("day=__HIVE_DEFAULT_PARTITION__", ["day"], {"day": None}),
        ("day=1/a.parquet", "file", {}),
        ("", "table", {}),
        ("", "partition", {}),
    ],
)
def test_values_in_the_name_of_a_partition(
    name: str, partitioning: str | list[str], values: dict[str, str | None]
) -> None:
    assert parse_partition_values(name, partitioning) == values

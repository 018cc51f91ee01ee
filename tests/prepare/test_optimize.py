"""Small files become few, and nothing else of a dataset changes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConflictError, DamagedError, DatasetError, RemovedError
from headrace.lake import DatasetVersion, publish_build
from headrace.lake.compare import compare_versions
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare import optimize as optimize_module
from headrace.prepare.optimize import choose_groups
from headrace.stream.columns import build_feature_columns
from headrace.stream.split_stream import SplitStream
from tests.commands.stage_outcomes import run_command
from tests.lake.building import SCHEMA, make_build, make_file
from tests.lake.nights import score_night
from tests.prepare.small_days import (
    SPEC,
    assert_same_rows,
    make_id,
    optimize,
    publish_night,
    read_table,
)
from tests.s3 import s3_server


def publish_days(root: Path, days: int = 10, rows: int = 3) -> DatasetVersion:
    """Publish a version of that many days with a few train rows each, and fewer of the others."""
    return publish_night(
        root,
        1,
        {
            f"day={day:02}": {
                "train": list(range(100 * day, 100 * day + rows)),
                "validation": [100 * day + 50] if day % 2 else [],
                "test": [100 * day + 60, 100 * day + 61],
            }
            for day in range(days)
        },
    )


def list_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_neighbours_are_merged_up_to_the_rows_of_a_file() -> None:
    files = [make_file(name, (name, rows)) for name, rows in (
        ("a", 3), ("b", 3), ("c", 3), ("d", 3),  # 9 and 3 more than 10: d begins anew
        ("e", 5),  # half of a file: large enough
        ("f", 1), ("g", 9),  # g as well, so that f has no neighbour
        ("h", 1), ("hot", 1), ("i", 1), ("j", 1),  # not across what stays
    )]  # fmt: skip
    groups = choose_groups(files, frozenset({"hot"}), 10)
    assert [[file.path for file in group] for group in groups] == [["a", "b", "c"], ["i", "j"]]
    assert choose_groups([], frozenset(), 10) == []
    assert choose_groups(files[:1], frozenset(), 10) == []
    mixed = [make_file("x", ("a", 1), ("hot", 1)), make_file("y", ("b", 1))]
    assert choose_groups(mixed, frozenset({"hot"}), 10) == []


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 40))
def test_after_it_there_are_few_files_and_nothing_is_left_to_do(
    rows: list[int], rows_per_file: int
) -> None:
    files = [make_file(f"{i:02}", (str(i), n)) for i, n in enumerate(rows)]
    groups = choose_groups(files, frozenset(), rows_per_file)
    merged = {file.path: group for group in groups for file in group[1:]}
    first = {group[0].path: group for group in groups}
    after: list[DataFile] = []
    for file in files:
        if file.path in first:
            runs = [(f.partition, f.rows) for f in first[file.path]]
            after.append(make_file(file.path, *runs))
        elif file.path not in merged:
            after.append(file)
    partitions = [run.partition for file in after for run in file.list_runs()]
    assert partitions == [str(i) for i in range(len(rows))]
    assert all(file.rows <= max(rows_per_file, *rows) for file in after)
    assert choose_groups(after, frozenset(), rows_per_file) == []
    assert len(after) <= 6 * sum(rows) / rows_per_file + 1


def test_a_version_of_the_same_rows_in_few_files(tmp_path: Path) -> None:
    before = publish_days(tmp_path)
    planned = optimize(tmp_path, dry_run=True)
    assert not planned.published
    assert DatasetVersion.open(str(tmp_path)).version == 0
    done = optimize(tmp_path)
    # 30 train rows: 18 and 12 of at most 20; 5 of validation; 20 of test, as many as fit
    assert (done.files, done.files_now, done.merged, done.rows) == (25, 4, 25, 55)
    assert (planned.files_now, planned.merged) == (4, 25)
    dataset = done.dataset
    assert [f.rows for f in dataset.list_files("train")] == [18, 12]
    assert [f.row_groups for f in dataset.list_files("train")] == [(6, 6, 6), (6, 6)]
    assert dataset.build.optimized is not None
    assert dataset.build.optimized.describe() == "optimized from version 0: 25 → 4 files"
    assert_same_rows(dataset, before)
    comparison = compare_versions(before, dataset)
    assert comparison.same_rows
    assert comparison.files == (0, 25, 4)
    assert not any(comparison.partitions.values())
    assert (tmp_path / before.build.files[0].path).exists()  # for who reads the version before
    again = optimize(tmp_path)
    assert not again.published
    assert (again.merged, DatasetVersion.open(str(tmp_path)).version) == (0, 1)


def stream_in_order(dataset: DatasetVersion) -> Iterator[list[int]]:
    """Yield the row ids of each step of an epoch of the train rows, read without shuffling."""
    columns = build_feature_columns(SPEC, {"row_id": ("int64", "row_id")})
    stream = SplitStream.for_split(
        dataset, "train", columns, rank=0, size=1, global_batch_size=4, canonical_shards=1,
        shuffle=False, seed=1, engine="pyarrow",
    )  # fmt: skip
    for batch in stream.read_batches(0):
        yield batch["row_id"][batch["weight"] > 0].tolist()


def test_training_in_order_reads_the_same_rows_and_a_pinned_one_reads_on(tmp_path: Path) -> None:
    before = publish_days(tmp_path)
    pinned = stream_in_order(before)
    steps = [next(pinned)]
    optimized = optimize(tmp_path).dataset
    steps += pinned
    assert steps == list(stream_in_order(optimized))
    read = [row for step in steps for row in step]
    assert read == [100 * day + row for day in range(10) for row in range(3)]


def test_a_commit_of_it_says_that_no_row_changed(tmp_path: Path) -> None:
    publish_days(tmp_path)
    optimize(tmp_path)
    actions = (tmp_path / "_delta_log" / f"{1:020}.json").read_text()
    assert actions.count('"dataChange":false') == 25 + 4
    assert '"dataChange":true' not in actions
    assert DeltaTable(str(tmp_path)).to_pyarrow_table().num_rows == 55


def test_after_a_checkpoint_no_row_is_there_twice(tmp_path: Path) -> None:
    """delta-rs #3047: compacted again after a checkpoint, a table had three times its rows."""
    publish_days(tmp_path)
    optimize(tmp_path)
    DeltaTable(str(tmp_path)).create_checkpoint()
    for night in range(2, 5):
        publish_night(tmp_path, night, {f"day=9{night}": {"train": [night]}})
        optimize(tmp_path)
        DeltaTable(str(tmp_path)).create_checkpoint()
    dataset = DatasetVersion.open(str(tmp_path))
    table = DeltaTable(str(tmp_path)).to_pyarrow_table()
    assert sorted(table["row_id"].to_pylist()) == sorted(
        i for split in SPLITS for i in read_table(dataset, split)["row_id"].to_pylist()
    )
    assert table.num_rows == 58


def test_partitions_that_were_processed_lately_keep_their_files(tmp_path: Path) -> None:
    publish_days(tmp_path)
    publish_night(tmp_path, 20, {f"day={day}": {"train": [day]} for day in (70, 71)})
    done = optimize(tmp_path, now=datetime(2026, 1, 25, tzinfo=UTC))
    assert (done.hot, done.files, done.files_now) == (2, 27, 6)
    done = optimize(tmp_path, now=datetime(2026, 2, 25, tzinfo=UTC))
    assert (done.hot, done.files_now) == (0, 5)  # 18, and 12 are large enough


@pytest.mark.parametrize("how", ["value", "length", "footer", "order", "gone"])
def test_a_damaged_file_is_named_and_nothing_is_published(tmp_path: Path, how: str) -> None:
    dataset = publish_days(tmp_path)
    file = dataset.list_files("train")[4]
    path = tmp_path / file.path
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "order":  # the same rows, written by somebody else
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.take(pa.array([2, 1, 0])), path)
        assert path.stat().st_size != file.bytes
    else:
        position = {"value": 12, "length": len(content), "footer": len(content) - 30}[how]
        path.write_bytes(content[:position] + b"\xff" + content[position + 1 :])
    before = list_files(tmp_path)
    with pytest.raises((DamagedError, RemovedError), match=file.path):
        optimize(tmp_path)
    assert list_files(tmp_path) == before
    assert DatasetVersion.open(str(tmp_path)).version == 0


def test_another_build_meanwhile_wins_and_nothing_of_this_one_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_days(tmp_path)
    rewrite: Callable[..., DataFile] = optimize_module.rewrite_file
    nights = iter([2])

    def rewrite_late(*arguments: object) -> DataFile:
        for night in nights:
            publish_night(tmp_path, night, {"day=77": {"train": [7]}})
        return rewrite(*arguments)

    monkeypatch.setattr(optimize_module, "rewrite_file", rewrite_late)
    with pytest.raises(ConflictError, match="was refused"):
        optimize(tmp_path)
    dataset = DatasetVersion.open(str(tmp_path))
    assert (dataset.version, dataset.count_rows("train")) == (1, 31)
    assert not [path for path in list_files(tmp_path) if "rewritten" in path]
    assert {p.name for p in (tmp_path / "_headrace").iterdir()} == {make_id(1), make_id(2)}
    assert optimize(tmp_path).published


def test_vacuum_knows_whose_a_merged_file_is(tmp_path: Path) -> None:
    publish_days(tmp_path)
    running = tmp_path / "split=train" / f"part-{make_id(1)}-00000-0.rewritten-running.parquet"
    running.write_bytes(b"of an optimize that did not commit yet, or never will")
    done = optimize(tmp_path)
    publish_night(tmp_path, 2, {"day=77": {"train": [7]}})

    def vacuum(days: float) -> tuple[str, ...]:
        now = datetime.now(UTC) + timedelta(days=days)
        return vacuum_dataset(
            str(tmp_path), keep=timedelta(0), leftovers_after=timedelta(days=2), now=now,
            dry_run=False,
        ).files  # fmt: skip

    removed = vacuum(1)
    assert running.exists()
    assert sum("split=" in path for path in removed) == 25  # of the first version
    assert {f.path for f in done.dataset.build.files} <= list_files(tmp_path)
    assert set(vacuum(3)) == {str(running.relative_to(tmp_path))}
    dataset = DatasetVersion.open(str(tmp_path))
    assert read_table(dataset, "train").num_rows == 31
    assert dataset.profile.distributions[0].value_count == 56


def test_what_cannot_be_optimized_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no dataset at"):
        optimize(tmp_path / "nothing")
    score_night(tmp_path / "scores", 1)
    with pytest.raises(DatasetError, match="has predictions, and only the files of a dataset can"):
        optimize(tmp_path / "scores")
    publish_build(str(tmp_path / "old"), make_build(tmp_path / "old", "first"), SCHEMA, "{}")
    with pytest.raises(DatasetError, match="does not say which source partitions its rows are fro"):
        optimize(tmp_path / "old")
    publish_days(tmp_path / "small", days=1)
    assert not optimize(tmp_path / "small").published


@pytest.mark.long
def test_a_store_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = publish_days(tmp_path / "local")
    with s3_server(tmp_path) as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        root = "s3://lake/small"
        s3.files().put(f"{tmp_path}/local/", "lake/small/", recursive=True)
        done = optimize(root)
        assert (done.files, done.files_now) == (25, 4)
        assert_same_rows(done.dataset, before)
        assert not optimize(root).published


def test_the_command(tmp_path: Path) -> None:
    publish_days(tmp_path)
    dry = run_command("optimize", str(tmp_path), "--dry-run", "--json")
    assert dry.code == 0
    assert (dry.result["published"], dry.result["dataset"]["version"]) == (False, 0)
    counts = {"files": {"before": 25, "now": 4, "merged": 25}, "rows": 55, "hot_partitions": 0}
    assert {name: dry.result[name] for name in counts} == counts
    done = run_command("optimize", str(tmp_path), "--older-than", "36h")
    text = "version 1 has 4 data files instead of 25: 25 small ones with 55 rows are merged"
    assert (done.code, text in done.out + done.err) == (0, True)
    again = run_command("optimize", str(tmp_path))
    assert (again.code, "nothing to merge: 4 files" in again.out + again.err) == (0, True)
    shown = run_command("inspect", str(tmp_path), "--workdir", str(tmp_path / "var"))
    assert "optimized from version 0: 25 → 4 files" in shown.out + shown.err
    assert "no row changed" in run_command("diff", str(tmp_path), "0", "1").out
    for wrong in ("7", "d7", "-1d", "1w"):
        refused = run_command("optimize", str(tmp_path), f"--older-than={wrong}", "--json")
        assert refused.code == 2
        assert "expected days or hours, for example 7d, 36h" in refused.err

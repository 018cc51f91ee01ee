"""A dataset that follows its lake: what changed is processed, and the rows are those of all."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from headrace.errors import DatasetError, LakeError
from headrace.lake import DatasetVersion
from tests.prepare.daily import (
    assert_same_rows,
    build,
    day_of,
    list_processed,
    read_rows,
    rebuild,
    remove_day,
    write_day,
    write_places,
)

pytestmark = pytest.mark.spark


def test_a_new_day_is_all_that_is_read(lake: Path) -> None:
    first = build(lake)
    assert (first.published, first.dataset.version, first.why) == (True, 0, "the first build")
    assert list_processed(first) == {"day=01", "day=02", "day=03"}
    write_day(lake, 4)
    second = build(lake)
    assert (second.dataset.version, list_processed(second)) == (1, {"day=04"})
    assert second.dataset.build.processed_ledger.read == 150
    assert second.dataset.build.ledger.read == 600
    assert second.dataset.build.ledger.quarantined == {"range(x)": 12}
    assert second.dataset.transform_json == first.dataset.transform_json
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    # the old version is what it was
    old = DatasetVersion.open(first.dataset.root, 0)
    assert (old.digest, old.build.ledger.read) == (first.dataset.digest, 450)
    old_paths = {f.path for f in old.build.files}
    assert old_paths < {f.path for f in second.dataset.build.files}


def test_nothing_new_is_nothing_done(lake: Path) -> None:
    first = build(lake)
    again = build(lake)
    assert (again.published, again.why) == (False, "nothing changed")
    assert again.dataset.version == first.dataset.version
    assert "start_spark" not in again.seconds


def test_a_corrected_day_replaces_its_rows(lake: Path) -> None:
    first = build(lake)
    write_day(lake, 2, day_of(2, rows=120, at=5))
    second = build(lake)
    assert list_processed(second) == {"day=02"}
    assert second.dataset.build.ledger.read == 420
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    assert DatasetVersion.open(first.dataset.root, 0).digest == first.dataset.digest


def test_a_removed_day_takes_its_rows_along(lake: Path) -> None:
    first = build(lake)
    remove_day(lake, 3)
    second = build(lake)
    assert list_processed(second) == set()
    assert "start_spark" not in second.seconds  # nothing has to be read
    assert {p.name for p in second.dataset.build.partitions} == {"day=01", "day=02"}
    assert second.dataset.build.ledger.read == 300
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    removed = set(read_rows(first.dataset)["row_id"]) - set(read_rows(second.dataset)["row_id"])
    assert len(removed) == first.dataset.build.partitions[2].ledger.accounted_rows - 3
    assert removed <= set(read_rows(DatasetVersion.open(first.dataset.root, 0))["row_id"])


def test_columns_that_are_called_like_secrets_are_compared(lake: Path) -> None:
    renamed = (
        "source.joins=[{table: places, key: [place], columns: {api_key: height}}]",
        "features={x: {kind: standardize}, api_key: {kind: standardize}}",
    )
    assert build(lake, *renamed).published
    assert build(lake, *renamed).why == "nothing changed"
    other = renamed[0].replace("api_key: height", "api_key: height, token: height")
    assert "source.joins" in build(lake, other, renamed[1]).why


def test_a_store_that_does_not_answer_is_no_reason_to_fit_again(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    build(lake)
    write_day(lake, 4)
    real = LocalFileSystem.cat_file

    def away(self: LocalFileSystem, path: str, *more: object, **keywords: object) -> bytes:
        if path.endswith("/build.json"):
            raise TimeoutError("no answer")
        return real(self, path, *more, **keywords)

    monkeypatch.setattr(LocalFileSystem, "cat_file", away)
    with pytest.raises(DatasetError, match="cannot be reached: no answer"):
        build(lake)
    monkeypatch.undo()
    assert list_processed(build(lake)) == {"day=04"}


def test_a_record_that_was_removed_is_built_anew(lake: Path) -> None:
    first = build(lake)
    (Path(first.dataset.root) / "_headrace" / first.dataset.build.build_id / "build.json").unlink()
    second = build(lake)
    assert (second.dataset.version, second.why) == (1, "the first build")
    assert not second.dataset.build.is_partial


@pytest.mark.long
def test_links_to_folders_are_followed(lake: Path) -> None:
    build(lake)
    away = lake / "away"
    away.mkdir()
    pq.write_table(day_of(4), away / "part-0.parquet")
    (lake / "lake" / "events" / "day=04").symlink_to(away)
    assert list_processed(build(lake)) == {"day=04"}
    pq.write_table(day_of(4, rows=100), away / "part-0.parquet")
    assert list_processed(build(lake)) == {"day=04"}


def test_a_joined_table_that_changes_is_looked_up_again(lake: Path) -> None:
    build(lake)
    write_places(lake, height=5.0)
    second = build(lake)
    assert list_processed(second) == {"day=01", "day=02", "day=03"}
    assert second.why == (
        "table places changed (keys with other rows: 1; source partitions that have them: 3)"
    )
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    keep = (
        "source.joins=[{table: places, key: [place], columns: {height: height}, on_change: keep}]"
    )
    third = build(lake, keep)
    assert third.why.startswith("the recipe changed (source.joins)")
    write_places(lake, height=9.0)
    assert not build(lake, keep).published
    write_day(lake, 4)
    assert list_processed(build(lake, keep)) == {"day=04"}


def test_a_build_with_an_id_is_published_once(lake: Path) -> None:
    first = build(lake, idempotency_id="nightly-1")
    assert first.published
    write_day(lake, 4)
    again = build(lake, idempotency_id="nightly-1")
    assert (again.published, again.dataset.version) == (False, 0)
    assert again.why == "published as nightly-1 before"
    assert build(lake, idempotency_id="nightly-2").dataset.version == 1


def test_a_file_that_changes_during_the_build_is_not_published(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headrace.prepare.run as stage

    real = stage.build_rows

    def changed_meanwhile(*arguments: object) -> object:
        rows = real(*arguments)
        write_day(lake, 2, day_of(2, rows=10))
        return rows

    monkeypatch.setattr(stage, "build_rows", changed_meanwhile)
    with pytest.raises(LakeError, match=r"day=02/part-0.parquet changed while the table was read"):
        build(lake)
    assert not list((lake / "dataset").glob("split=*/*"))


def test_outside_readers_see_a_pinned_version(lake: Path) -> None:
    build(lake)
    write_day(lake, 4)
    build(lake)
    for version in (0, 1):
        ours = read_rows(DatasetVersion.open(str(lake / "dataset"), version))
        theirs = pl.read_delta(str(lake / "dataset"), version=version)
        assert theirs.height == len(ours)
        assert theirs["row_id"].sum() == ours["row_id"].sum()
        assert theirs["x"].cast(pl.Float64).sum() == pytest.approx(
            ours["x"].astype("float64").sum()
        )
        by_split = dict(theirs.group_by("split").len().iter_rows())
        assert by_split == ours["split"].value_counts().to_dict()


@pytest.mark.long
def test_every_format_follows_its_lake(lake: Path) -> None:
    for day in (1, 2, 3):
        folder = lake / "lake" / "lines" / f"day={day:02}"
        folder.mkdir(parents=True)
        day_of(day).to_pandas().to_csv(folder / "a.csv", index=False)
    types = "{event: integer, at: integer, x: real, y: boolean}"
    csv = [
        "source.tables.events={path: '${workdir}/lake/lines', format: csv, columns: " + types + "}"
    ]
    first = build(lake, *csv)
    assert list_processed(first) == {"day=01", "day=02", "day=03"}
    folder = lake / "lake" / "lines" / "day=04"
    folder.mkdir()
    day_of(4).to_pandas().to_csv(folder / "a.csv", index=False)
    second = build(lake, *csv)
    assert list_processed(second) == {"day=04"}
    assert_same_rows(second.dataset, rebuild(lake, second.dataset, *csv))


def test_files_of_a_flat_folder_may_be_the_unit(tmp_path: Path) -> None:
    write_places(tmp_path)
    folder = tmp_path / "lake" / "events"
    folder.mkdir(parents=True)
    for day in (1, 2):
        pq.write_table(day_of(day), folder / f"{day}.parquet")
    by_file = "increments.by=file"
    assert list_processed(build(tmp_path, by_file)) == {"1.parquet", "2.parquet"}
    pq.write_table(day_of(3), folder / "3.parquet")
    assert list_processed(build(tmp_path, by_file)) == {"3.parquet"}
    # by default a table without partition folders is one source partition
    assert list_processed(build(tmp_path)) == {""}
    pq.write_table(day_of(4), folder / "4.parquet")
    whole = build(tmp_path)
    assert list_processed(whole) == {""}
    assert whole.dataset.build.ledger.read == 600
    with pytest.raises(LakeError, match=r"no folder of the main table is named like week=…"):
        build(tmp_path, "increments.by=[week]")

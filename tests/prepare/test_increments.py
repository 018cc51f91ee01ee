"""A dataset that follows its lake: what changed is processed, and the rows are those of all."""

from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.errors import DatasetError, LakeError
from pipelines.lake import DatasetVersion
from tests.prepare.daily import (
    build,
    day_of,
    processed,
    rebuilt,
    remove_day,
    rows_of,
    write_day,
    write_places,
)

pytestmark = pytest.mark.spark


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three days."""
    write_places(tmp_path)
    for day in (1, 2, 3):
        write_day(tmp_path, day)
    return tmp_path


def same_rows(one: DatasetVersion, other: DatasetVersion) -> None:
    pd.testing.assert_frame_equal(rows_of(one), rows_of(other))


def test_a_new_day_is_all_that_is_read(lake: Path) -> None:
    first = build(lake)
    assert (first.published, first.dataset.version, first.why) == (True, 0, "the first build")
    assert processed(first) == {"day=01", "day=02", "day=03"}
    write_day(lake, 4)
    second = build(lake)
    assert (second.dataset.version, processed(second)) == (1, {"day=04"})
    assert second.dataset.build.processed.read == 150
    assert second.dataset.build.ledger.read == 600
    assert second.dataset.build.ledger.quarantined == {"range(x)": 12}
    assert second.dataset.transform_json == first.dataset.transform_json
    same_rows(second.dataset, rebuilt(lake, second.dataset))
    # the old version is what it was
    old = DatasetVersion.open(first.dataset.root, 0)
    assert (old.digest, old.build.ledger.read) == (first.dataset.digest, 450)
    kept = {f.path for f in old.build.files}
    assert kept < {f.path for f in second.dataset.build.files}


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
    assert processed(second) == {"day=02"}
    assert second.dataset.build.ledger.read == 420
    same_rows(second.dataset, rebuilt(lake, second.dataset))
    assert DatasetVersion.open(first.dataset.root, 0).digest == first.dataset.digest


def test_a_removed_day_takes_its_rows_along(lake: Path) -> None:
    first = build(lake)
    remove_day(lake, 3)
    second = build(lake)
    assert processed(second) == set()
    assert "start_spark" not in second.seconds  # nothing has to be read
    assert {p.name for p in second.dataset.build.partitions} == {"day=01", "day=02"}
    assert second.dataset.build.ledger.read == 300
    same_rows(second.dataset, rebuilt(lake, second.dataset))
    gone = set(rows_of(first.dataset)["row_id"]) - set(rows_of(second.dataset)["row_id"])
    assert len(gone) == first.dataset.build.partitions[2].ledger.accounted - 3
    assert gone <= set(rows_of(DatasetVersion.open(first.dataset.root, 0))["row_id"])


def test_one_row_a_key_though_it_comes_again_on_another_day(lake: Path) -> None:
    first = build(lake)
    before = rows_of(first.dataset)
    # 20 events of the first day once more, later: the first day loses them
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    second = build(lake)
    assert processed(second) == {"day=01", "day=04"}
    assert second.dataset.build.ledger.duplicates == 20 - 3  # three of them are out by the rule
    same_rows(second.dataset, rebuilt(lake, second.dataset))
    # an old row arrives late: it loses, and stays lost
    write_day(lake, 5, day_of(5), day_of(1, rows=10, first=2050))
    third = build(lake)
    assert processed(third) == {"day=02", "day=05"}
    same_rows(third.dataset, rebuilt(lake, third.dataset))
    # the day that won is corrected away: the first day's rows come back
    write_day(lake, 4, day_of(4))
    fourth = build(lake)
    assert processed(fourth) >= {"day=01", "day=04"}
    same_rows(fourth.dataset, rebuilt(lake, fourth.dataset))
    remove_day(lake, 4)
    remove_day(lake, 5)
    last = build(lake)
    after = rows_of(last.dataset)
    pd.testing.assert_frame_equal(before, after)


def test_a_loser_that_is_corrected_may_win(lake: Path) -> None:
    write_day(lake, 4, day_of(4), day_of(4, rows=10, first=1020, at=3))  # wins: at 43 against 10
    build(lake)
    again = day_of(1, rows=10, first=1020)
    later = again.set_column(1, "at", pa.array([99] * 10, pa.int64()))
    write_day(lake, 1, day_of(1, rows=20), later, day_of(1, rows=120, first=1030))
    made = build(lake)
    assert processed(made) == {"day=01", "day=04"}
    same_rows(made.dataset, rebuilt(lake, made.dataset))


def test_folders_that_spark_reads_as_one_value_may_share_a_key(lake: Path) -> None:
    build(lake, "clean.dedup.key=[event, day]")
    folder = lake / "lake" / "events" / "day=1"
    folder.mkdir()
    pq.write_table(day_of(1, at=1), folder / "part-0.parquet")
    second = build(lake, "clean.dedup.key=[event, day]")
    assert processed(second) == {"day=01", "day=1"}
    assert second.dataset.build.ledger.duplicates == 147


def test_a_key_of_another_type_is_refused_and_a_wider_one_is_not(lake: Path) -> None:
    build(lake)
    wide = day_of(4, rows=20, first=1010, at=1)
    narrow = wide.set_column(0, "event", wide["event"].cast(pa.int32()))
    for day in (1, 2, 3):  # all int32 now, and the keys are those that they were
        rows = day_of(day)
        write_day(lake, day, rows.set_column(0, "event", rows["event"].cast(pa.int32())))
    write_day(lake, 4, narrow)
    same = build(lake)
    assert same.dataset.build.ledger.duplicates == 17  # three of the 20 are out by the rule
    write_day(lake, 5)
    for day in (1, 2, 3, 4, 5):
        rows = day_of(day)
        write_day(lake, day, rows.set_column(0, "event", rows["event"].cast(pa.string())))
    with pytest.raises(LakeError, match="event is string, it was integer"):
        build(lake)


def test_a_lake_that_loses_its_labels_publishes_nothing(lake: Path) -> None:
    first = build(lake, "increments.by=table")
    for day in (1, 2, 3):
        rows = day_of(day)
        write_day(lake, day, rows.set_column(4, "y", pa.nulls(rows.num_rows, pa.bool_())))
    with pytest.raises(LakeError, match=r"no row of table 'events' is left to train on, of 450"):
        build(lake, "increments.by=table")
    assert DatasetVersion.open(first.dataset.root).version == 0


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
    assert processed(build(lake)) == {"day=04"}


def test_a_record_that_was_removed_is_built_anew(lake: Path) -> None:
    first = build(lake)
    (Path(first.dataset.root) / "_headrace" / first.dataset.build.build_id / "build.json").unlink()
    second = build(lake)
    assert (second.dataset.version, second.why) == (1, "the first build")
    assert not second.dataset.build.partial


@pytest.mark.long
def test_links_to_folders_are_followed(lake: Path) -> None:
    build(lake)
    away = lake / "away"
    away.mkdir()
    pq.write_table(day_of(4), away / "part-0.parquet")
    (lake / "lake" / "events" / "day=04").symlink_to(away)
    assert processed(build(lake)) == {"day=04"}
    pq.write_table(day_of(4, rows=100), away / "part-0.parquet")
    assert processed(build(lake)) == {"day=04"}


@pytest.mark.long
def test_a_winner_may_move_on_and_go(lake: Path) -> None:
    build(lake)
    again = day_of(1, rows=30, first=1020, at=3)
    write_day(lake, 4, day_of(4), again)  # wins against the first day
    build(lake)
    write_day(lake, 5, day_of(5), day_of(5, rows=30, first=1020, at=4))  # wins against both
    made = build(lake)
    same_rows(made.dataset, rebuilt(lake, made.dataset))
    remove_day(lake, 4)  # the first day's rows now lose against the fifth
    made = build(lake)
    same_rows(made.dataset, rebuilt(lake, made.dataset))
    remove_day(lake, 5)
    made = build(lake)
    same_rows(made.dataset, rebuilt(lake, made.dataset))
    assert made.dataset.build.ledger.duplicates == 0


def test_a_joined_table_that_changes_is_looked_up_again(lake: Path) -> None:
    build(lake)
    write_places(lake, height=5.0)
    second = build(lake)
    assert processed(second) == {"day=01", "day=02", "day=03"}
    assert second.why == "table places changed"
    same_rows(second.dataset, rebuilt(lake, second.dataset))
    keep = (
        "source.joins=[{table: places, key: [place], columns: {height: height}, on_change: keep}]"
    )
    kept = build(lake, keep)
    assert kept.why.startswith("the recipe changed (source.joins)")
    write_places(lake, height=9.0)
    assert not build(lake, keep).published
    write_day(lake, 4)
    assert processed(build(lake, keep)) == {"day=04"}


def test_another_recipe_fits_again(lake: Path) -> None:
    first = build(lake)
    second = build(lake, "features.x.kind=min_max")
    assert second.why == "the recipe changed (features.x.kind)"
    assert second.dataset.build.transform_of is None
    assert second.dataset.transform_json != first.dataset.transform_json
    # what rows do not depend on is no change
    assert not build(lake, "features.x.kind=min_max", "train.epochs=3").published


@pytest.mark.long
def test_increments_may_refit_always(lake: Path) -> None:
    first = build(lake, "increments.refit=always")
    assert not build(lake, "increments.refit=always").published
    write_day(lake, 4)
    second = build(lake, "increments.refit=always")
    assert processed(second) == {f"day=0{n}" for n in (1, 2, 3, 4)}
    assert second.dataset.transform_json != first.dataset.transform_json


def test_a_key_with_the_partition_column_meets_no_other_partition(lake: Path) -> None:
    build(lake, "clean.dedup.key=[event, day]")
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    second = build(lake, "clean.dedup.key=[event, day]")
    assert processed(second) == {"day=04"}
    assert second.dataset.build.ledger.duplicates == 0


def test_the_profile_is_of_all_rows_of_a_version(lake: Path) -> None:
    build(lake)
    write_day(lake, 4)
    second = build(lake).dataset
    whole = rebuilt(lake, second)
    assert second.profile.distributions == whole.profile.distributions
    assert second.profile.columns == whole.profile.columns
    x = next(d for d in second.build_profile.distributions if d.name == "x")
    assert sum(map(sum, x.counts.values())) == 147


def test_drift_of_new_rows_is_found_and_what_is_done_about_it(lake: Path) -> None:
    first = build(lake)
    write_day(lake, 4)
    same = build(lake)
    assert {d.name for d in same.dataset.build.drift} == {"x", "height", "place", "label"}
    assert not [d for d in same.dataset.build.drift if d.drifted]
    moved = day_of(5, rows=400)
    moved = moved.set_column(2, "x", pc.add(moved["x"], 40.0))
    moved = moved.set_column(3, "place", pa.array(["elsewhere"] * 400))
    write_day(lake, 5, moved)
    with pytest.raises(LakeError, match=r"x: psi \d") as caught:
        build(lake, "increments.on_drift=fail")
    assert "place: unknown_share" in str(caught.value)
    assert "fit again with --refit" in str(caught.value)
    assert DatasetVersion.open(first.dataset.root).version == same.dataset.version
    warned = build(lake)
    far = {(d.name, d.measure) for d in warned.dataset.build.drift if d.drifted}
    assert {("x", "psi"), ("place", "l_infinity"), ("place", "unknown_share")} <= far
    assert "label" not in {name for name, _ in far}
    assert "above their limits" in warned.dataset.text("report.html")
    assert warned.dataset.transform_json == first.dataset.transform_json
    write_day(lake, 5, moved, file="again")
    refitted = build(lake, "increments.on_drift=refit")
    assert refitted.why.startswith("rows drifted (")
    assert refitted.dataset.build.transform_of is None
    assert "elsewhere" in refitted.dataset.transform_json
    assert not refitted.dataset.build.partial
    left = {
        str(p.relative_to(first.dataset.root))
        for p in Path(first.dataset.root).glob(f"split=*/part-{refitted.dataset.build.build_id}-*")
    }
    assert left == {f.path for f in refitted.dataset.build.files}


def test_classes_that_the_transform_does_not_know_are_drift(lake: Path) -> None:
    classes = (
        "label={expression: \"coalesce(place, 'none')\", kind: classes}",
        "features={x: {kind: standardize}}",
    )
    build(lake, *classes)
    new = day_of(4, rows=100)
    place = pa.array(["elsewhere"] * 40 + new["place"].to_pylist()[40:])
    write_day(lake, 4, new.set_column(3, "place", place))
    made = build(lake, *classes).dataset.build
    left_out = made.processed.filtered["label class is not in the train split"]
    assert left_out == 37  # of the 40, three are out by the rule
    found = next(d for d in made.drift if (d.name, d.measure) == ("label", "unknown_share"))
    assert (found.drifted, found.rows) == (True, 97)
    assert found.value == pytest.approx(37 / 97)


def test_a_build_with_an_id_is_published_once(lake: Path) -> None:
    first = build(lake, given_id="nightly-1")
    assert first.published
    write_day(lake, 4)
    again = build(lake, given_id="nightly-1")
    assert (again.published, again.dataset.version) == (False, 0)
    assert again.why == "published as nightly-1 before"
    assert build(lake, given_id="nightly-2").dataset.version == 1


def test_a_file_that_changes_during_the_build_is_not_published(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.prepare.run as stage

    real = stage.build_rows

    def changed_meanwhile(*arguments: object) -> object:
        rows = real(*arguments)
        write_day(lake, 2, day_of(2, rows=10))
        return rows

    monkeypatch.setattr(stage, "build_rows", changed_meanwhile)
    with pytest.raises(LakeError, match=r"day=02/part-0.parquet changed during the build"):
        build(lake)
    assert not list((lake / "dataset").glob("split=*/*"))


@pytest.mark.long
def test_no_key_changes_its_split_in_twelve_increments(lake: Path) -> None:
    known: dict[int, str] = {}
    for day in range(4, 16):
        # some rows come again a day later
        write_day(lake, day, day_of(day, rows=40), day_of(day, rows=5, first=1000 * (day - 1)))
        made = build(lake).dataset
        found = rows_of(made).set_index("row_id")["split"].to_dict()
        assert len(found) == made.build.ledger.accounted - made.build.ledger.duplicates - sum(
            made.build.ledger.quarantined.values()
        )
        assert {k: v for k, v in found.items() if k in known} == known
        known = found
    assert made.version == 11
    assert set(known.values()) == {"train", "validation", "test"}


def test_outside_readers_see_a_pinned_version(lake: Path) -> None:
    build(lake)
    write_day(lake, 4)
    build(lake)
    for version in (0, 1):
        ours = rows_of(DatasetVersion.open(str(lake / "dataset"), version))
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
    assert processed(first) == {"day=01", "day=02", "day=03"}
    folder = lake / "lake" / "lines" / "day=04"
    folder.mkdir()
    day_of(4).to_pandas().to_csv(folder / "a.csv", index=False)
    second = build(lake, *csv)
    assert processed(second) == {"day=04"}
    same_rows(second.dataset, rebuilt(lake, second.dataset, *csv))


def test_files_of_a_flat_folder_may_be_the_unit(tmp_path: Path) -> None:
    write_places(tmp_path)
    folder = tmp_path / "lake" / "events"
    folder.mkdir(parents=True)
    for day in (1, 2):
        pq.write_table(day_of(day), folder / f"{day}.parquet")
    by_file = "increments.by=file"
    assert processed(build(tmp_path, by_file)) == {"1.parquet", "2.parquet"}
    pq.write_table(day_of(3), folder / "3.parquet")
    assert processed(build(tmp_path, by_file)) == {"3.parquet"}
    # by default a table without partition folders is one source partition
    assert processed(build(tmp_path)) == {""}
    pq.write_table(day_of(4), folder / "4.parquet")
    whole = build(tmp_path)
    assert processed(whole) == {""}
    assert whole.dataset.build.ledger.read == 600
    with pytest.raises(LakeError, match=r"no folder of the main table is named like week=…"):
        build(tmp_path, "increments.by=[week]")

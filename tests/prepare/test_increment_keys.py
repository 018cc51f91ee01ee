"""One row a key, whichever source partitions it comes in, from increment to increment."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare import prepare
from tests.prepare.daily import (
    assert_same_rows,
    build,
    daily_recipe,
    day_of,
    list_processed,
    read_rows,
    rebuild,
    remove_day,
    write_day,
)

pytestmark = pytest.mark.spark


def test_one_row_a_key_though_it_comes_again_on_another_day(lake: Path) -> None:
    first = build(lake)
    before = read_rows(first.dataset)
    # 20 events of the first day once more, later: the first day loses them
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    second = build(lake)
    assert list_processed(second) == {"day=01", "day=04"}
    assert second.dataset.build.ledger.duplicates == 20 - 3  # three of them are out by the rule
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    # an old row arrives late: it loses, and stays lost
    write_day(lake, 5, day_of(5), day_of(1, rows=10, first=2050))
    third = build(lake)
    assert list_processed(third) == {"day=02", "day=05"}
    assert_same_rows(third.dataset, rebuild(lake, third.dataset))
    # the day that won is corrected away: the first day's rows come back
    write_day(lake, 4, day_of(4))
    fourth = build(lake)
    assert list_processed(fourth) >= {"day=01", "day=04"}
    assert_same_rows(fourth.dataset, rebuild(lake, fourth.dataset))
    remove_day(lake, 4)
    remove_day(lake, 5)
    last = build(lake)
    after = read_rows(last.dataset)
    pd.testing.assert_frame_equal(before, after)


def test_a_loser_that_is_corrected_may_win(lake: Path) -> None:
    write_day(lake, 4, day_of(4), day_of(4, rows=10, first=1020, at=3))  # wins: at 43 against 10
    build(lake)
    again = day_of(1, rows=10, first=1020)
    later = again.set_column(1, "at", pa.array([99] * 10, pa.int64()))
    write_day(lake, 1, day_of(1, rows=20), later, day_of(1, rows=120, first=1030))
    prepared = build(lake)
    assert list_processed(prepared) == {"day=01", "day=04"}
    assert_same_rows(prepared.dataset, rebuild(lake, prepared.dataset))


def test_folders_that_spark_reads_as_one_value_may_share_a_key(lake: Path) -> None:
    build(lake, "clean.dedup.key=[event, day]")
    folder = lake / "lake" / "events" / "day=1"
    folder.mkdir()
    pq.write_table(day_of(1, at=1), folder / "part-0.parquet")
    second = build(lake, "clean.dedup.key=[event, day]")
    assert list_processed(second) == {"day=01", "day=1"}
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


@pytest.mark.long
def test_a_winner_may_move_on_and_go(lake: Path) -> None:
    build(lake)
    again = day_of(1, rows=30, first=1020, at=3)
    write_day(lake, 4, day_of(4), again)  # wins against the first day
    build(lake)
    write_day(lake, 5, day_of(5), day_of(5, rows=30, first=1020, at=4))  # wins against both
    prepared = build(lake)
    assert_same_rows(prepared.dataset, rebuild(lake, prepared.dataset))
    remove_day(lake, 4)  # the first day's rows now lose against the fifth
    prepared = build(lake)
    assert_same_rows(prepared.dataset, rebuild(lake, prepared.dataset))
    remove_day(lake, 5)
    prepared = build(lake)
    assert_same_rows(prepared.dataset, rebuild(lake, prepared.dataset))
    assert prepared.dataset.build.ledger.duplicates == 0


def test_a_key_with_the_partition_column_meets_no_other_partition(lake: Path) -> None:
    build(lake, "clean.dedup.key=[event, day]")
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    second = build(lake, "clean.dedup.key=[event, day]")
    assert list_processed(second) == {"day=04"}
    assert second.dataset.build.ledger.duplicates == 0


@pytest.mark.long
def test_no_key_changes_its_split_in_twelve_increments(lake: Path) -> None:
    earlier: dict[int, str] = {}
    for day in range(4, 16):
        # some rows come again a day later
        write_day(lake, day, day_of(day, rows=40), day_of(day, rows=5, first=1000 * (day - 1)))
        dataset = build(lake).dataset
        splits = read_rows(dataset).set_index("row_id")["split"].to_dict()
        assert len(
            splits
        ) == dataset.build.ledger.accounted_rows - dataset.build.ledger.duplicates - sum(
            dataset.build.ledger.quarantined.values()
        )
        assert {k: v for k, v in splits.items() if k in earlier} == earlier
        earlier = splits
    assert dataset.version == 11
    assert set(earlier.values()) == {"train", "validation", "test"}


def flip_last_hash(path: Path) -> None:
    """Change a bit of the last page that has hashes."""
    content, page = (
        bytearray(path.read_bytes()),
        pq.ParquetFile(path).metadata.row_group(0).column(1),
    )
    content[page.data_page_offset + page.total_compressed_size - 1] ^= 8
    path.write_bytes(bytes(content))


@pytest.mark.long
@pytest.mark.parametrize("state", ["whole", "older", "damaged"])
def test_keys_are_looked_up_in_hashes_or_read_where_there_are_none(lake: Path, state: str) -> None:
    first = build(lake)
    sidecar = Path(first.dataset.root) / "_headrace" / first.dataset.build.build_id
    files = sorted((sidecar / "key_hashes").iterdir())
    names, hashes = set(), []
    for file in files:
        table = pq.read_table(file)
        names |= {*table["partition"].to_pylist()}
        hashes.append(table["hash"].to_numpy())
    assert names == {"day=01", "day=02", "day=03"}
    row_ids = read_rows(first.dataset)["row_id"].to_numpy().view(np.uint64)
    assert sorted(np.concatenate(hashes).tolist()) == sorted((row_ids >> 16).tolist())
    if state == "older":  # of a Headrace that wrote none
        (sidecar / "key_hashes.json").unlink()
    if state == "damaged":
        flip_last_hash(files[0])
    write_day(lake, 4, day_of(4), day_of(4, rows=20, first=1010, at=1))
    messages: list[str] = []
    second = prepare(
        daily_recipe(lake), workdir=str(lake), report=lambda p: messages.append(str(p))
    )
    assert list_processed(second) == {"day=01", "day=04"}
    assert_same_rows(second.dataset, rebuild(lake, second.dataset))
    said = "\n".join(messages)
    assert "as clean.dedup.key lacks day" in said
    assert ("(keys of 441 are read" in said) is (state == "older")
    assert ("are read instead of hashes" in said) is (state == "damaged")


@pytest.mark.long
def test_hashes_of_retained_partitions_outlive_a_vacuum(lake: Path) -> None:
    first = build(lake)
    write_day(lake, 4)
    build(lake)
    keep = timedelta(0)
    vacuum_dataset(
        first.dataset.root, keep=keep, leftovers_after=keep, now=datetime.now(UTC), dry_run=False
    )
    files = Path(first.dataset.root) / "_headrace" / first.dataset.build.build_id / "key_hashes"
    assert list(files.iterdir())
    write_day(lake, 5, day_of(5), day_of(5, rows=20, first=1010, at=1))
    messages: list[str] = []
    third = prepare(daily_recipe(lake), workdir=str(lake), report=lambda p: messages.append(str(p)))
    assert list_processed(third) == {"day=01", "day=05"}
    assert not any("are read" in message for message in messages)


@pytest.mark.long
def test_hashes_of_many_nights_are_merged_and_found(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.prepare.merge_key_hashes.MAX_BUILDS", 3)
    keep = timedelta(0)
    for day in range(4, 10):
        write_day(lake, day)
        built = build(lake).dataset
        assert len({p.hashes_build for p in built.build.partitions}) <= 3
        vacuum_dataset(
            built.root, keep=keep, leftovers_after=keep, now=datetime.now(UTC), dry_run=False
        )
    moved = {p.name: p.hashes for p in built.build.partitions}
    assert moved["day=01"] not in (None, built.build.partitions[0].build_id)
    write_day(lake, 10, day_of(10), day_of(10, rows=20, first=1010, at=1))
    messages: list[str] = []
    last = prepare(daily_recipe(lake), workdir=str(lake), report=lambda p: messages.append(str(p)))
    assert list_processed(last) == {"day=01", "day=10"}
    assert not any("are read" in message for message in messages)
    assert_same_rows(last.dataset, rebuild(lake, last.dataset))

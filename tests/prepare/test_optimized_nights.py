"""Whatever nights follow, a dataset that is optimized at times has the rows of one that is not."""

import random
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from headrace.lake import DatasetVersion
from headrace.lake.data_file import SPLITS
from headrace.lake.history import list_versions
from headrace.lake.vacuum import vacuum_dataset
from headrace.prepare.restore import restore_version
from tests.prepare.small_days import assert_same_rows, optimize, publish_night


def change_at_random(rng: random.Random, days: set[int]) -> tuple[dict, list[str]]:
    """Return rows of some days, changed or new, and days that go; a split may have none."""
    some = rng.sample(sorted(days), min(len(days), rng.randint(0, 2)))
    new = [max(days, default=0) + 1 + i for i in range(rng.randint(0, 2))]
    rows = {
        f"day={day:02}": {
            split: rng.sample(range(1000 * day, 1000 * day + 900), rng.choice([0, 1, 3, 9, 25]))
            for split in SPLITS
        }
        for day in {*some, *new}
    }
    gone = [] if len(days) < 4 else rng.sample(sorted(days - {*some}), rng.randint(0, 1))
    days |= {*new}
    days -= {*gone}
    return rows, [f"day={day:02}" for day in gone]


@pytest.mark.parametrize(
    "seeds", [range(2), pytest.param(range(2, 40), marks=pytest.mark.long)], ids=["few", "many"]
)
def test_whatever_happens_afterwards_ends_as_without_it(
    tmp_path_factory: pytest.TempPathFactory, seeds: range
) -> None:
    for seed in seeds:
        follow_random_nights(tmp_path_factory, seed)


def follow_random_nights(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Publish the same nights on a dataset that is optimized at times, and on one that is not."""
    rng = random.Random(seed)
    plain, merged = (tmp_path_factory.mktemp("days") / name for name in ("plain", "merged"))
    sizes = {"rows_per_file": rng.choice([10, 40, 1000]), "rows_per_row_group": rng.choice([3, 8])}
    days = set(range(6))
    first = {f"day={day:02}": {"train": [1000 * day], "test": [1000 * day + 1] * (day % 2)}
             for day in days}  # fmt: skip
    other = publish_night(plain, 0, first, **sizes)
    shutil.copytree(plain, merged)
    one = optimize(merged).dataset
    assert_same_rows(one, other)
    pairs = [(one.version, other.version)]
    for night in range(1, 8):
        newest = one.version, other.version
        earlier = [v for v in pairs if v[0] < newest[0] and v[1] < newest[1]]
        if rng.random() < 0.2:
            mine, its = rng.choice(earlier or [(None, None)])
            if mine is not None:
                one, other = (restore_version(str(r), v) for r, v in ((merged, mine), (plain, its)))
        else:
            rows, gone = change_at_random(rng, {int(p.name[-2:]) for p in other.build.partitions})
            rows = rows or {"day=00": {"train": [night]}}
            one, other = (
                publish_night(root, night, rows, removed=gone, **sizes) for root in (merged, plain)
            )
        assert_same_rows(one, other)
        if rng.random() < 0.6:
            one = optimize(merged).dataset
            assert_same_rows(one, other)
        pairs.append((one.version, other.version))
        if rng.random() < 0.3:
            for root in (merged, plain):
                vacuum_dataset(
                    str(root), keep=timedelta(0), leftovers_after=timedelta(days=1),
                    now=datetime.now(UTC) + timedelta(days=9), dry_run=False,
                )  # fmt: skip
            pairs = pairs[-1:]
            assert_same_rows(DatasetVersion.open(str(merged)), other)
    assert list_versions(str(merged))[-1].summary is not None

"""Whatever happens to a lake between builds, increments end where a full build ends."""

import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from tests.prepare.daily import (
    build,
    day_of,
    read_rows,
    rebuild,
    remove_day,
    write_day,
    write_places,
)

pytestmark = [pytest.mark.spark, pytest.mark.long]

STEPS = 6


def some_day(rng: random.Random, day: int) -> list[pa.Table]:
    """Rows of the day's own keys, and of keys that all days share: earlier, later or tied."""
    shared = day_of(day, rows=30, first=100, at=rng.randrange(3))
    at = pa.array([rng.randint(1, 5) for _ in range(shared.num_rows)], pa.int64())
    some = pa.array([rng.random() < 0.4 for _ in range(shared.num_rows)])
    own = day_of(day, rows=20 + rng.randrange(20), at=rng.randrange(3))
    return [own, shared.set_column(1, "at", at).filter(some)]


@pytest.mark.parametrize("seed", range(6))
def test_increments_end_where_a_full_build_ends(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    write_places(tmp_path)
    days = {1, 2, 3}
    for day in days:
        write_day(tmp_path, day, *some_day(rng, day))
    build(tmp_path)
    for step in range(STEPS):
        for _ in range(rng.randint(1, 2)):
            kind = rng.choice(["new", "corrected", "corrected", "removed"])
            if kind == "new" or len(days) < 3:
                day = rng.choice([d for d in range(1, 9) if d not in days] or [9])
                write_day(tmp_path, day, *some_day(rng, day))
                days.add(day)
            elif kind == "corrected":
                day = rng.choice(sorted(days))
                write_day(tmp_path, day, *some_day(rng, day), file=f"step-{step}")
            else:
                day = rng.choice(sorted(days))
                remove_day(tmp_path, day)
                days.remove(day)
        prepared = build(tmp_path)
        if not prepared.published:  # a day that came and went
            continue
        dataset = prepared.dataset
        whole = rebuild(tmp_path, dataset)
        pd.testing.assert_frame_equal(read_rows(dataset), read_rows(whole))
        assert dataset.build.ledger == whole.build.ledger
        assert dataset.count_rows("train") > 0

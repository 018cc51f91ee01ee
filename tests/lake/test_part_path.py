"""A data file's path says which build wrote it, and keeps the place of its rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.part_path import make_part_path, make_rewritten_path, parse_build_id

FIRST, SECOND = "20260101T000000-0000000a", "20260102T000000-0000000b"
IDS = st.sampled_from([FIRST, SECOND, "first", "first.x", "first-1", "a_b"])


@pytest.mark.parametrize(
    ("path", "build_id"),
    [
        (f"split=train/part-{FIRST}-00012-0.parquet", FIRST),
        (f"split=train/part-{FIRST}-123456-3.parquet", FIRST),
        (f"split=train/part-{FIRST}-00012-0.rewritten-{SECOND}.parquet", SECOND),
        ("split=train/part-by-hand-00000-0.parquet", "by-hand"),
        ("split=train/part-00000-5f2e.c000.snappy.parquet", None),  # of Spark's own writer
        ("split=train/notes.txt", None),
        (f"split=train/part-{FIRST}-00012-0.rewritten-.parquet", None),
    ],
)
def test_the_build_that_wrote_it(path: str, build_id: str | None) -> None:
    assert parse_build_id(path) == build_id


def test_a_rewritten_file_is_named_by_its_place_and_its_last_build() -> None:
    path = make_part_path("test", FIRST, 7, 1)
    assert path == f"split=test/part-{FIRST}-00007-1.parquet"
    once = make_rewritten_path(path, SECOND)
    assert once == f"split=test/part-{FIRST}-00007-1.rewritten-{SECOND}.parquet"
    assert make_rewritten_path(once, "third") == (
        f"split=test/part-{FIRST}-00007-1.rewritten-third.parquet"
    )


@given(
    st.lists(st.tuples(IDS, st.integers(0, 120_000)), min_size=2, unique=True),
    st.data(),
)
def test_whatever_is_rewritten_the_order_stays(parts: list, data: st.DataObject) -> None:
    paths = sorted(
        make_part_path("train", build_id, target, target % 12) for build_id, target in parts
    )
    rewritten = [
        make_rewritten_path(path, data.draw(IDS)) if data.draw(st.booleans()) else path
        for path in paths
    ]
    assert sorted(rewritten) == rewritten

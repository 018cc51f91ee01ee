"""Which manifests are merged: hand-worked, and as a property over thousands of nights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.manifest import MAX_BYTES, ManifestRef
from headrace.lake.manifest_merge import MAX_OPEN, choose_merge


def ref(lines: int = 1, level: int = 0, size: int = 100) -> ManifestRef:
    name = f"files-{'0' * 64}.jsonl"
    return ManifestRef(build_id="one", name=name, bytes=size, lines=lines, level=level)


FULL = ref(10_000, 2, MAX_BYTES)


@pytest.mark.parametrize(
    ("old", "changed", "live", "expected", "why"),
    [
        ([], 5, 5, (0, 0), "the first"),
        ([ref()] * 15, 1, 16, (15, 0), "the sixteenth is one more"),
        ([ref()] * 16, 1, 17, (0, 1), "the seventeenth merges those of its level"),
        ([ref(17, 1), *[ref()] * 15], 1, 33, (1, 1), "those before stay"),
        ([ref(9, 1)] * 16, 1, 145, (0, 2), "none of the lowest level is left"),
        ([ref(99, 2), *[ref(9, 1)] * 15], 1, 250, (1, 2), "the next level"),
        ([ref(100)], 65, 50, (0, 0), "more lines are dead than live"),
        ([ref(100, 3), ref()], 65, 50, (0, 3), "the level stays"),
        ([ref(100)], 64, 50, (1, 0), "as many are dead as are live, and some"),
        ([FULL, *[ref()] * 15], 1, 10_016, (16, 0), "a full one is not counted"),
        ([FULL, *[ref()] * 16], 1, 10_017, (1, 1), "and not written again"),
        ([*[ref()] * 20, FULL], 1, 10_021, (21, 0), "nor is what is before it"),
    ],
)
def test_what_is_merged(
    old: list[ManifestRef], changed: int, live: int, expected: tuple[int, int], why: str
) -> None:
    assert choose_merge(old, changed, live) == expected, why


def run_nights(nights: int) -> tuple[int, float]:
    """Add a line each night; return the most manifests, and the lines written a night."""
    manifests: list[ManifestRef] = []
    most = written = 0
    for night in range(nights):
        start, level = choose_merge(manifests, 1, night + 1)
        lines = 1 + sum(merged.lines for merged in manifests[start:])
        manifests = [*manifests[:start], ref(lines, level)]
        most, written = max(most, len(manifests)), written + lines
        assert [m.level for m in manifests] == sorted((m.level for m in manifests), reverse=True)
    assert sum(merged.lines for merged in manifests) == nights
    return most, written / nights


@pytest.mark.parametrize(("nights", "rewritten"), [(16, 0), (152, 1), (968, 2), (4844, 3)])
def test_a_line_is_written_again_a_few_times_in_thousands_of_nights(
    nights: int, rewritten: int
) -> None:
    most, lines = run_nights(nights)
    assert most <= MAX_OPEN
    assert lines <= 1 + rewritten


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=120))
def test_dead_lines_are_never_more_than_the_live_ones_and_some(
    nights: list[tuple[int, int]],
) -> None:
    """What is written is in proportion to what changed: a line pays for itself and one dead one."""
    manifests: list[ManifestRef] = []
    live = written = changed = 0
    for added, wanted in nights:
        removed = min(live, wanted)
        live += added - removed
        lines = added + removed
        if not lines:
            continue
        start, level = choose_merge(manifests, lines, live)
        merged = lines + sum(m.lines for m in manifests[start:])
        merged = live if start == 0 else merged
        manifests = [*manifests[:start], *([ref(merged, level)] if merged else [])]
        written, changed = written + merged, changed + lines
        assert sum(m.lines for m in manifests) <= 2 * live + 64
        assert len(manifests) <= MAX_OPEN
    assert written <= 4 * changed + 64

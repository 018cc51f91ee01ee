"""Choose which manifests of a record are merged with what a build changed.

Each build writes one manifest of its changes, so that what it writes does not grow with the
history; and some builds merge manifests, so that their number does not either. Of manifests that
are small enough to be merged a record has `MAX_OPEN` at most. Which are merged follows the binomial
rule of Bentley and Saxe: the newest ones of the lowest level become one of the next level, as soon
as there are more. A line of n builds is then written again once in 152 builds, twice in 968, three
times in 4,844, the fewest that is possible with 16 manifests.
"""

from collections.abc import Sequence

from headrace.lake.manifest import MAX_BYTES, ManifestRef

MAX_OPEN = 16
"""Manifests at most that may still be merged; a reader opens that many, and what is full."""
_FULL_BYTES = MAX_BYTES // 2
_SPARE_LINES = 64
"""Lines that may be dead beside as many as are live, before everything is written once more."""


def choose_merge(old: Sequence[ManifestRef], changed: int, live: int) -> tuple[int, int]:
    """Choose the manifests that a build merges with its own changes.

    Args:
        old: manifests of the base, the oldest first.
        changed: lines that the build adds.
        live: rows of all lists after the build.

    Returns:
        position of the first manifest that is merged, as are all after it; `len(old)` for none, 0
        for all. And the level of the new manifest.
    """
    if not old:
        return 0, 0
    if sum(ref.lines for ref in old) + changed > 2 * live + _SPARE_LINES:
        return 0, max(ref.level for ref in old)
    # A manifest that is full is not written again for those after it: its lines are many.
    first = next((i + 1 for i in reversed(range(len(old))) if old[i].bytes >= _FULL_BYTES), 0)
    if len(old) - first < MAX_OPEN:
        return len(old), 0
    level = old[-1].level
    start = len(old)
    while start > first and old[start - 1].level <= level:
        start -= 1
    return start, level + 1

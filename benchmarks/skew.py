"""What two hard columns cost Headrace's prepare stage.

One has a single value in 90% of rows, the other (about) a value of its own in every row; the same
lake is prepared with and without them.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.contest import Job, hold_rounds
from benchmarks.lakes import HOT, UNIQUE, read_once, skewed_lake
from benchmarks.report import median_ratio


def measure_skew(
    workdir: str, rows: int, rounds: int, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run both alternately; figures of all rounds and the median of the rounds' ratios."""
    lake = skewed_lake(workdir, rows)
    read_once(lake)
    jobs = {
        label: Job("headrace", lake, f"{workdir}/out/{label}", f"{workdir}/scratch/{label}", extra)
        for label, extra in {"without": (), "with": (HOT, UNIQUE)}.items()
    }
    held = hold_rounds(jobs, rounds, say=say)
    ratio = median_ratio(
        [runs["with"].seconds for runs in held], [runs["without"].seconds for runs in held]
    )
    return {
        "rows": rows,
        "with_over_without": round(ratio, 3),
        "rounds": [{label: run.figures() for label, run in runs.items()} for runs in held],
    }

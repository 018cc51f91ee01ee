"""Measure what two skewed columns cost Headrace's prepare stage.

One has a single value in 90% of rows, the other (about) a distinct value in every row; the same
lake is prepared with and without them.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.contest import Job, run_rounds
from benchmarks.lakes import HOT, UNIQUE, ensure_skewed_lake, warm_page_cache
from benchmarks.report import compute_median_ratio


def measure_skew(
    workdir: str, rows: int, rounds: int, *, echo: Callable[[str], None]
) -> dict[str, Any]:
    """Run both alternately, and return the figures of all rounds and the median of their ratios."""
    lake = ensure_skewed_lake(workdir, rows)
    warm_page_cache(lake)
    jobs = {
        label: Job(
            "headrace_spark", lake, f"{workdir}/out/{label}", f"{workdir}/scratch/{label}", extra
        )
        for label, extra in {"without": (), "with": (HOT, UNIQUE)}.items()
    }
    rounds_of_runs = run_rounds(jobs, rounds, echo=echo)
    ratio = compute_median_ratio(
        [runs["with"].seconds for runs in rounds_of_runs],
        [runs["without"].seconds for runs in rounds_of_runs],
    )
    return {
        "rows": rows,
        "with_over_without": round(ratio, 3),
        "rounds": [
            {label: run.collect_figures() for label, run in runs.items()} for runs in rounds_of_runs
        ],
    }

"""How Headrace's prepare stage grows with the lake: time and memory at several sizes."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.contest import Job, hold_rounds
from benchmarks.lakes import clicks_lake, read_once
from benchmarks.report import table


def measure_growth(
    workdir: str, sizes: Sequence[int], *, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run Headrace once at every size; a mapping of figures a size."""
    grown = []
    for rows in sizes:
        lake = clicks_lake(workdir, rows)
        read_once(lake)
        job = Job("headrace", lake, f"{workdir}/out/growth", f"{workdir}/scratch/growth")
        run = hold_rounds({f"{rows:,} rows": job}, 1, say=say)[0][f"{rows:,} rows"]
        per_million = round(run.seconds / rows * 1e6, 2)
        grown.append({"rows": rows, "seconds_per_million_rows": per_million, **run.figures()})
    return grown


def say_growth(grown: Sequence[dict[str, Any]]) -> str:
    """The table for people."""
    header = ["rows", "seconds", "per million rows", "driver Python MiB", "driver heap MiB"]
    return table(
        [*header, "all processes MiB"],
        [
            [
                f"{size['rows']:,}",
                f"{size['seconds']:.1f}",
                f"{size['seconds_per_million_rows']:.1f}",
                f"{size['driver_python_peak_mib']:,.0f}",
                f"{size['driver_heap_after_gc_mib']:,.0f}",
                f"{size['tree_peak_mib']:,.0f}",
            ]
            for size in grown
        ],
    )

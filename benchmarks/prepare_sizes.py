"""Measure how Headrace's prepare stage scales with the lake: time and memory at several sizes."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.contest import Job, run_rounds
from benchmarks.lakes import ensure_clicks_lake, warm_page_cache
from benchmarks.report import format_table


def measure_growth(
    workdir: str, sizes: Sequence[int], *, echo: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Run Headrace once at every size, and return the figures of each size."""
    figures_by_size = []
    for rows in sizes:
        lake = ensure_clicks_lake(workdir, rows)
        warm_page_cache(lake)
        job = Job("headrace_spark", lake, f"{workdir}/out/growth", f"{workdir}/scratch/growth")
        run = run_rounds({f"{rows:,} rows": job}, 1, echo=echo)[0][f"{rows:,} rows"]
        per_million = round(run.seconds / rows * 1e6, 2)
        figures_by_size.append(
            {"rows": rows, "seconds_per_million_rows": per_million, **run.collect_figures()}
        )
    return figures_by_size


def format_growth(figures_by_size: Sequence[dict[str, Any]]) -> str:
    """Format the figures as a table."""
    header = ["rows", "seconds", "per million rows", "driver Python MiB", "driver heap MiB"]
    return format_table(
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
            for size in figures_by_size
        ],
    )

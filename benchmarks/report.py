"""Report the figures of benchmarks: tables, JSON, and the machine, versions and commit."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import headrace

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("pyspark", "pyarrow", "polars", "numpy", "deltalake", "tensorflow", "keras", "horovod")


def describe_environment() -> dict[str, Any]:
    """Describe where the figures were measured: JSON keys machine, versions, commit."""
    return {
        "machine": _describe_machine(),
        "versions": _collect_versions(),
        "commit": _describe_commit(),
    }


def measure_cpu_seconds() -> float:
    """Return the processor seconds of this process and all that it started, ended ones included."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def compute_median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Compute the median of the rounds' own ratios, so that a slow machine slows both sides."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table: columns as wide as their cells, the first one left-aligned, others right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def replace_section(page: str, name: str, lines: Sequence[str]) -> str:
    """Replace what a page has between two comments, `<!-- NAME: begin -->` and `: end -->`.

    Args:
        page: path of the Markdown file.
        name: of the section.
        lines: in place of those that are there.

    Returns:
        the section with its comments.

    Raises:
        ValueError: the page has no such section.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = Path(page).read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{page} has no section {begin}")
    section = "\n".join([begin, *lines, end])
    before, rest = text.split(begin, 1)
    Path(page).write_text(before + section + rest.split(end, 1)[1], encoding="utf-8")
    return section


def write_json(path: str, figures: dict[str, Any]) -> None:
    """Write the figures as JSON, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    temporary.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    temporary.replace(target)


def _describe_machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _read_cpu_model(),
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _read_cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _collect_versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "python": sys.version.split()[0],
        "headrace": headrace.__version__,
    }
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _describe_commit() -> dict[str, Any]:
    """Describe the commit, and whether files that it tracks have changed since."""

    def run_git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return {
        "id": run_git("rev-parse", "HEAD") or None,
        "changed": bool(run_git("status", "--porcelain", "--untracked-files=no")),
    }

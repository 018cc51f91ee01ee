"""What every benchmark says beside its figures: machine, versions, commit; tables and JSON."""

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


def surroundings() -> dict[str, Any]:
    """Where and with what the figures were taken: JSON keys machine, versions, commit."""
    return {"machine": _machine(), "versions": _versions(), "commit": _commit()}


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the rounds' own ratios, so that a slow spell of the machine hits both sides."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their cells, the first to the left, the others to the right."""
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


def write_json(path: str, figures: dict[str, Any]) -> None:
    """Write the figures, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    aside.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    aside.replace(target)


def _machine() -> dict[str, Any]:
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {
        "python": sys.version.split()[0],
        "headrace": headrace.__version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _commit() -> dict[str, Any]:
    """The commit, and whether files that it tracks were changed since."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return {
        "id": git("rev-parse", "HEAD") or None,
        "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
    }

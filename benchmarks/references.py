"""Measure which share of the flights' evaluation the references take.

    .venv/bin/python -m benchmarks.references            # 5 rounds
    .venv/bin/python -m benchmarks.references --quick    # 1 round

The recipe is `conf/flights.yaml`, prepared and trained once. Each round evaluates the model without
references, with references that are computed, and with references that are kept; the order turns
from round to round. Figures are medians of the whole command: wall time, and the CPU time of all of
its processes, which other work on the machine disturbs less.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import describe_environment, format_table, write_json

_RECIPE = "conf/flights.yaml"
_HEADRACE = str(Path(sys.executable).parent / "headrace")
WAYS = ("without", "computed", "kept")


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="5 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round.")] = False,
    workdir: Annotated[str, typer.Option(help="For the lake and results.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure what references cost an evaluation."""
    rounds = rounds or (1 if quick else 5)
    folder = Path(workdir).absolute() / "references"
    _ensure_model(folder)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu_seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    _evaluate(folder, "kept")  # what the first command of a machine pays is no cost of references
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            wall, cpu = _evaluate(folder, way)
            seconds[way].append(wall)
            cpu_seconds[way].append(cpu)
            typer.echo(f"round {number + 1}: {way:<10} {wall:.1f} s, {cpu:.1f} s of CPU")
    figures: dict[str, Any] = {"seconds": seconds, "cpu_seconds": cpu_seconds}
    header, table = ["references"], [[way] for way in WAYS]
    for name, values in list(figures.items()):
        medians = {way: statistics.median(values[way]) for way in WAYS}
        shares = {way: medians[way] / medians["without"] - 1 for way in WAYS}
        figures |= {f"{name}_median": medians, f"{name}_share": shares}
        header += [name, "more"]
        for row in table:
            row += [f"{medians[row[0]]:.1f}", f"{shares[row[0]]:+.1%}"]
    typer.echo(format_table(header, table))
    if json_:
        write_json(json_, {"environment": describe_environment(), **figures})


def _ensure_model(folder: Path) -> None:
    """Build the lake and prepare and train once."""
    if (folder / "trained").exists():
        return
    lake = str(folder / "lake" / "flights")
    if not Path(lake).exists():
        _run("lake", "flights", "--out", lake)
    for stage in ("prepare", "train"):
        _run(stage, _RECIPE, "--workdir", str(folder))
    (folder / "trained").touch()


def _evaluate(folder: Path, way: str) -> tuple[float, float]:
    """Evaluate, and return the command's seconds: of wall time, and of CPU time."""
    kept = list((folder / "datasets").glob("*/_headrace/*/references"))
    if way == "computed":
        for path in kept:
            shutil.rmtree(path)
    options = ["--set", "evaluate.references=[]"] if way == "without" else []
    started, cpu_started = time.monotonic(), _read_cpu_seconds()
    _run("evaluate", _RECIPE, "--workdir", str(folder), *options)
    return time.monotonic() - started, _read_cpu_seconds() - cpu_started


def _read_cpu_seconds() -> float:
    """Return the CPU time of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run(*arguments: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    command = [_HEADRACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


if __name__ == "__main__":
    typer.run(main)

"""Measure what a sharded embedding table takes on each rank, through all that is done with it.

    .venv/bin/python -m benchmarks.table_memory                 # 8 GiB on 2 ranks, then on 4
    .venv/bin/python -m benchmarks.table_memory --gib 1 --ranks 2

The table has rows of 16 numbers and row-wise Adagrad's moment of each. Every rank initialises its
rows, trains, writes them to a checkpoint, reads them back, and exports SavedModel and `.keras` file
with the others. The peak of its resident memory is taken anew for each of these, from the kernel's
own count. A checkpoint and an export are each as large as the table: the folder needs twice that.

Ratios: `memory_N` is the largest peak of N ranks over 1.15 × the rank's share + 1 GiB.
"""

import tempfile
from typing import Annotated, Any

import typer

from benchmarks.report import describe_environment, format_table, write_json
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import Progress

_GIB, _WIDTH = 2**30, 16
_ROW_BYTES = 4 * (_WIDTH + 1)


def main(
    gib: Annotated[float, typer.Option(help="Of the table and its moments.")] = 8.0,
    ranks: Annotated[list[int] | None, typer.Option(help="2 and 4 by default.")] = None,
    folder: Annotated[str | None, typer.Option(help="For files; a temporary one.")] = None,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure the memory of ranks with a sharded table."""
    rows = int(gib * _GIB / _ROW_BYTES)
    runs: dict[int, dict[str, Any]] = {}
    for size in ranks or [2, 4]:
        with tempfile.TemporaryDirectory(prefix="headrace-memory-", dir=folder) as own:
            payload = {"rows": rows, "width": _WIDTH, "folder": own}
            task = RankTask(
                "benchmarks.table_memory_one:measure_table", payload, collective_timeout=1800.0
            )
            runs[size] = run_ranks(task, size, _report)
    ratios = {}
    lines = []
    for size, run in runs.items():
        limit = 1.15 * gib / size + 1
        for phase, peaks in run["peaks"].items():
            seconds = run["seconds"][phase]
            shown = ", ".join(f"{peak:.2f}" for peak in peaks)
            lines.append([str(size), phase, shown, f"{limit:.2f}", f"{seconds:.0f}"])
        ratios[f"memory_{size}"] = max(max(peaks) for peaks in run["peaks"].values()) / limit
    header = ["ranks", "phase", "peak of each rank, GiB", "limit", "seconds"]
    typer.echo("\n" + format_table(header, lines) + "\n")
    for key, value in ratios.items():
        typer.echo(f"{key}: {value:.2f}")
    if json_:
        figures = {"benchmark": "table_memory", **describe_environment(), "gib": gib}
        write_json(json_, {**figures, "ratios": ratios, "runs": runs})


def _report(progress: Progress) -> None:
    typer.echo(progress.text)


if __name__ == "__main__":
    typer.run(main)

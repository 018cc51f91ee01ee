"""Measure a recommendation model on N GPUs: samples per second, GPU use, shares of a step.

    .venv/bin/python -m benchmarks.embeddings_gpus --ranks 8      # on a node with 8 GPUs
    .venv/bin/python -m benchmarks.embeddings_gpus --ranks 2 --rows 1000000 --global-batch 4096

`dlrm` over 26 columns of ids that share a table of `rows` rows and 13 numbers, by row-wise Adagrad;
batches of uniform ids are in memory. Nothing is compared here: what others published, on other data
and 8 A100, is printed beside it.
"""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from benchmarks.report import describe_environment, write_json
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress

_COLUMNS = 26
_POLL_SECONDS = 0.5
_PUBLISHED = {
    "NVIDIA SparseOperationKit, 8 A100": "12,000,000 to 14,500,000 samples/s",
    "NVIDIA distributed-embeddings, 8 A100": "9,000,000 to 10,000,000 samples/s",
}


def main(
    ranks: Annotated[int, typer.Option(min=1)] = 8,
    rows: Annotated[int, typer.Option(min=1000, help="Of the table.")] = 20_000_000,
    width: Annotated[int, typer.Option(min=1)] = 128,
    global_batch: Annotated[int, typer.Option(min=16)] = 65_536,
    steps: Annotated[int, typer.Option(min=1)] = 200,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure steps on every GPU of this machine, or on its cores where there is none."""
    payload = {
        "rows": rows,
        "columns": _COLUMNS,
        "numbers": 13,
        "width": width,
        "global_batch": global_batch,
        "model": {"kind": "dlrm", "bottom": [512, 256], "hidden": [1024, 1024, 512, 256]},
        "steps": steps,
        "warm": 20,
        "optimizer": {"kind": "rowwise_adagrad", "learning_rate": 0.01},
        "way": "headrace",
    }
    task = RankTask("benchmarks.embeddings_one:train_steps", payload)
    with _watch_gpus() as use:
        run = run_ranks(task, ranks, ignore_progress)
    typer.echo(f"{ranks} ranks, {rows:,} rows of {width}, {global_batch:,} rows per step")
    typer.echo(f"{run['samples_per_second']:,.0f} samples/s, {run['step_milliseconds']:.2f} ms")
    for name in ("lookup", "exchange", "update", "allreduce"):
        share = run["seconds"].get(name, 0.0) * 1000 / run["step_milliseconds"]
        typer.echo(f"{name}: {share:.0%} of a step, measured alone")
    shown = f"{max(use):.0f}% at most, {sum(use) / len(use):.0f}% in the mean" if use else "no GPU"
    typer.echo(f"GPU use: {shown}")
    for name, rate in _PUBLISHED.items():
        typer.echo(f"published: {name}: {rate}")
    if json_:
        figures = {"benchmark": "embeddings_gpus", **describe_environment(), "ranks": ranks}
        write_json(json_, {**figures, "payload": payload, "run": run, "gpu_use": use})


@contextmanager
def _watch_gpus() -> Iterator[list[float]]:
    """Collect the use of all GPUs, in percent, while the block runs; nothing without any."""
    use: list[float] = []
    smi, stop = shutil.which("nvidia-smi"), threading.Event()

    def poll() -> None:
        query = [str(smi), "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not stop.wait(_POLL_SECONDS):
            done = subprocess.run(query, capture_output=True, text=True, check=False)
            use.extend(float(line) for line in done.stdout.split() if line.isdigit())

    thread = threading.Thread(target=poll, daemon=True)
    if smi:
        thread.start()
    try:
        yield use
    finally:
        stop.set()
        if smi:
            thread.join()


if __name__ == "__main__":
    typer.run(main)

"""Measure readers of the same rows side by side: how near the stream is to the speed of decoding.

    .venv/bin/python -m benchmarks.stream              # 2 million rows, 200,000 images, 3 rounds
    .venv/bin/python -m benchmarks.stream --quick      # a tenth of that, 1 round

| reader | what it does |
|---|---|
| pyarrow | row groups into matrices, in file order, no shuffle: the upper limit |
| numpy | Headrace's batches as NumPy: exact plan, shuffled, checked |
| tensorflow | the same as tensors from tf.data |
| numpy-alone, tensorflow-alone | both without Petastorm: `stream.engine: pyarrow` |
| stock | Petastorm's own thread pool, unbatch, shuffle, batch; a part of the rows |
| tfrecord | tf.data over TFRecord, shuffled, `parse_example` on batches |

Readers of other projects join with `make bench-peers`: those of `benchmarks/peers`, on the same
files of the table, in an environment of their own.

Each runs in a fresh process with two reader threads, in an order that rotates every round. Rates
are those of three consecutive epochs, as training reads them; of one epoch where three would take
minutes (stock, tfrecord). Then ten epochs are read as tensors, to measure memory.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.peers.read_one import READ as READ_PEERS
from benchmarks.peers.read_one import PeerJob
from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json
from benchmarks.stream_files import Kind, ensure_files
from benchmarks.stream_one import READ, StreamJob, build_stream

_ROWS: dict[Kind, int] = {"table": 2_000_000, "images": 200_000}
_BATCH: dict[Kind, int] = {"table": 4096, "images": 4096}
_EPOCHS, _MEMORY_EPOCHS = 3, 10
_FAR = 3  # times as slow as the fastest of other projects
_SLOW = ("stock", "tfrecord")
_RATIOS = {
    "numpy_over_pyarrow": ("numpy", "pyarrow"),
    "tensorflow_over_pyarrow": ("tensorflow", "pyarrow"),
    "numpy_alone_over_petastorm": ("numpy-alone", "numpy"),
    "tensorflow_alone_over_petastorm": ("tensorflow-alone", "tensorflow"),
    "tensorflow_over_stock": ("tensorflow", "stock"),
    "tensorflow_over_tfrecord": ("tensorflow", "tfrecord"),
}


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth, and one round.")] = False,
    kind: Annotated[
        list[str] | None, typer.Option(help="table or images; both by default.")
    ] = None,
    reader: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given several times.")
    ] = None,
    peers: Annotated[
        str | None, typer.Option(help="Python of an environment with those of other projects.")
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="Only this one of them; may be given several times.")
    ] = None,
    workdir: Annotated[str, typer.Option(help="For the files.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure the readers."""
    rounds = rounds or (1 if quick else 3)
    names = reader or [*READ]
    figures: dict[str, Any] = {"benchmark": "stream", **describe_environment()}
    work = str(Path(workdir).absolute())
    for chosen in kind or [*_ROWS]:
        rows = _ROWS[chosen] // (10 if quick else 1)  # type: ignore[index]
        of_peers = peers if chosen == "table" else None
        own = [*names, *(peer or READ_PEERS)] if of_peers else names
        figures[chosen] = _measure_kind(work, chosen, rows, rounds, own, of_peers)  # type: ignore[arg-type]
        if chosen == "table":
            figures["ratios"] = figures[chosen]["ratios"]
    if json_:
        write_json(json_, figures)


def _measure_kind(
    workdir: str, kind: Kind, rows: int, rounds: int, names: list[str], peers: str | None
) -> dict[str, Any]:
    typer.echo(f"{kind}: {rows:,} rows, {rounds} rounds")
    folder = ensure_files(workdir, kind, rows)
    batch = _BATCH[kind]
    of_peers = _PeerRuns(peers, folder, rows, batch) if peers else None
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if of_peers and name in READ_PEERS:
                run = of_peers.run(name)
            else:
                epochs = 1 if name in _SLOW else _EPOCHS
                run = run_reader(StreamJob(name, kind, folder, batch, epochs))
            runs[name].append(run)
            typer.echo(f"round {number + 1}: {name:<16} {run['rows_per_second']:>11,} rows/s")
        if of_peers and not number:
            names = _leave_out_slow_peers(names, runs)
    rates = {name: [run["rows_per_second"] for run in own_runs] for name, own_runs in runs.items()}
    ratios = {
        name: round(compute_median_ratio(rates[over], rates[under]), 3)
        for name, (over, under) in _RATIOS.items()
        if over in rates and under in rates
    }
    if of_peers and "numpy" in rates:
        of_others = [name for name in rates if name in READ_PEERS]
        best = max(of_others, key=lambda name: statistics.median(rates[name]))
        typer.echo(f"\nthe fastest of other projects: {best}")
        ratios["numpy_over_peer"] = round(compute_median_ratio(rates["numpy"], rates[best]), 3)
    typer.echo("\n" + _format_runs(runs))
    typer.echo("\n" + "\n".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()))
    memory = {}
    if "tensorflow" in names:
        run = run_reader(StreamJob("tensorflow", kind, folder, batch, _MEMORY_EPOCHS))
        memory = {"resident_mib": run["resident_mib"], "bound_mib": run["bound_mib"]}
        typer.echo(
            f"\n{_MEMORY_EPOCHS} epochs, MiB resident after each: "
            f"{', '.join(map(str, run['resident_mib']))}; "
            f"blocks and batches take {run['bound_mib']} at most\n"
        )
    return {"rows": rows, "ratios": ratios, "rounds": runs, "memory": memory}


def _leave_out_slow_peers(names: list[str], runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Leave out the readers of other projects that are far from the fastest: they take minutes."""
    rates = {name: runs[name][0]["rows_per_second"] for name in names if name in READ_PEERS}
    slow = [name for name in names if rates.get(name, math.inf) * _FAR < max(rates.values())]
    typer.echo(
        f"measured once, far from the fastest of other projects: {', '.join(slow) or 'none'}"
    )
    return [name for name in names if name not in slow]


class _PeerRuns:
    """Runs of readers of other projects, with as much to shuffle in as Headrace's takes."""

    def __init__(self, python: str, folder: str, rows: int, batch: int) -> None:
        self._python, self._scratch = python, f"{folder}-peers"
        stream = build_stream(StreamJob("numpy", "table", folder, batch))
        self._job = PeerJob(
            reader="",
            folder=folder,
            scratch=self._scratch,
            rows=rows,
            batch=batch,
            shuffle_rows=min(rows, stream.memory_bytes // stream.columns.row_bytes),
            epochs=1,
        )
        typer.echo(f"other projects shuffle among {self._job.shuffle_rows:,} rows")

    def run(self, name: str) -> dict[str, Any]:
        """Run a reader in its environment."""
        Path(self._scratch).mkdir(exist_ok=True)
        job = replace(self._job, reader=name)
        return _run_process([self._python, "-m", "benchmarks.peers.read_one", job.to_json()], name)


def _format_runs(runs: dict[str, list[dict[str, Any]]]) -> str:
    def compute_median(own_runs: list[dict[str, Any]], field: str) -> float:
        return statistics.median(run[field] for run in own_runs)

    header = ["reader (median)", "rows/s", "seconds", "CPU seconds", "MiB resident"]
    return format_table(
        header,
        [
            [
                name,
                f"{compute_median(own_runs, 'rows_per_second'):,.0f}",
                f"{compute_median(own_runs, 'seconds'):.2f}",
                f"{compute_median(own_runs, 'cpu_seconds'):.2f}",
                f"{max(run['resident_mib'][-1] for run in own_runs):,}",
            ]
            for name, own_runs in runs.items()
        ],
    )


def run_reader(job: StreamJob) -> dict[str, Any]:
    """Run a reader in a fresh process, and return its figures."""
    return _run_process([sys.executable, "-m", "benchmarks.stream_one", job.to_json()], job.reader)


def _run_process(command: list[str], reader: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result_path, log = Path(folder) / "result.json", Path(folder) / "output.txt"
        with log.open("w") as output:
            done = subprocess.run(
                [*command, str(result_path)], stdout=output, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode or not result_path.exists():
            typer.echo(f"{reader} failed:\n{log.read_text()[-3000:]}", err=True)
            raise typer.Exit(1)
        result: dict[str, Any] = json.loads(result_path.read_text())
        return result


if __name__ == "__main__":
    typer.run(main)

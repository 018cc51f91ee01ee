"""Measure what a step costs as an embedding table grows, beside dense steps and a bare loop.

    .venv/bin/python -m benchmarks.embeddings              # up to 10 million rows, 3 rounds
    .venv/bin/python -m benchmarks.embeddings --quick      # fewer steps, 1 round
    .venv/bin/python -m benchmarks.embeddings --columns 26 # as many columns share the table
    .venv/bin/python -m benchmarks.embeddings --ranks 8 --global-batch 65536   # on a node of GPUs

| case | what it does |
|---|---|
| small, large | 1,000 and 10 million rows of 16 on 2 ranks: SGD, Adagrad, lazy Adam |
| sharded | the same table split over the 2 ranks: SGD |
| sparse, dense | a million rows of 64 on 2 ranks: lazy Adam by row; Adam over all rows |
| ours, bare | 10 million rows on one rank: SGD, and a TensorFlow loop that scatters by hand |

The network is an MLP of 512 and 256 units over the embeddings, half of those of MLPerf's DLRM
(`--hidden` has others); batches of uniform ids are in memory. What a large table adds to a step is
the exchange of rows and the reading of memory that is in no cache: milliseconds that depend on the
batch alone, so that beside a smaller network `flatness` is higher. Cases alternate within a round,
and every rank has a core (or a GPU) of its own.

Ratios: `flatness` is the step at the large table over that at the small one, the largest of the
three optimizers; `over_dense` the dense step over the sparse one; `over_bare` the bare step over
ours; `sharded_over_whole` the step over a table that is split, over that with all rows on every
rank. What others publish, on 8 A100 and other data: NVIDIA's SparseOperationKit 12 to 14.5 million
samples/s, distributed-embeddings 9 to 10 million.
"""

import statistics
from typing import Annotated, Any

import typer

from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress

_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd", "learning_rate": 0.1},
    "adagrad": {"kind": "adagrad", "learning_rate": 0.1},
    "lazy adam": {"kind": "adam", "learning_rate": 0.01, "sparse": "lazy"},
}
_SMALL, _LARGE, _DENSE = 1000, 10_000_000, 1_000_000
_DENSE_STEPS = 6


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    ranks: Annotated[int, typer.Option(min=1)] = 2,
    columns: Annotated[int, typer.Option(min=1, help="Columns that share the table.")] = 1,
    global_batch: Annotated[int, typer.Option(min=16, help="Rows of a step.")] = 4096,
    hidden: Annotated[str, typer.Option(help="Units of the MLP's layers.")] = "512,256",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps, and one round.")] = False,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure steps over embedding tables."""
    rounds = rounds or (1 if quick else 3)
    shared = {
        "columns": columns,
        "global_batch": global_batch,
        "hidden": [int(units) for units in hidden.split(",")],
        "steps": 30 if quick else 100,
        "warm": 10,
        "way": "headrace",
    }
    cases: dict[str, tuple[int, dict[str, Any]]] = {
        f"{optimizer}, {rows:,} x 16": (ranks, {"rows": rows, "width": 16, "optimizer": settings})
        for optimizer, settings in _OPTIMIZERS.items()
        for rows in (_SMALL, _LARGE)
    }
    wide = {"rows": _DENSE, "width": 64}
    dense_steps = {"steps": _DENSE_STEPS, "warm": 2, "way": "dense"}
    adam = {"kind": "adam", "learning_rate": 0.01}
    one = {"rows": _LARGE, "width": 16, "optimizer": _OPTIMIZERS["sgd"]}
    cases |= {
        "sparse": (ranks, {**wide, "optimizer": _OPTIMIZERS["lazy adam"]}),
        "dense": (ranks, {**wide, "optimizer": adam, **dense_steps}),
        "sharded": (ranks, {**one, "shard_above": 2**20}),
        "ours": (1, one),
        "bare": (1, {**one, "way": "bare"}),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in list(cases) if number % 2 == 0 else list(cases)[::-1]:
            size, settings = cases[name]
            task = RankTask("benchmarks.embeddings_one:train_steps", {**shared, **settings})
            run = run_ranks(task, size, ignore_progress)
            runs[name].append({**run, "ranks": size})
            typer.echo(f"round {number + 1}: {name:<28} {run['step_milliseconds']:>9.2f} ms")
    ratios = _compute_ratios(runs)
    typer.echo("\n" + _format_runs(runs) + "\n")
    for key, value in ratios.items():
        typer.echo(f"{key}: {value:.2f}")
    if json_:
        settings = {"columns": columns, "global_batch": global_batch, "hidden": hidden}
        figures = {"benchmark": "embeddings", **describe_environment(), **settings}
        write_json(json_, {**figures, "ratios": ratios, "rounds": runs})


def _compute_ratios(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    def compute_ratio(over: str, under: str) -> float:
        steps = ([run["step_milliseconds"] for run in runs[name]] for name in (over, under))
        return compute_median_ratio(*steps)

    flatness = {
        name: compute_ratio(f"{name}, {_LARGE:,} x 16", f"{name}, {_SMALL:,} x 16")
        for name in _OPTIMIZERS
    }
    return {
        **{f"flatness {name}": value for name, value in flatness.items()},
        "flatness": max(flatness.values()),
        "over_dense": compute_ratio("dense", "sparse"),
        "over_bare": compute_ratio("bare", "ours"),
        "sharded_over_whole": compute_ratio("sharded", f"sgd, {_LARGE:,} x 16"),
    }


def _format_runs(runs: dict[str, list[dict[str, Any]]]) -> str:
    def compute_median(own_runs: list[dict[str, Any]], field: str) -> float:
        return statistics.median(run[field] for run in own_runs)

    header = ["case (median)", "ranks", "ms per step", "samples/s", "MiB resident"]
    return format_table(
        header,
        [
            [
                name,
                str(own_runs[0]["ranks"]),
                f"{compute_median(own_runs, 'step_milliseconds'):.2f}",
                f"{compute_median(own_runs, 'samples_per_second'):,.0f}",
                f"{max(run['resident_mib'] for run in own_runs):,}",
            ]
            for name, own_runs in runs.items()
        ],
    )


if __name__ == "__main__":
    typer.run(main)

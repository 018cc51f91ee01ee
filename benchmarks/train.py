"""One rank on one core against two ranks on two cores, with the same rows a rank.

    .venv/bin/python -m benchmarks.train              # 4096 rows a rank, 3 rounds
    .venv/bin/python -m benchmarks.train --quick      # fewer steps, 1 round
    .venv/bin/python -m benchmarks.train --ranks 8    # on a node with as many GPUs or cores

The network is an MLP of 54 thousand weights over 13 numbers, trained by Adam from the stream. The
efficiency is the rows a second of N ranks over N times those of one. The allreduce is also measured
alone. On a node with GPUs every rank gets one of its own, and the same figures say what NCCL costs
there; a rank then wants more rows (`--rows 65536`).

`estimator` is the network on which Horovod's KerasEstimator was seen in an old environment
(TensorFlow 2.12, pyarrow 10, 2 ranks, one layer of 64): 182 thousand rows a second within the
epoch. That run is not repeated here.
"""

import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import median_ratio, surroundings, table, write_json
from benchmarks.stream_files import ensure_files
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import silent

_FILES_ROWS = 2_000_000
_NETWORKS = {"mlp": [190, 190, 78], "estimator": [64]}
_ESTIMATOR_ROWS_PER_SECOND = 182_000  # seen once, elsewhere; see above


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    ranks: Annotated[int, typer.Option(min=2)] = 2,
    rows: Annotated[int, typer.Option(min=16, help="Of a batch, a rank.")] = 4096,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps, and one round.")] = False,
    workdir: Annotated[str, typer.Option(help="For the files.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure how training scales."""
    rounds = rounds or (1 if quick else 3)
    size = _FILES_ROWS // (10 if quick else 1)
    folder = ensure_files(str(Path(workdir).absolute()), "table", size)
    steps = 40 if quick else 150
    runs: dict[str, dict[int, list[dict[str, Any]]]] = {n: {1: [], ranks: []} for n in _NETWORKS}
    for number in range(rounds):
        for name, hidden in _NETWORKS.items():
            for count in (1, ranks) if number % 2 == 0 else (ranks, 1):
                payload = {
                    "folder": folder,
                    "hidden": hidden,
                    "rows": rows,
                    "steps": steps,
                    "warm": 10,
                }
                task = RankTask("benchmarks.train_one:steps", payload)
                found = run_ranks(task, count, silent)
                runs[name][count].append(found)
                typer.echo(
                    f"round {number + 1}: {name:<10} {count} ranks "
                    f"{found['rows_per_second']:>11,.0f} rows/s"
                )
    figures = _figures(runs, ranks)
    typer.echo("\n" + _say(runs) + "\n")
    for key, value in figures["ratios"].items():
        typer.echo(f"{key}: {value:.3f}")
    if json_:
        write_json(json_, {"benchmark": "train", **surroundings(), "rows": rows, **figures})


def _figures(runs: dict[str, dict[int, list[dict[str, Any]]]], ranks: int) -> dict[str, Any]:
    def rates(name: str, count: int) -> list[float]:
        return [run["rows_per_second"] for run in runs[name][count]]

    many = runs["mlp"][ranks]
    share = [run["allreduce_seconds"] / run["step_seconds"] for run in many]
    ratios = {
        "scaling_efficiency": median_ratio(rates("mlp", ranks), rates("mlp", 1)) / ranks,
        "allreduce_share": statistics.median(share),
        "rows_over_estimator": statistics.median(rates("estimator", ranks))
        / _ESTIMATOR_ROWS_PER_SECOND,
    }
    return {"ranks": ranks, "ratios": ratios, "rounds": runs}


def _say(runs: dict[str, dict[int, list[dict[str, Any]]]]) -> str:
    def middle(found: list[dict[str, Any]], key: str) -> float:
        return statistics.median(run[key] for run in found)

    header = ["network (median)", "ranks", "rows/s", "ms a step", "ms allreduce alone", "input"]
    return table(
        header,
        [
            [
                f"{name}, {found[0]['weights']:,} weights",
                count,
                f"{middle(found, 'rows_per_second'):,.0f}",
                f"{middle(found, 'step_seconds') * 1e3:.1f}",
                f"{middle(found, 'allreduce_seconds') * 1e3:.2f}",
                f"{middle(found, 'input_wait_share'):.3f}",
            ]
            for name, by_ranks in runs.items()
            for count, found in by_ranks.items()
        ],
    )


if __name__ == "__main__":
    typer.run(main)

"""Measure one rank on one core against two ranks on two cores, with the same rows per rank.

    .venv/bin/python -m benchmarks.train              # 4096 rows per rank, 3 rounds
    .venv/bin/python -m benchmarks.train --quick      # fewer steps, 1 round
    .venv/bin/python -m benchmarks.train --ranks 8    # on a node with as many GPUs or cores

The network is an MLP of 54 thousand weights over 13 numbers, trained by Adam from the stream. The
efficiency is the rows per second of N ranks over N times those of one. N ranks that exchange
nothing, each training for itself at the same time, say how much of the difference is the machine's
(cores that share caches, memory and clock) and not the exchange's. One rank is measured with XLA,
too, which compiles what TensorFlow would run operation by operation. The allreduce is also measured
alone. On a node with GPUs every rank gets one of its own, and the same figures say what
NCCL costs there; a rank then needs more rows (`--rows 65536`).

N ranks are measured with both kinds of collectives, one after the other in every round: the ratios
say what TensorFlow's own cost beside Horovod's.

`estimator` is the network on which Horovod's KerasEstimator was seen in an old environment
(TensorFlow 2.12, pyarrow 10, 2 ranks, one layer of 64): 182 thousand rows per second within the
epoch. That run is not repeated here.
"""

import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import (
    compute_median_ratio,
    describe_environment,
    format_table,
    replace_section,
    write_json,
)
from benchmarks.stream_files import ensure_files
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.progress import ignore_progress

_FILES_ROWS = 2_000_000
_NETWORKS = {"mlp": [190, 190, 78], "estimator": [64]}
_ESTIMATOR_ROWS_PER_SECOND = 182_000  # measured once, elsewhere; see above
_ALONE, _XLA, _APART, _KINDS = "alone", "xla", "apart", ("horovod", "tensorflow")
_XLA_FLAGS = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
Runs = dict[str, dict[str, list[dict[str, Any]]]]
"""Name of a network -> what its ranks communicate by -> what `train_one` returned, by round."""


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    ranks: Annotated[int, typer.Option(min=2)] = 2,
    rows: Annotated[int, typer.Option(min=16, help="Rows of a batch, per rank.")] = 4096,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps, and one round.")] = False,
    engine: Annotated[str, typer.Option(help="What reads: petastorm or pyarrow.")] = "petastorm",
    workdir: Annotated[str, typer.Option(help="For the files.")] = "var/benchmarks",
    page: Annotated[
        str | None, typer.Option(help="Replace its ledger of ranks: docs/performance.md.")
    ] = None,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure how training scales."""
    rounds = rounds or (1 if quick else 3)
    size = _FILES_ROWS // (10 if quick else 1)
    folder = ensure_files(str(Path(workdir).absolute()), "table", size)
    steps = 40 if quick else 150
    contenders = (_ALONE, _XLA, _APART, *_KINDS)
    runs: Runs = {name: {kind: [] for kind in contenders} for name in _NETWORKS}
    for number in range(rounds):
        for name, hidden in _NETWORKS.items():
            for kind in contenders if number % 2 == 0 else contenders[::-1]:
                payload = {
                    "folder": folder,
                    "hidden": hidden,
                    "rows": rows,
                    "steps": steps,
                    "warm": 10,
                    "engine": engine,
                    "apart": kind == _APART,
                }
                task = RankTask(
                    "benchmarks.train_one:train_steps",
                    payload,
                    collectives=kind if kind in _KINDS else _KINDS[0],
                    environment={"TF_XLA_FLAGS": _XLA_FLAGS} if kind == _XLA else {},
                )
                run = run_ranks(task, 1 if kind in (_ALONE, _XLA) else ranks, ignore_progress)
                runs[name][kind].append(run)
                typer.echo(
                    f"round {number + 1}: {name:<10} {kind:<10} "
                    f"{run['rows_per_second']:>11,.0f} rows/s"
                )
    figures = _compute_figures(runs, ranks)
    typer.echo("\n" + _format_runs(runs, ranks) + "\n")
    for key, value in figures["ratios"].items():
        typer.echo(f"{key}: {value:.3f}")
    if page:
        replace_section(page, "ledger of ranks", _describe_time(runs["mlp"], ranks, rows, rounds))
    if json_:
        settings = {"rows": rows, "engine": engine}
        write_json(json_, {"benchmark": "train", **describe_environment(), **settings, **figures})


def _compute_figures(runs: Runs, ranks: int) -> dict[str, Any]:
    def list_values(name: str, kind: str, key: str = "rows_per_second") -> list[float]:
        return [run[key] for run in runs[name][kind]]

    def compute_ratio(name: str, key: str) -> float:
        horovod, tensorflow = (list_values(name, kind, key) for kind in _KINDS)
        return compute_median_ratio(tensorflow, horovod)

    alone, apart = (list_values("mlp", kind) for kind in (_ALONE, _APART))
    share = [run["allreduce_seconds"] / run["step_seconds"] for run in runs["mlp"]["horovod"]]
    ratios = {
        "scaling_efficiency": compute_median_ratio(list_values("mlp", "horovod"), alone) / ranks,
        "scaling_of_the_machine": compute_median_ratio(apart, alone) / ranks,
        "scaling_of_the_exchange": compute_median_ratio(list_values("mlp", "horovod"), apart),
        "xla_over_alone": compute_median_ratio(list_values("mlp", _XLA), alone),
        "allreduce_share": statistics.median(share),
        "rows_over_estimator": statistics.median(list_values("estimator", "horovod"))
        / _ESTIMATOR_ROWS_PER_SECOND,
        "tensorflow_rows_over_horovod": compute_ratio("mlp", "rows_per_second"),
        "tensorflow_allreduce_over_horovod": compute_ratio("mlp", "allreduce_seconds"),
    }
    return {"ranks": ranks, "ratios": ratios, "rounds": runs}


def _describe_time(
    runs: dict[str, list[dict[str, Any]]], ranks: int, rows: int, rounds: int
) -> list[str]:
    """Describe as Markdown what the time of a step is spent on, in milliseconds."""

    def compute_median(kind: str, key: str, scale: float = 1e3) -> float:
        return scale * statistics.median(run[key] for run in runs[kind])

    machine = describe_environment()["machine"]
    least, alone = compute_median(_ALONE, "least_seconds"), compute_median(_ALONE, "step_seconds")
    apart, xla = (compute_median(kind, "step_seconds") for kind in (_APART, _XLA))
    lines = [
        f"Made by `python -m benchmarks.train --page docs/performance.md` on {machine['cpu']}, "
        f"{machine['cores']} cores, load {machine['load_average_at_start'][0]} at the start. "
        f"Milliseconds of a step of {rows:,} rows a rank, {runs[_ALONE][0]['weights']:,} weights; "
        f"every rank has one core. Medians of {rounds} rounds.",
        "",
        "| part | ms | |",
        "|---|--:|---|",
        f"| least | {least:.1f} | products of matrices, forward and backward, at the rate of "
        f"{compute_median(_ALONE, 'gigaflops', 1):.0f} GFLOP/s that TensorFlow has on this core |",
        f"| one rank | {alone:.1f} | activations, loss, update, and reading of the next batch "
        "are the rest |",
        f"| one rank, XLA | {xla:.1f} | `{_XLA_FLAGS}` |",
        f"| {ranks} ranks that exchange nothing | {apart:.1f} | more than one by what cores share: "
        "caches, memory, clock |",
    ]
    for kind in _KINDS:
        whole, exchange = (
            compute_median(kind, key) for key in ("step_seconds", "allreduce_seconds")
        )
        lines.append(
            f"| {ranks} ranks, {kind} | {whole:.1f} | {whole - apart:+.1f} for the exchange; "
            f"{exchange:.2f} where nothing else runs, the rest is waiting for the later rank |"
        )
    return ["", *lines, ""]


def _format_runs(runs: Runs, ranks: int) -> str:
    def compute_median(own_runs: list[dict[str, Any]], key: str) -> float:
        return statistics.median(run[key] for run in own_runs)

    header = ["network (median)", "ranks", "rows/s", "ms per step", "ms allreduce alone", "input"]
    return format_table(
        header,
        [
            [
                f"{name}, {own_runs[0]['weights']:,} weights",
                "1" if kind == _ALONE else "1, xla" if kind == _XLA else f"{ranks}, {kind}",
                f"{compute_median(own_runs, 'rows_per_second'):,.0f}",
                f"{compute_median(own_runs, 'step_seconds') * 1e3:.1f}",
                f"{compute_median(own_runs, 'allreduce_seconds') * 1e3:.2f}",
                f"{compute_median(own_runs, 'input_wait_share'):.3f}",
            ]
            for name, by_kind in runs.items()
            for kind, own_runs in by_kind.items()
        ],
    )


if __name__ == "__main__":
    typer.run(main)

"""Measure how long `headrace train` takes from the command to the end of the first step.

    .venv/bin/python -m benchmarks.start              # 5 rounds
    .venv/bin/python -m benchmarks.start --quick      # 1 round

Two ranks and one, in an order that is reversed every round, on the flights dataset (prepared first
where it is missing). From the start of the process, with byte-code compiled, as `make setup` does.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.report import describe_environment, format_table, write_json

_RECIPE = str(Path(__file__).parent.parent / "conf" / "flights.yaml")
_HEADRACE = str(Path(sys.executable).with_name("headrace"))


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="5 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round.")] = False,
    workdir: Annotated[str, typer.Option(help="For lake and dataset.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure how long training takes to start."""
    rounds = rounds or (1 if quick else 5)
    folder = str(Path(workdir).absolute() / "start")
    if not (Path(folder) / "datasets" / "flights" / "_delta_log").exists():
        _run_headrace("lake", "flights", "--out", f"{folder}/lake/flights")
        _run_headrace("prepare", _RECIPE, "--workdir", folder)
    runs_by_ranks: dict[int, list[dict[str, Any]]] = {2: [], 1: []}
    for number in range(rounds):
        for ranks in (2, 1) if number % 2 == 0 else (1, 2):
            began = time.time()
            result = _run_headrace(
                "train", _RECIPE, "--workdir", folder, "--ranks", str(ranks),
                "--resume", "never", "--set", "train.epochs=1",
            )  # fmt: skip
            seconds = {
                "to_first_step": round(result["first_step_at"] - began, 2),
                **result["seconds"]["train"],
            }
            runs_by_ranks[ranks].append(seconds)
            typer.echo(f"round {number + 1}: {ranks} ranks {seconds['to_first_step']:.2f} s")
    medians = {
        ranks: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for ranks, runs in runs_by_ranks.items()
    }
    header = ["ranks (median seconds)", *medians[2]]
    typer.echo("\n" + format_table(header, [[r, *m.values()] for r, m in medians.items()]))
    if json_:
        figures = {
            "seconds_to_first_step": medians[2]["to_first_step"],
            "medians": medians,
            "rounds": runs_by_ranks,
        }
        write_json(json_, {"benchmark": "start", **describe_environment(), **figures})


def _run_headrace(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [_HEADRACE, *arguments, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        typer.echo(f"headrace {arguments[0]} failed:\n{done.stderr[-3000:]}", err=True)
        raise typer.Exit(1)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    typer.run(main)

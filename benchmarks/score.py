"""Headrace's scoring beside `mlflow.pyfunc.spark_udf` of the same registered model.

    .venv/bin/python -m benchmarks.score              # 2 million raw rows, 3 rounds
    .venv/bin/python -m benchmarks.score --quick      # 200 thousand rows, 1 round

The synthetic click log: 13 numbers (two of them as text), 26 categories. The model is trained on a
smaller draw of it. Each contender runs in a process of its own with a warm Spark session, reads the
lake, predicts, and writes Parquet; their predictions are compared row by row. Both have all cores.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.headrace import clicks_recipe
from benchmarks.lakes import clicks_lake, read_once
from benchmarks.report import median_ratio, surroundings, table, write_json

CONTENDERS = ("headrace", "spark_udf")
_TRAIN_ROWS = 200_000


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    rows: Annotated[int | None, typer.Option(min=1000, help="2 million by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows, and one round.")] = False,
    workdir: Annotated[str, typer.Option(help="For lakes and results.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure how fast raw rows become predictions."""
    rounds = rounds or (1 if quick else 3)
    rows = rows or (200_000 if quick else 2_000_000)
    folder = str(Path(workdir).absolute())
    model = _model(folder)
    lake = clicks_lake(folder, rows)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name in CONTENDERS if number % 2 == 0 else CONTENDERS[::-1]:
            read_once(lake)
            found = _run(name, lake, folder, model)
            runs[name].append(found)
            typer.echo(
                f"round {number + 1}: {name:<10} {rows / found['seconds']:>9,.0f} rows/s, "
                f"{found['seconds']:.1f} s"
            )
    parts = _run("parts", lake, folder, model)
    agreement = _run("agreement", lake, folder, model)
    seconds = {name: [run["seconds"] for run in found] for name, found in runs.items()}
    ratios = {
        "headrace_over_spark_udf": median_ratio(seconds["spark_udf"], seconds["headrace"]),
    }
    header = ["contender (median)", "seconds", "rows/s", "CPU seconds"]
    lines = [
        [
            name,
            f"{statistics.median(seconds[name]):.1f}",
            f"{rows / statistics.median(seconds[name]):,.0f}",
            f"{statistics.median(run['cpu_seconds'] for run in found):.1f}",
        ]
        for name, found in runs.items()
    ]
    typer.echo("\n" + table(header, lines) + "\n")
    shown = ", ".join(f"{name} {value:.2f}" for name, value in parts["seconds_a_million"].items())
    typer.echo(f"Headrace's parts, seconds of one core a million rows: {shown}")
    typer.echo(f"predictions differ by {agreement['largest_difference']:.2g} at most")
    for key, value in ratios.items():
        typer.echo(f"{key}: {value:.3f}")
    if json_:
        figures = {"rows": rows, "ratios": ratios, "rounds": runs, "parts": parts, **agreement}
        write_json(json_, {"benchmark": "score", **surroundings(), **figures})


def _model(folder: str) -> dict[str, str]:
    """Where the model is that both use; trained once."""
    home = Path(folder) / "score-model"
    known = home / "model.json"
    if known.exists():
        found: dict[str, str] = json.loads(known.read_text(encoding="utf-8"))
        return found
    from headrace.prepare import prepare
    from headrace.progress import silent
    from headrace.spark_session import stop_own_session
    from headrace.train import train

    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    lake = clicks_lake(folder, _TRAIN_ROWS)
    recipe = clicks_recipe(lake, str(home / "dataset"))
    settings = recipe.train.model_copy(update={"epochs": 1, "ranks": 1})
    recipe = recipe.model_copy(update={"train": settings})
    try:
        prepare(recipe, workdir=str(home), report=silent)
    finally:
        stop_own_session()
    trained = train(recipe, workdir=str(home), report=silent)
    where = {"home": str(home), "uri": trained.model_uri}
    known.write_text(json.dumps(where), encoding="utf-8")
    return where


def _run(what: str, lake: str, folder: str, model: dict[str, str]) -> dict[str, Any]:
    job = {"what": what, "lake": lake, "out": f"{folder}/scored", "scratch": folder, **model}
    with tempfile.TemporaryDirectory() as aside:
        result = Path(aside) / "result.json"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.score_one", json.dumps(job), str(result)],
            capture_output=True, text=True, check=False, env={**os.environ},
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"{what} failed:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    typer.run(main)

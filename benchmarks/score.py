"""Measure Headrace's scoring beside `mlflow.pyfunc.spark_udf` of the same registered model.

    .venv/bin/python -m benchmarks.score              # 2 million raw rows, 3 rounds
    .venv/bin/python -m benchmarks.score --quick      # 200 thousand rows, 1 round

The lake is the synthetic click log: 13 numbers (two of them as text), 26 categories. The model is
trained on a smaller one. All read the lake, predict, and write Parquet, with all cores; their
predictions are compared row by row. What is timed:

- `headrace`: the whole command `headrace score`, from its start to its end, in processes without
  Spark (docs/without-spark.md);
- `headrace_on_spark`: the same within a process that has a warm Spark session, which it uses;
- `spark_udf`: likewise, without the session's start.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.headrace import build_clicks_recipe
from benchmarks.lakes import ensure_clicks_lake, warm_page_cache
from benchmarks.peaks import MemoryPeaks
from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json
from benchmarks.score_one import build_output_path

CONTENDERS = ("headrace", "headrace_on_spark", "spark_udf")
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
    model = ensure_model(folder)
    lake = ensure_clicks_lake(folder, rows)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name in CONTENDERS if number % 2 == 0 else CONTENDERS[::-1]:
            warm_page_cache(lake)
            run = _run_task(name, lake, folder, model)
            runs[name].append(run)
            typer.echo(
                f"round {number + 1}: {name:<17} {rows / run['seconds']:>9,.0f} rows/s, "
                f"{run['seconds']:.1f} s"
            )
    parts = _run_task("parts", lake, folder, model)
    agreement = _run_task("agreement", lake, folder, model)
    seconds = {name: [run["seconds"] for run in own_runs] for name, own_runs in runs.items()}
    ratios = {
        f"{name}_over_spark_udf": compute_median_ratio(seconds["spark_udf"], seconds[name])
        for name in CONTENDERS[:2]
    }
    header = ["contender (median)", "seconds", "rows/s", "CPU seconds", "memory, GiB"]
    lines = [
        [
            name,
            f"{statistics.median(seconds[name]):.1f}",
            f"{rows / statistics.median(seconds[name]):,.0f}",
            f"{statistics.median(run['cpu_seconds'] for run in own_runs):.1f}",
            f"{statistics.median(run['memory_gib'] for run in own_runs):.2f}",
        ]
        for name, own_runs in runs.items()
    ]
    typer.echo("\n" + format_table(header, lines) + "\n")
    shown = ", ".join(f"{name} {value:.2f}" for name, value in parts["seconds_a_million"].items())
    typer.echo(f"Headrace's parts, seconds of one core per million rows: {shown}")
    typer.echo(f"predictions differ by {agreement['largest_difference']:.2g} at most")
    typer.echo(f"with Spark and without: {agreement['other_bits']:,} rows differ in any bit")
    for key, value in ratios.items():
        typer.echo(f"{key}: {value:.3f}")
    if json_:
        figures = {"rows": rows, "ratios": ratios, "rounds": runs, "parts": parts, **agreement}
        write_json(json_, {"benchmark": "score", **describe_environment(), **figures})


def ensure_model(folder: str) -> dict[str, str]:
    """Train the model that both contenders use, unless it exists, and return its folder and URI."""
    home = Path(folder) / "score-model"
    model_path = home / "model.json"
    if model_path.exists():
        model: dict[str, str] = json.loads(model_path.read_text(encoding="utf-8"))
        return model
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress
    from headrace.spark_session import stop_own_session
    from headrace.train import train

    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    lake = ensure_clicks_lake(folder, _TRAIN_ROWS)
    recipe = build_clicks_recipe(lake, str(home / "dataset"))
    settings = recipe.train.model_copy(update={"epochs": 1, "ranks": 1})
    recipe = recipe.model_copy(update={"train": settings})
    try:
        prepare(recipe, workdir=str(home), report=ignore_progress)
    finally:
        stop_own_session()
    trained = train(recipe, workdir=str(home), report=ignore_progress)
    model = {"home": str(home), "uri": trained.model_uri}
    model_path.write_text(json.dumps(model), encoding="utf-8")
    return model


def _run_task(task: str, lake: str, folder: str, model: dict[str, str]) -> dict[str, Any]:
    """Run a contender, `parts` or `agreement` in a process of its own, and return its result."""
    job = {"task": task, "lake": lake, "out": f"{folder}/scored", "scratch": folder, **model}
    if task == "headrace":
        return run_command(job)
    with tempfile.TemporaryDirectory() as temporary:
        result_path = Path(temporary) / "result.json"
        command = [sys.executable, "-m", "benchmarks.score_one", json.dumps(job), str(result_path)]
        memory = _run_watched(task, command)
        result: dict[str, Any] = json.loads(result_path.read_text(encoding="utf-8"))
    return {**result, "memory_gib": memory}


def run_command(job: dict[str, str]) -> dict[str, Any]:
    """Run `headrace score` as a user does, and time it from its start to its end."""
    output = build_output_path(job)
    shutil.rmtree(output, ignore_errors=True)
    recipe = build_clicks_recipe(job["lake"], f"{job['home']}/dataset").dump_resolved()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "clicks.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        command = [
            sys.executable, "-m", "headrace.cli", "score", str(path),
            "--input", f"{job['lake']}/clicks", "--output", output,
            "--model", job["uri"], "--workdir", job["home"],
        ]  # fmt: skip
        usage, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        memory = _run_watched("headrace", command)
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 2), "memory_gib": memory}


def _run_watched(task: str, command: list[str]) -> float:
    """Run a command to its end; return the largest memory of its processes together, GiB."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peaks = MemoryPeaks(process.pid)
        process.wait()
        _, together = peaks.stop()
        if process.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"{task} failed:\n{errors.read()[-4000:]}")
    return round(together, 2)


if __name__ == "__main__":
    typer.run(main)

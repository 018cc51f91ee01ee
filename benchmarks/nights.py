"""Simulate nights on a small lake: a new day is prepared, scored and vacuumed, again and again.

    .venv/bin/python -m benchmarks.nights                    # 300 nights, hours on 2 cores
    .venv/bin/python -m benchmarks.nights --nights 20 --folder /tmp/nights

What a night costs must not grow with those before it. The lake has a folder for each day; every
seventh night an earlier day has got further rows. The first night trains and promotes the model
that scores. The dedup key lacks the day, so that a row's twin may be in any folder, which is the
dearer case; `--key-with-day` has the other. All nights run in one process with one Spark session,
as a scheduler's worker would run them; the versions of seven nights are kept.

Every night's figures are appended to `nights.jsonl` at once: a run that was ended goes on with the
next night. Compared are medians of five ordinary nights, around the tenth and the last.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml

from benchmarks.report import (
    describe_environment,
    format_table,
    measure_cpu_seconds,
    write_json,
)

_ROWS, _LATE_ROWS, _LATE_EVERY = 2_000, 20, 7
_KEPT_NIGHTS = 7
_EARLY, _AROUND = 10, 5
_INSPECT_EVERY = 25


def main(
    nights: Annotated[int, typer.Option(min=20)] = 300,
    folder: Annotated[str, typer.Option(help="Everything lies here; it may go on.")] = "var/nights",
    key_with_day: Annotated[bool, typer.Option(help="The dedup key has the folder.")] = False,
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Simulate the nights, and compare the last with the tenth."""
    root = Path(folder).absolute()
    root.mkdir(parents=True, exist_ok=True)
    log = root / "nights.jsonl"
    recipe = root / "nights.yaml"
    recipe.write_text(yaml.safe_dump(make_recipe(root, key_with_day), sort_keys=False))
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if not done:
        write_day(root, 0)
        for command in ("prepare", "train", "evaluate", "promote"):
            run_command(command, str(recipe), "--workdir", str(root / "work"))
    for number in range(len(done) + 1, nights + 1):
        night = _simulate_night(root, recipe, number)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(night) + "\n")
        done.append(night)
        typer.echo(json.dumps(night))
    figures = summarize_nights(done)
    typer.echo("\n" + format_table(["", "10th", "last", "ratio"], figures["lines"]))
    if json_:
        written = {key: value for key, value in figures.items() if key != "lines"}
        write_json(json_, {"benchmark": "nights", **describe_environment(), **written})


def summarize_nights(done: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare ordinary nights around the tenth with the last ones.

    Returns:
        `ratios` of each figure, `lines` for a table, and all `nights`.
    """
    ordinary = [night for night in done if not night["late"]]
    early = [n for n in ordinary if n["night"] >= _EARLY - _AROUND // 2][:_AROUND]
    last = ordinary[-_AROUND:]
    ratios, lines = {}, []
    for name in ("seconds", "cpu_seconds", "prepare", "score", "vacuum", "bytes", "files"):
        before, after = (statistics.median(n[name] for n in part) for part in (early, last))
        ratios[name] = round(after / before, 3) if before else None
        lines.append([name, f"{before:,.1f}", f"{after:,.1f}", ratios[name]])
    inspected = [night["inspect"] for night in done if night.get("inspect")]
    if inspected:
        lines.append(["inspect", f"{inspected[0]:.2f}", f"{inspected[-1]:.2f}", ""])
    return {"ratios": ratios, "inspect_seconds": inspected, "lines": lines, "nights": done}


def _simulate_night(root: Path, recipe_file: Path, number: int) -> dict[str, Any]:
    """Add a day to the lake, and do what a scheduler does with it."""
    from headrace.lake.vacuum import vacuum_dataset
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress
    from headrace.recipe import load_recipe
    from headrace.score.run import score

    is_late = number % _LATE_EVERY == 0
    write_day(root, number)
    if is_late:
        write_late_rows(root, number)
    workdir, scores = str(root / "work"), str(root / "scores")
    recipe = load_recipe(str(recipe_file), workdir=workdir, environment=os.environ)
    before, cpu, began = _list_files(root), measure_cpu_seconds(), time.time()
    prepared = prepare(recipe, workdir=workdir, report=ignore_progress)
    after_prepare = time.time()
    scored = score(
        recipe, table=str(root / "lake"), output=scores, workdir=workdir, report=ignore_progress
    )
    after_score = time.time()
    now = datetime.now(UTC)
    keep = timedelta(seconds=now.timestamp() - _find_kept_since(root, number, began))
    vacuum_dataset(
        recipe.dataset.path, keep=keep, leftovers_after=timedelta(days=2), now=now, dry_run=False
    )
    ended = time.time()
    after = _list_files(root)
    added = {path: size for path, size in after.items() if before.get(path) != size}
    night = {
        "night": number,
        "late": is_late,
        "at": began,
        "seconds": round(ended - began, 2),
        "cpu_seconds": round(measure_cpu_seconds() - cpu, 2),
        "prepare": round(after_prepare - began, 2),
        "score": round(after_score - after_prepare, 2),
        "vacuum": round(ended - after_score, 2),
        "bytes": sum(added.values()),
        "files": len(added),
        "all_bytes": sum(after.values()),
        "all_files": len(after),
        "why": prepared.why,
        "scored": scored.why,
    }
    if number % _INSPECT_EVERY == 0 or number == _EARLY:
        started = time.monotonic()
        run_command("inspect", str(recipe.dataset.path))
        night["inspect"] = round(time.monotonic() - started, 2)
    return night


def _find_kept_since(root: Path, number: int, now: float) -> float:
    """Find when the night began whose version is the oldest that is kept."""
    log = root / "nights.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    if len(lines) < _KEPT_NIGHTS:
        return now - 86_400.0
    return float(json.loads(lines[-_KEPT_NIGHTS])["at"])


def _list_files(root: Path) -> dict[str, int]:
    """List the files of dataset and predictions with their bytes."""
    found = {}
    for folder in (root / "dataset", root / "scores"):
        for path, _, names in os.walk(folder):
            for name in names:
                found[f"{path}/{name}"] = Path(path, name).stat().st_size
    return found


def run_command(*words: str) -> None:
    """Run a command of Headrace in a process of its own; its errors end this one."""
    command = [sys.executable, "-m", "headrace.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        typer.echo(done.stderr, err=True)
        raise typer.Exit(1)


def write_day(root: Path, number: int) -> None:
    """Write the rows of a day; a fiftieth of them have the id of a row of the day before."""
    rng = np.random.default_rng(number)
    ids = np.arange(number * _ROWS, (number + 1) * _ROWS)
    if number:
        ids[: _ROWS // 50] -= _ROWS
    _write_rows(root, number, "part-0", ids, rng)


def write_late_rows(root: Path, number: int) -> None:
    """Add a file to an earlier day."""
    day = number // 2
    ids = np.arange(_LATE_ROWS) + 10**9 + number * _LATE_ROWS
    _write_rows(root, day, f"late-{number}", ids, np.random.default_rng(-number % 2**32))


def _write_rows(root: Path, day: int, name: str, ids: np.ndarray, rng: np.random.Generator) -> None:
    folder = root / "lake" / f"day={day:05d}"
    folder.mkdir(parents=True, exist_ok=True)
    numbers = rng.normal(size=(8, len(ids)))
    chance = 1 / (1 + np.exp(-numbers[0]))
    columns: dict[str, Any] = {"id": ids, "label": (rng.random(len(ids)) < chance).astype(np.int32)}
    columns |= {f"x{number}": values for number, values in enumerate(numbers)}
    for number in range(4):
        codes = rng.integers(0, 40, len(ids))
        columns[f"c{number}"] = pa.array([f"value {code}" for code in codes])
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def make_recipe(root: Path, key_with_day: bool, dataset: str | None = None) -> dict[str, Any]:
    """Make the recipe; the dataset lies beside the lake unless another place is named."""
    key = ["day", "id"] if key_with_day else ["id"]
    return {
        "name": "nights",
        "source": {"tables": {"rows": {"path": f"{root}/lake"}}, "main": "rows"},
        "clean": {"dedup": {"key": key}},
        "label": {"kind": "binary", "expression": "label = 1"},
        "split": {"key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
        "features": {
            **{f"x{number}": {"kind": "standardize"} for number in range(8)},
            **{f"c{number}": {"kind": "vocabulary"} for number in range(4)},
        },
        "model": {"kind": "mlp", "hidden": [8]},
        "train": {
            "ranks": 1,
            "epochs": 20,
            "global_batch_size": 64,
            "optimizer": {"kind": "adam", "learning_rate": 0.01},
        },
        "evaluate": {"gates": [{"kind": "metric", "metric": "roc_auc", "at_least": 0.5}]},
        "score": {"key": ["day", "id"]},
        "dataset": {"path": dataset or f"{root}/dataset"},
    }


if __name__ == "__main__":
    typer.run(main)

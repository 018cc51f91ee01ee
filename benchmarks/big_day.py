"""Take 100 million rows down the road, once, and 5 million before and after to compare with.

    .venv/bin/python -m benchmarks.big_day                        # some hours on 2 cores, 45 GB
    .venv/bin/python -m benchmarks.big_day --rows 2000000 --small 200000

A lake of daily folders with a key, five numbers and eight texts. `prepare` is run on the small
lake, on the large one, and on the small one again; then two epochs are trained on the large one,
the model is evaluated and promoted, and all rows are scored. Printed and written: seconds and
processor seconds of each command, rows a second, and the largest resident memory of the driver's
Python, of the JVM (in local mode the driver and its tasks share it) and of any task's Python
worker; `rate` is rows a second of the large `prepare` over those of the two small ones.
"""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml

from benchmarks.peaks import MemoryPeaks
from benchmarks.report import describe_environment, format_table, write_json

_DAYS, _NUMBERS = 25, 5
_CARDINALITIES = (2, 7, 24, 100, 1000, 10_000, 50_000, 200_000)
"""Distinct values of each text column."""
_ROWS_PER_FILE = 500_000


def main(
    rows: Annotated[int, typer.Option(min=10_000)] = 100_000_000,
    small: Annotated[int, typer.Option(min=10_000)] = 5_000_000,
    folder: Annotated[str, typer.Option(help="Everything lies here.")] = "var/big_day",
    until: Annotated[str, typer.Option(help="prepare, train or score.")] = "score",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Run the road and print what each command took."""
    root = Path(folder).absolute()
    lakes = {size: root / f"lake-{size}" for size in (small, rows)}
    for size, lake in lakes.items():
        if not lake.exists():
            write_lake(lake, size)
    runs = []
    for name, size in (("small before", small), ("large", rows), ("small after", small)):
        recipe = _write_recipe(root, name, lakes[size])
        runs.append(_run(f"prepare, {name}", ["prepare", str(recipe)], root, name, size))
        if name != "large":
            shutil.rmtree(root / name)
    rates = [run["rows_per_second"] for run in runs]
    figures: dict[str, Any] = {"rate": rates[1] / ((rates[0] + rates[2]) / 2)}
    large = str(_write_recipe(root, "large", lakes[rows]))
    if until != "prepare":
        runs.append(_run("train, 2 epochs", ["train", large], root, "large", 2 * rows))
    if until == "score":
        runs.append(_run("evaluate", ["evaluate", large], root, "large", rows // 10))
        _run("promote", ["promote", large], root, "large", rows)
        scored = ["--input", str(lakes[rows]), "--output", str(root / "scores")]
        runs.append(_run("score", ["score", large, *scored], root, "large", rows))
    header = ["command", "seconds", "processor seconds", "rows/s", "driver, GiB", "JVM, GiB"]
    lines = [
        [
            run["name"], f"{run['seconds']:.0f}", f"{run['processor']:.0f}",
            f"{run['rows_per_second']:,.0f}", f"{run['driver']:.2f}", f"{run['jvm']:.2f}",
            f"{run['largest_child']:.2f}", f"{run['together']:.1f}",
        ]
        for run in runs
    ]  # fmt: skip
    header += ["any other process, GiB", "together, GiB"]
    typer.echo("\n" + format_table(header, lines))
    typer.echo(f"rows a second, large over small: {figures['rate']:.2f}")
    if json_:
        described = {"benchmark": "big_day", **describe_environment(), **figures}
        write_json(json_, {**described, "rows": rows, "small": small, "runs": runs})


def write_lake(lake: Path, rows: int) -> None:
    """Write the lake by two processes, day by day, files of at most half a million rows."""
    aside = lake.with_name(f"{lake.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    per_day = -(-rows // _DAYS)
    parts = []
    for day in range(_DAYS):
        of_day = min(per_day, rows - day * per_day)
        for start in range(0, of_day, _ROWS_PER_FILE):
            count = min(_ROWS_PER_FILE, of_day - start)
            parts.append((str(aside), day, day * per_day + start, count))
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_write_file, parts, chunksize=1))
    aside.rename(lake)


def _write_file(part: tuple[str, int, int, int]) -> None:
    """Write a file: the label hangs on two numbers and a hidden weight of a text's value."""
    folder, day, start, count = part
    rng = np.random.default_rng(start)
    numbers = rng.normal(size=(_NUMBERS, count)).astype(np.float32)
    columns: dict[str, Any] = {"key": np.arange(start, start + count)}
    columns |= {f"x{number}": values for number, values in enumerate(numbers)}
    logit = numbers[0] - 0.5 * numbers[1]
    for number, distinct in enumerate(_CARDINALITIES):
        # Squared uniforms: the first values of a column are frequent, the last ones rare.
        codes = (rng.random(count) ** 2 * distinct).astype(np.int64)
        mixed = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        if number == 4:
            logit = logit + (mixed >> np.uint64(40)).astype(np.float32) / 2**23 - 1
        names = pa.array([f"{number}-{code:06x}" for code in range(distinct)])
        columns[f"c{number}"] = names.take(pa.array(codes))
    columns["label"] = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int32)
    path = Path(folder, f"day={day:03d}", f"part-{start:012d}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def _write_recipe(root: Path, name: str, lake: Path) -> Path:
    numbers = {f"x{number}": {"kind": "standardize"} for number in range(_NUMBERS)}
    texts = {f"c{number}": {"kind": "vocabulary"} for number in range(len(_CARDINALITIES))}
    recipe = {
        "name": "big_day",
        "source": {"tables": {"rows": {"path": str(lake)}}, "main": "rows"},
        "clean": {"dedup": {"key": ["key"]}},
        "label": {"kind": "binary", "expression": "label = 1"},
        "features": {**numbers, **texts},
        "split": {"key": ["key"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
        "dataset": {"path": "${workdir}/dataset"},
        "model": {"kind": "mlp", "hidden": [64, 32]},
        "train": {
            "ranks": 2,
            "epochs": 2,
            "global_batch_size": 8192,
            "optimizer": {"kind": "adam", "learning_rate": 0.001},
            "checkpoint": {"keep": 1},
        },
        "evaluate": {"gates": [], "references": [], "importance_rows": 0},
        "score": {"key": ["key"]},
        "spark": {"above_rows": 0},  # with Spark at both sizes
    }
    path = root / f"{name.replace(' ', '_')}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def _run(name: str, command: list[str], root: Path, work: str, rows: int) -> dict[str, Any]:
    """Run a command, and take the memory of its processes twice a second."""
    log = root / f"{name.replace(' ', '_').replace(',', '')}.log"
    command = [sys.executable, "-m", "headrace.cli", *command, "--workdir", str(root / work)]
    started_at = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--json"], stdout=output, stderr=output, start_new_session=True
        )
        peaks = MemoryPeaks(process.pid)
        code = process.wait()
    seconds = time.monotonic() - started_at
    _, together = peaks.stop()
    if code:
        raise SystemExit(f"{name} ended with {code}; see {log}")
    run = {
        "name": name,
        "seconds": seconds,
        "processor": peaks.processor,
        "rows_per_second": rows / seconds,
        "driver": peaks.driver,
        "jvm": peaks.jvm,
        "largest_child": peaks.largest_child,
        "together": together,
        "bytes_left": sum(f.lstat().st_size for f in root.rglob("*") if f.is_file()),
    }
    typer.echo(json.dumps(run))
    return run


if __name__ == "__main__":
    typer.run(main)

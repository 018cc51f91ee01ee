"""Take a lake of very many columns down the whole road, once: numbers and vocabularies.

    .venv/bin/python -m benchmarks.wide                    # 2,000 columns, 100,000 rows
    .venv/bin/python -m benchmarks.wide --columns 400 --rows 20000

Three of five columns are numbers, two are texts with 10 to 1,000 distinct values. The commands that
a user gives follow each other: check, prepare, inspect, train on 2 ranks, evaluate, promote, score.
Then the model is exported and loaded once more, alone. Printed and written: seconds, the largest
resident memory of any one process and of all of them together, and three ratios over the seconds of
`import tensorflow`, which is measured beside each: `first_step` (from the command to the end of the
first step), `export` (both SavedModels of the trained network) and `load` (the one that takes raw
rows).
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import yaml

from benchmarks.peaks import MemoryPeaks
from benchmarks.report import describe_environment, format_table, write_json

_FILES = 4
_IMPORTS = 3
"""How often `import tensorflow` is measured; the median counts."""


def main(
    columns: Annotated[int, typer.Option(min=10)] = 2000,
    rows: Annotated[int, typer.Option(min=1000)] = 100_000,
    folder: Annotated[str, typer.Option(help="Everything lies here.")] = "var/wide",
    until: Annotated[str, typer.Option(help="The last command.")] = "export",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Run the road and print what each command took."""
    root = Path(folder).absolute() / f"{columns}x{rows}"
    root.mkdir(parents=True, exist_ok=True)
    lake = root / "lake"
    if not lake.exists():
        write_lake(lake, columns, rows)
    recipe = root / "wide.yaml"
    recipe.write_text(yaml.safe_dump(make_recipe(str(lake), columns), sort_keys=False))
    command = [sys.executable, "-m", "headrace.cli"]
    options = [str(recipe), "--workdir", str(root / "work"), "--json"]
    imports = [measure_import() for _ in range(_IMPORTS)]
    runs: dict[str, dict[str, Any]] = {}
    for name, arguments in (
        ("check", ["check", *options]),
        ("prepare", ["prepare", *options]),
        ("inspect", ["inspect", str(root / "work" / "dataset"), "--json"]),
        ("train", ["train", *options, "--resume", "never"]),
        ("evaluate", ["evaluate", *options]),
        ("promote", ["promote", *options]),
        ("score", ["score", *options, "--input", str(lake), "--output", str(root / "scores")]),
    ):
        runs[name] = _run(name, [*command, *arguments], root)
        typer.echo(json.dumps(runs[name]))
        if name == until:
            break
    else:
        command = [sys.executable, "-m", "benchmarks.wide_one", str(root)]
        runs["export"] = _run("export", command, root)
        typer.echo(json.dumps(runs["export"]))
    imports += [measure_import() for _ in range(_IMPORTS)]
    base = statistics.median(imports)
    ratios = {}
    if "train" in runs:
        result = runs["train"]["result"]
        ratios["first_step"] = (result["first_step_at"] - runs["train"]["began"]) / base
    if "export" in runs:
        for name in ("export", "load"):
            ratios[name] = runs["export"]["result"][name] / runs["export"]["result"]["import"]
    lines = [
        [
            name,
            f"{r['seconds']:.1f}",
            f"{r['cpu_seconds']:.1f}",
            f"{r['largest']:.2f}",
            f"{r['together']:.2f}",
        ]
        for name, r in runs.items()
    ]
    header = ["command", "seconds", "CPU seconds", "largest process, GiB", "all processes, GiB"]
    typer.echo("\n" + format_table(header, lines))
    typer.echo(f"\nimport tensorflow: {base:.2f} s")
    for name, ratio in ratios.items():
        typer.echo(f"{name}: {ratio:.2f} x import tensorflow")
    if json_:
        figures = {
            "columns": columns,
            "rows": rows,
            "import_tensorflow": imports,
            "ratios": ratios,
            "runs": runs,
        }
        write_json(json_, {"benchmark": "wide", **describe_environment(), **figures})


def write_lake(lake: Path, columns: int, rows: int) -> None:
    """Write Parquet files: a key, numbers `n0`, …, texts `t0`, …, and a label of some of them."""
    aside = lake.with_name("lake.aside")
    aside.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    numbers, texts = split_columns(columns)
    for number in range(_FILES):
        count = rows // _FILES
        values: dict[str, Any] = {"key": pa.array(np.arange(count) + number * count)}
        score = np.zeros(count)
        for position in range(numbers):
            column = rng.normal(position % 7, 1 + position % 3, count)
            if position < 10:
                score += (column - position % 7) / (1 + position % 3) / 3
            missing = rng.random(count) < 0.01
            values[f"n{position}"] = pa.array(column, mask=missing)
        for position in range(texts):
            size = int(10 ** (1 + 2 * position / max(texts - 1, 1)))
            ids = (rng.random(count) ** 2 * size).astype(np.int32)
            if position < 10:
                score += (ids % 2) - 0.5
            names = pa.array([f"v{position}_{value}" for value in range(size)])
            values[f"t{position}"] = names.take(pa.array(ids))
        chance = 1 / (1 + np.exp(-score))
        values["label"] = (rng.random(count) < chance).astype(np.int32)
        pq.write_table(pa.table(values), aside / f"part-{number:04d}.parquet")
    aside.rename(lake)


def split_columns(columns: int) -> tuple[int, int]:
    """Return how many columns are numbers and how many are texts."""
    numbers = columns * 3 // 5
    return numbers, columns - numbers


def make_recipe(lake: str, columns: int) -> dict[str, Any]:
    """Return the recipe: numbers standardized, texts with a vocabulary each, an mlp."""
    numbers, texts = split_columns(columns)
    return {
        "name": "wide",
        "source": {"tables": {"rows": {"path": lake}}, "main": "rows"},
        "label": {"kind": "binary", "expression": "label = 1"},
        "features": {
            **{f"n{n}": {"kind": "standardize", "column": f"n{n}"} for n in range(numbers)},
            **{f"t{n}": {"kind": "vocabulary", "column": f"t{n}"} for n in range(texts)},
        },
        "split": {"key": ["key"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
        "dataset": {"path": "${workdir}/dataset"},
        "model": {"kind": "mlp", "hidden": [64], "embedding_width": 8},
        "train": {"ranks": 2, "epochs": 1, "global_batch_size": 2048},
        "evaluate": {"gates": [], "references": []},
        "score": {"key": ["key"]},
    }


def measure_import() -> float:
    """Return the seconds of a new process that imports TensorFlow."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
    return time.monotonic() - began


def _run(name: str, command: list[str], root: Path) -> dict[str, Any]:
    """Run a command, and take the memory of its processes twice a second."""
    log = root / f"{name}.log"
    began, began_at = time.time(), time.monotonic()
    cpu_before = _read_cpu_seconds()
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        peaks = MemoryPeaks(process.pid)
        output, _ = process.communicate()
    largest, together = peaks.stop()
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}; see {log}\n{output[-2000:]}")
    return {
        "name": name,
        "began": began,
        "seconds": round(time.monotonic() - began_at, 2),
        "cpu_seconds": round(_read_cpu_seconds() - cpu_before, 2),
        "largest": round(largest, 3),
        "together": round(together, 3),
        "result": json.loads(output.splitlines()[-1]),
    }


def _read_cpu_seconds() -> float:
    """Return the processor time of all processes below this one that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    typer.run(main)

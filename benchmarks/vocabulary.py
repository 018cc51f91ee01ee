"""Measure what a vocabulary costs as it grows: prepare, load, look up, export, and load the model.

    .venv/bin/python -m benchmarks.vocabulary                    # 100 thousand, 1 and 5 million
    .venv/bin/python -m benchmarks.vocabulary --sizes 50000000   # as far as the machine allows
    .venv/bin/python -m benchmarks.vocabulary --json figures.json

A lake of `user` (a text of ten characters, a tenth of them twice), a number and a condition is made
for each size, a Parquet file for each million rows. Every step runs in a process of its own:

| step | what it does |
|---|---|
| prepare | `headrace.prepare` of the lake; Spark's driver has 3 GiB |
| load | opens the version, and makes its transform ready to run on Arrow batches |
| lookup | 65,536 rows, half of them known, within `load` |
| export | a network of width 4, written as the SavedModel that takes raw rows |
| reload | that SavedModel, loaded by TensorFlow alone |

`peak` is the most resident memory of the step's own process, mapped files included; of `prepare`
also that of all its processes. `growth` is the exponent of a figure between the smallest and the
largest size: 0 for one that does not grow, 1 for one that grows with the vocabulary.
"""

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from benchmarks.report import describe_environment, format_table, write_json
from headrace.recipe import Recipe
from headrace.recipe.load import build_recipe

_ROWS_PER_FILE = 1_000_000
_LOOKED_UP = 65_536
_SPREAD, _NUMBERS = 2_654_435_761, 10**9  # ids are spread over nine digits, each once
_SAMPLE_SECONDS = 0.3
_ROOT = Path(__file__).parent.parent


def main(
    sizes: Annotated[str, typer.Option(help="Distinct values.")] = "100000,1000000,5000000",
    workdir: Annotated[str, typer.Option()] = "var/benchmarks/vocabulary",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
    step: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure vocabularies of several sizes."""
    values = [int(size) for size in sizes.split(",")]
    if step:  # in a process of its own
        print(json.dumps(STEPS[step](Path(workdir) / str(values[0]), values[0])))
        return
    figures = []
    for size in values:
        _write_lake(Path(workdir) / str(size), size)
        measured: dict[str, Any] = {"values": size}
        for name in STEPS:
            measured[name] = _run_step(name, workdir, size)
            typer.echo(f"{size:>12,} {name:<8} {json.dumps(measured[name])}", err=True)
        figures.append(measured)
    growth = _compute_growth(figures)
    rows = [[key, *(f"{_get(f, key):,.3g}" for f in figures), f"{growth[key]:.2f}"]
            for key in growth]  # fmt: skip
    typer.echo(format_table(["figure", *(f"{size:,}" for size in values), "growth"], rows))
    if json_:
        write_json(json_, {**describe_environment(), "sizes": figures, "growth": growth})


def _make_users(numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add("u", ((numbers * _SPREAD) % _NUMBERS).astype("U9")))


def _write_lake(folder: Path, size: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "lake").mkdir(parents=True)
    rng, rows = np.random.default_rng(1), size + size // 10
    for number, begin in enumerate(range(0, rows, _ROWS_PER_FILE)):
        event = np.arange(begin, min(begin + _ROWS_PER_FILE, rows))
        columns = {
            "event": event,
            "user": _make_users(event % size),
            "x": rng.normal(size=len(event)),
            "y": rng.random(len(event)) < 0.5,
        }
        pq.write_table(pa.table(columns), folder / f"lake/part-{number}.parquet")


def _build_recipe(folder: Path) -> Recipe:
    tree = {
        "name": "vocabulary",
        "source": {"tables": {"events": {"path": f"{folder}/lake"}}, "main": "events"},
        "clean": {},
        "label": {"expression": "y", "kind": "binary"},
        "split": {
            "key": ["event"],
            "fractions": {"train": 0.98, "validation": 0.01, "test": 0.01},
        },
        "features": {"x": {"kind": "standardize"}, "user": {"kind": "vocabulary"}},
        "dataset": {"path": f"{folder}/dataset"},
        "model": {"kind": "mlp", "embedding_width": 4},
        "spark": {"conf": {"spark.driver.memory": "3g"}},
    }
    return build_recipe(tree, source="benchmarks/vocabulary.py", environment=os.environ)


def _run_step(name: str, workdir: str, size: int) -> dict[str, float]:
    """Run a step in a process, and return its figures with the peak of all processes."""
    command = [sys.executable, "-m", "benchmarks.vocabulary", "--workdir", workdir]
    command += ["--sizes", str(size), "--step", name]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _measure_tree_mib(process.pid))
        time.sleep(_SAMPLE_SECONDS)
    assert process.stdout is not None
    output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"step {name} of {size:,} values failed; its output is above")
    return {**json.loads(output.splitlines()[-1]), "all_processes_mib": round(peak)}


def _measure_tree_mib(pid: int) -> float:
    total = 0.0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss / 2**20
    except psutil.Error:  # it ended meanwhile
        pass
    return total


def _read_peak_mib() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _measure_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    result = work()
    return result, round(time.monotonic() - began, 4)


def _open_spec(folder: Path) -> Any:
    from headrace.lake import DatasetVersion
    from headrace.transform.spec import TransformSpec

    dataset = DatasetVersion.open(str(folder / "dataset"))
    return TransformSpec.from_json(dataset.transform_json, files=dataset.text_files)


def measure_prepare(folder: Path, size: int) -> dict[str, float]:
    """Prepare the lake."""
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress

    recipe = _build_recipe(folder)
    prepared = prepare(recipe, workdir=str(folder / "work"), report=ignore_progress)
    steps = {f"{name}_s": prepared.seconds.get(name, 0.0) for name in ("fit", "write")}
    return {**steps, "transform_bytes": len(prepared.dataset.transform_json),
            "peak_mib": _read_peak_mib()}  # fmt: skip


def measure_load(folder: Path, size: int) -> dict[str, float]:
    """Load the transform, and look values up."""
    from headrace.transform.arrow import ArrowTransform

    numbers = np.random.default_rng(3).integers(0, 2 * size, _LOOKED_UP)
    rows = pa.table({"x": np.zeros(_LOOKED_UP), "user": _make_users(numbers)})
    before = _read_peak_mib()
    transform, load = _measure_seconds(lambda: ArrowTransform(_open_spec(folder)))
    transform(rows)
    _, lookup = _measure_seconds(lambda: transform(rows))
    peak = _read_peak_mib()
    return {"load_s": load, "lookup_s": lookup, "peak_mib": peak, "above_mib": peak - before}


def measure_export(folder: Path, size: int) -> dict[str, float]:
    """Export a model that takes raw rows."""
    from headrace.models.build import build_model
    from headrace.models.raw import export_raw_model

    spec, target = _open_spec(folder), str(folder / "saved_model")
    model = build_model(_build_recipe(folder).model, spec)
    before = _read_peak_mib()
    _, seconds = _measure_seconds(lambda: export_raw_model(model, spec, target))
    files = sum(f.stat().st_size for f in Path(target).rglob("*") if f.is_file())
    peak = _read_peak_mib()
    return {"export_s": seconds, "model_mib": round(files / 2**20), "peak_mib": peak,
            "above_mib": peak - before}  # fmt: skip


def measure_reload(folder: Path, size: int) -> dict[str, float]:
    """Load the model with TensorFlow alone."""
    import tensorflow as tf

    before = _read_peak_mib()
    _, seconds = _measure_seconds(lambda: tf.saved_model.load(str(folder / "saved_model")))
    peak = _read_peak_mib()
    return {"reload_s": seconds, "peak_mib": peak, "above_mib": peak - before}


STEPS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "prepare": measure_prepare,
    "load": measure_load,
    "export": measure_export,
    "reload": measure_reload,
}


def _get(figures: dict[str, Any], key: str) -> float:
    step, _, name = key.partition(".")
    return float(figures[step][name])


def _compute_growth(figures: list[dict[str, Any]]) -> dict[str, float]:
    """Return the exponent by which each figure grows from the first size to the last."""
    first, last = figures[0], figures[-1]
    sizes = math.log(last["values"] / first["values"]) if len(figures) > 1 else math.inf
    return {
        f"{step}.{name}": math.log(max(_get(last, f"{step}.{name}"), 1e-9)
                                   / max(_get(first, f"{step}.{name}"), 1e-9)) / sizes
        for step in STEPS
        for name in first[step]
    }  # fmt: skip


if __name__ == "__main__":
    typer.run(main)

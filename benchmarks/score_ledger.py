"""Account for the time of a row that is scored, part by part, and write it to docs/performance.md.

    .venv/bin/python -m benchmarks.score_ledger           # some minutes

Each part is measured by itself, on the lake and the model of `score.py` and with the functions
that tasks run: processor time of one process. What a row needs at least is its columns decoded as
pyarrow does it, its inputs copied once, and the network's products at the rate at which NumPy
multiplies matrices of those shapes on this machine. A real run is the command `headrace score`:
what it takes for two thousand rows is fixed, what it takes beyond that for all rows is each row's.
"""

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from threadpoolctl import threadpool_limits

from benchmarks.headrace import build_clicks_recipe
from benchmarks.lakes import ensure_clicks_lake, warm_page_cache
from benchmarks.report import describe_environment
from benchmarks.score import ensure_model, run_command

_BEGIN, _END = "<!-- score ledger: begin -->", "<!-- score ledger: end -->"
_FEW_ROWS = 2_000
_Result = TypeVar("_Result")
_NOTES = {
    "early columns": "text numbers, as texts; their casts, and reasons where one is none",
    "late columns": "all others, with page checksums; texts as dictionaries",
    "one chunk": "batches joined, texts as dictionaries",
    "transform": "columns into ids and numbers",
    "inputs": "stacked, a row behind the other",
    "network": "TensorFlow",
    "drift": "columns and predictions counted in bins",
    "predicted columns": "probability, class, versions",
    "writing": "Parquet, in memory and from there to disk",
}


def main(
    rows: Annotated[int, typer.Option(min=100_000, help="Of the lake.")] = 2_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of the real runs.")] = 3,
    workdir: Annotated[str, typer.Option(help="For the lakes.")] = "var/benchmarks",
    page: Annotated[str, typer.Option(help="Its section is replaced.")] = "docs/performance.md",
) -> None:
    """Measure the parts of a row's time, and replace the ledger on the page."""
    folder = str(Path(workdir).absolute())
    machine = describe_environment()["machine"]
    model = ensure_model(folder)
    lake, few = ensure_clicks_lake(folder, rows), ensure_clicks_lake(folder, _FEW_ROWS)
    for _ in range(2):  # the first time takes new memory
        parts, least = _measure_rows({"lake": lake, "out": f"{folder}/scored-parts", **model})
    runs: dict[str, list[dict[str, Any]]] = {lake: [], few: []}
    for _ in range(rounds):
        for path, done in runs.items():
            warm_page_cache(path)
            done.append(
                run_command({"task": "ledger", "lake": path, "out": f"{folder}/scored", **model})
            )
    cpu = {
        path: statistics.median(run["cpu_seconds"] for run in done) for path, done in runs.items()
    }
    seconds = {
        path: statistics.median(run["seconds"] for run in done) for path, done in runs.items()
    }
    each = 1e9 * (cpu[lake] - cpu[few]) / (rows - _FEW_ROWS)
    own = sum(parts.values())
    lines = [
        _BEGIN,
        f"Made by `python -m benchmarks.score_ledger` on {machine['cpu']}, {machine['cores']} "
        f"cores, pyarrow {pa.__version__}, NumPy {np.__version__}, load "
        f"{machine['load_average_at_start'][0]} at the start. Nanoseconds of processor time for "
        "each row, an MLP of 128 and 64 over 13 numbers and 26 categories.",
        "",
        "| part | ns | |",
        "|---|--:|---|",
        *(f"| {name} | {ns:.0f} | {_NOTES[name]} |" for name, ns in parts.items()),
        *(f"| least: {name} | {ns:.0f} | |" for name, ns in least.items()),
        f"| real run | {each:.0f} | median of {rounds}, without what is fixed |",
        "",
        f"The parts together are {own:.0f}, the least {sum(least.values()):.0f}; in a real run a "
        f"row takes {each - own:+.0f}. Of {seconds[lake]:.1f} s for {rows:,} rows, "
        f"{seconds[few]:.1f} s are fixed:",
        "",
        "| fixed | seconds of processor |",
        "|---|--:|",
        *(f"| {name} | {value:.2f} |" for name, value in _measure_start().items()),
        f"| `headrace score` of {_FEW_ROWS:,} rows, altogether | {cpu[few]:.2f} |",
        "",
        _END,
    ]
    text = Path(page).read_text(encoding="utf-8")
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    Path(page).write_text(pattern.sub(lambda _: "\n".join(lines), text), encoding="utf-8")
    typer.echo("\n".join(lines))


def _measure_start() -> dict[str, float]:
    """Measure the processor seconds of what a command and its processes import."""
    imports = {
        "Python and the command's own modules": "import headrace.cli, headrace.score.run",
        "with MLflow and its database": "import headrace.score.run, headrace.tracking.preload",
        "TensorFlow, once for all processes that predict": "import headrace.score.local.preload",
    }
    at_the_end = "; from headrace.garbage import freeze_objects; freeze_objects()"
    found = {}
    for name, code in imports.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", code + at_the_end], check=True, stderr=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found[name] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found


def _measure_rows(job: Mapping[str, str]) -> tuple[dict[str, float], dict[str, float]]:
    """Measure each part over the first file of a lake, in ns for each row; and the least."""
    from headrace.models.reference import count_predictions
    from headrace.score.files import PredictionLayout, PredictionWriter
    from headrace.score.local.jobs import LocalJobs
    from headrace.score.network import load_network, pack_folder
    from headrace.score.predicting import choose_chunk_rows
    from headrace.source.dictionaries import (
        concat_to_one_chunk,
        decode_column,
        encode_texts,
    )
    from headrace.source.late_reader import LateReader
    from headrace.source.local.row_parts import FilePart
    from headrace.source.local.workers import Workers
    from headrace.transform.arrow import ArrowTransform, stack_inputs

    attempt, spec, reference, network_folder = _open_attempt(job)
    jobs = LocalJobs(attempt, Workers(0))
    plan = jobs.plan_rows(spec, ())
    assert plan.late is not None
    number, file = next(iter(plan.files.files.items()))
    rows = plan.files.rows[number]
    parts = dict.fromkeys(_NOTES, 0.0)

    def measure(name: str, action: Callable[..., _Result], *values: Any) -> _Result:
        begin = time.process_time()  # TensorFlow computes on a thread of its own
        result = action(*values)
        parts[name] += 1e9 * (time.process_time() - begin) / rows
        return result

    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        pack_folder(network_folder, f"{folder}/model.zip")
        network = load_network(f"{folder}/model.zip", spec, 1)
        inputs = {n: np.zeros((4096, *i.shape), i.dtype) for n, i in spec.inputs.items()}
        network(inputs)  # the first call traces
        transform, late = ArrowTransform(spec), LateReader(plan.late)
        schema = pa.schema(
            {
                attempt.written[0]: plan.schema.get_arrow_type(attempt.written[0]),
                **spec.label.definition.prediction_types,
            }
        )
        layout = PredictionLayout(folder, "ledger", ("",), ({},), ("",), schema, 1_000_000)
        writer = PredictionWriter(layout, "0")
        batches = plan.reader.read_batches(FilePart(number, file))
        predict = spec.label.definition.predict_columns
        while batch := measure("early columns", next, batches, None):
            table = pa.Table.from_batches([batch])
            table = measure("late columns", late.add_late_columns, table)
            table = measure(
                "one chunk", lambda held: encode_texts(concat_to_one_chunk(held)), [table]
            )
            for begin in range(0, table.num_rows, choose_chunk_rows(spec, 65_536)):
                chunk = table.slice(begin, choose_chunk_rows(spec, 65_536))
                columns = measure("transform", transform, chunk)
                inputs = measure("inputs", stack_inputs, columns, spec)
                output = measure("network", network, inputs)
                measure("drift", _count, reference, columns, output, spec, count_predictions)
                predicted = measure("predicted columns", predict, output, spec.label, 0.5)
                predicted[attempt.written[0]] = decode_column(chunk[attempt.written[0]])
                made = pa.table([predicted[name] for name in schema.names], schema=schema)
                where = np.zeros(len(output), np.int32)
                measure("writing", writer.add_rows, made, where)
        measure("writing", writer.close)
        least = _measure_least(file.path, [c.name for c in spec.raw], inputs, network_folder)
    return parts, least


def _count(
    reference: Any, columns: Mapping[str, np.ndarray], output: np.ndarray, spec: Any, count: Any
) -> None:
    for axis in reference.axes:
        if axis.name in columns:
            axis.count_values(columns[axis.name])
            axis.count_unknown(columns[axis.name])
    if reference.prediction_axis:
        count(reference.prediction_axis, output, spec.label, 0.5)


def _open_attempt(job: Mapping[str, str]) -> tuple[Any, Any, Any, str]:
    """Return what a scoring job has when it reads its first row, and the network's folder."""
    import json

    from headrace.progress import ignore_progress
    from headrace.score.attempt import ScoreAttempt
    from headrace.score.monitor import Reference
    from headrace.score.plan import make_plan
    from headrace.score.reading import list_written_columns, replace_main_table
    from headrace.tracking.model import download_model_file, find_model
    from headrace.tracking.store import Store
    from headrace.transform.spec import TransformSpec

    recipe = build_clicks_recipe(job["lake"], f"{job['home']}/dataset")
    store = Store.from_recipe(recipe, job["home"], os.environ)
    model = find_model(store, job["uri"])
    table = f"{job['lake']}/clicks"
    reading = replace_main_table(recipe, table)
    attempt = ScoreAttempt(
        recipe=recipe, reading=reading, plan=make_plan(reading, table, None, full=True),
        root=job["out"], base=None, model=model, written=list_written_columns(recipe),
        report=ignore_progress, idempotency_id=None, now=datetime.now(UTC), build_id="ledger",
    )  # fmt: skip
    folder = tempfile.mkdtemp(prefix="headrace-ledger-")
    text = Path(download_model_file(store, model, "transform", folder)).read_text(encoding="utf-8")
    reference = Path(download_model_file(store, model, "reference", folder)).read_text("utf-8")
    network = download_model_file(store, model, "network", folder)
    return (
        attempt,
        TransformSpec.from_json(text),
        Reference.from_json(json.loads(reference)),
        network,
    )


def _measure_least(
    path: str, names: list[str], inputs: Mapping[str, np.ndarray], network: str
) -> dict[str, float]:
    """Measure what a row needs at least, in ns."""
    import tensorflow as tf

    begin = time.thread_time()
    table = pq.ParquetFile(path).read(columns=names, use_threads=False)
    read = time.thread_time() - begin
    held = {name: values.copy() for name, values in inputs.items()}
    begin = time.thread_time()
    for name, values in inputs.items():
        np.copyto(held[name], values)
    copied = time.thread_time() - begin
    loaded = tf.saved_model.load(network)  # held: its functions hold their variables weakly
    variables = loaded.signatures["network"].variables
    # Kernels follow each other; embeddings are looked up and not multiplied.
    kernels = [v.numpy() for v in variables if len(v.shape) == 2 and "kernel" in v.name]
    rng, size, products = np.random.default_rng(0), 4096, 0.0
    with threadpool_limits(1):  # threads that wait for each other would count, too
        for kernel in kernels:
            rows = rng.normal(size=(size, len(kernel))).astype(np.float32)
            rows @ kernel
            begin = time.thread_time()
            for _ in range(20):
                rows @ kernel
            products += (time.thread_time() - begin) / 20
    count = len(next(iter(inputs.values())))
    return {
        "decoding by pyarrow": 1e9 * read / table.num_rows,
        "one copy of the inputs": 1e9 * copied / count,
        "the network's products, by NumPy": 1e9 * products / size,
    }


if __name__ == "__main__":
    typer.run(main)

"""Measure how costs grow: each figure at five sizes, every one twice the last, and its exponent.

    python -m benchmarks.growth --json slopes.json           # some minutes
    python -m benchmarks.growth --figures epoch_plan --scale 0.1

An exponent of 1 is a cost in proportion to the size, 2 its square. Sizes are such as a large lake,
cluster or table has; `--scale` takes parts of them. Seconds are those of this machine, counts those
of any.
"""

import argparse
import math
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.agents import measure_agents
from benchmarks.evaluation_counts import measure_evaluation_counts, measure_slice_counts
from benchmarks.evaluations import measure_evaluation, measure_slices
from benchmarks.first_batch import measure_first_batch
from benchmarks.growth_lakes import measure_partitions, measure_row_groups, measure_vocabulary
from benchmarks.optimized_files import measure_optimize
from benchmarks.partition_counts import measure_partition_counts
from benchmarks.record_nights import measure_records
from benchmarks.report import describe_environment, format_table, write_json
from benchmarks.vocabulary_counts import measure_vocabulary_counts

# Name of a figure's part -> its value at one size; `objects`, `bytes` and the like are counts.
Costs = dict[str, float]
_DOUBLINGS = 4


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit the exponent of a cost: the slope of its logarithm over that of the size."""
    points = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True)]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return covariance / sum((x - mean_x) ** 2 for x, _ in points)


def measure_epoch_plan(row_groups: int, ranks: int = 512) -> Costs:
    """Plan an epoch of a split of that many row groups on one of the ranks."""
    from headrace.stream.plan import assign_shards, order_blocks, plan_epoch
    from headrace.stream.row_ranges import index_row_groups

    files = [(8192,) * 64] * (row_groups // 64)

    def plan() -> int:
        shards = assign_shards(ranks, ranks // 2, ranks)
        made = plan_epoch(
            index_row_groups(files), canonical_shards=ranks, global_batch_size=8 * ranks,
            block_rows=16_384, shuffle=True, seed=1, epoch=0, shards=shards,
        )  # fmt: skip
        return sum(len(block.ranges) + 1 for block in order_blocks(made, shards))

    return {"seconds": time_best(plan), "objects": plan(), "bytes": measure_peak_bytes(plan)}


def measure_board(ranks: int) -> Costs:
    """Run that many agents against a supervisor: see `agents.py`."""
    figures = measure_agents(ranks)
    if figures["outcome"] != "finished" or figures["failed_agents"]:
        raise RuntimeError(f"the run of {ranks} agents failed: {figures}")
    return {
        "seconds_to_first_generation": figures["formed_seconds"],
        "cores_while_running": figures["cores_while_running"],
        "processor_seconds": figures["processor_seconds"],
        "connections": figures["connections"],
    }


def measure_ledger(partitions: int) -> Costs:
    """Build the ledgers of that many source partitions, of three files each."""
    from collections import Counter
    from types import SimpleNamespace

    from headrace.lake.data_file import SPLITS, DataFile
    from headrace.prepare.accounts import account_for_partitions
    from headrace.prepare.shuffle.task_counts import TaskCounts
    from headrace.prepare.write.job import Written

    names = tuple(f"day={number}" for number in range(partitions))
    files = [
        DataFile(
            path=f"{name}-{split}", split=split, bytes=1, row_groups=(8,), content="",
            partition=name,
        )
        for name in names
        for split in SPLITS
    ]  # fmt: skip
    raw: Any = SimpleNamespace(
        partition_index=SimpleNamespace(names=names), read=dict.fromkeys(names, 24),
        excluded=dict.fromkeys(names, 0), erased={},
    )  # fmt: skip
    plan: Any = SimpleNamespace(partitions=dict.fromkeys(names, ()))
    written = Written(files, [], Counter())

    def account() -> object:
        return account_for_partitions(plan, "build", raw, (), TaskCounts(), written)

    return {"seconds": time_best(account), "bytes": measure_peak_bytes(account)}


def measure_parameters(columns: int) -> Costs:
    """Log the parameters of a recipe with that many features to MLflow in a SQLite file."""
    import tempfile

    from mlflow import MlflowClient

    from headrace.tracking.run import TrackedRun
    from headrace.tracking.store import Store

    feature = {"kind": "standardize", "column": None, "clip": 3.0, "missing_indicator": False}
    tree = {"features": {f"x{number}": feature for number in range(columns)}, "train": {"seed": 1}}
    with tempfile.TemporaryDirectory() as folder:
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("growth", artifact_location=f"file://{folder}/files")
        run_id = client.create_run(experiment).info.run_id
        store: Store = None  # type: ignore[assignment]  # nothing that is logged here asks it
        started = time.perf_counter()
        TrackedRun(client, run_id, store).log_params(tree)
        return {"seconds": time.perf_counter() - started}


def measure_count_limits(columns: int) -> Costs:
    """Find what that many features need of each other's summaries."""
    from headrace.features.vocabulary import VocabularySection
    from headrace.prepare.shuffle.count_limits import find_count_limits
    from headrace.transform.fit import FitInputs

    features = {f"x{number}": VocabularySection(kind="vocabulary") for number in range(columns)}
    fit_inputs = FitInputs(dict.fromkeys(features, "string"), {}, features)
    return {"seconds": time_best(lambda: find_count_limits(fit_inputs))}


def measure_shuffle_plan(tasks: int) -> Costs:
    """Plan a shuffle to that many tasks."""
    import py4j.clientserver
    import pyspark.sql.functions as F
    from pyspark.sql import SparkSession

    from headrace.prepare.shuffle.partitioner import distribute_evenly

    session = (
        SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    )

    def plan(number_of_tasks: int) -> None:
        column = distribute_evenly(F.col("id"), number_of_tasks)
        session.range(1000).repartition(number_of_tasks, column).schema  # noqa: B018  # analyses it

    plan(2)  # what Spark does the first time
    calls = 0
    send_command = py4j.clientserver.JavaClient.send_command

    def count_and_send(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return send_command(*arguments, **options)

    started = time.perf_counter()
    py4j.clientserver.JavaClient.send_command = count_and_send
    try:
        plan(tasks)
    finally:
        py4j.clientserver.JavaClient.send_command = send_command
    return {"seconds": time.perf_counter() - started, "jvm_calls": calls}


def measure_first_shuffle(targets: int) -> Costs:
    """Shuffle rows to that many targets: see `first_shuffle.py`; costs are those of a row."""
    from benchmarks import first_shuffle

    return first_shuffle.measure_first_shuffle(targets)


def measure_key_check(partitions: int) -> Costs:
    """Look 65,536 keys up in the hashes of that many source partitions of 65,536 rows, each of a
    build of its own, as a night does; none is there."""
    import tempfile
    from pathlib import Path

    import numpy as np

    from headrace.prepare.key_hashes import (
        TaskKeyHashes,
        count_matches,
        read_key_hashes,
        shorten_row_ids,
    )

    rows, bits = 65_536, np.iinfo(np.int64)
    rng = np.random.default_rng(1)
    keys = np.sort(shorten_row_ids(rng.integers(bits.min, bits.max, rows)))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(partitions):
            hashes = TaskKeyHashes(folder, f"build-{number}", attempt=0)
            hashes.add_rows(f"day={number}", 0, rng.integers(bits.min, bits.max, rows))
            hashes.write_file()
        files = {str(path): path.stat().st_size for path in Path(folder).rglob("*.parquet")}

        def look_up() -> int:
            runs = (
                read_key_hashes(path, {f"day={n}" for n in range(partitions)}) for path in files
            )
            return sum(count_matches(hashes, keys) for run in runs for hashes in run.values())

        if look_up():
            raise RuntimeError("random keys are found in a thousand times as many tries")
        return {
            "seconds": time_best(look_up, 2),
            "files": len(files),
            "bytes": sum(files.values()),
            "bytes_per_row": sum(files.values()) / partitions / rows,
        }


def time_best(operation: Callable[[], object], times: int = 5) -> float:
    """Return the processor seconds of the fastest of several runs."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        operation()
        seconds.append(time.process_time() - started)
    return min(seconds)


def measure_peak_bytes(operation: Callable[[], object]) -> int:
    """Return the most bytes that an operation held at once, by Python's and NumPy's account."""
    tracemalloc.start()
    try:
        operation()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Name -> what measures it, and its largest size.
FIGURES: dict[str, tuple[Callable[[int], Costs], int]] = {
    "epoch_plan": (measure_epoch_plan, 3_000_000),
    "agents": (measure_board, 1024),
    "ledger": (measure_ledger, 8_000),
    "parameters": (measure_parameters, 4_000),
    "count_limits": (measure_count_limits, 3_200),
    "shuffle_plan": (measure_shuffle_plan, 16_000),
    "evaluation": (measure_evaluation, 1_000_000),
    "evaluation_counts": (measure_evaluation_counts, 1_000_000),
    "slices": (measure_slices, 100_000),
    "slice_counts": (measure_slice_counts, 100_000),
    "records": (measure_records, 256),
    "first_shuffle": (measure_first_shuffle, 65_536),
    "key_check": (measure_key_check, 640),
    "partitions": (measure_partitions, 2048),
    "partition_counts": (measure_partition_counts, 2048),
    "vocabulary": (measure_vocabulary, 4_000_000),
    "vocabulary_counts": (measure_vocabulary_counts, 4_000_000),
    "row_groups": (measure_row_groups, 2**20),
    "first_batch": (measure_first_batch, 2**15),
    "optimize": (measure_optimize, 4_000),
}


def measure_figure(name: str, scale: float = 1.0) -> dict[str, Any]:
    """Measure one figure at five sizes.

    Args:
        name: of the figure.
        scale: of its sizes.

    Returns:
        sizes, costs at each of them, and the exponent of each cost.
    """
    measure, largest = FIGURES[name]
    sizes = [int(largest * scale) >> halvings for halvings in reversed(range(_DOUBLINGS + 1))]
    costs = [measure(size) for size in sizes]
    curves = {part: [cost[part] for cost in costs] for part in costs[0]}
    return {
        "sizes": sizes,
        "costs": curves,
        "exponents": {
            part: round(fit_exponent(sizes, values), 3) for part, values in curves.items()
        },
    }


def main() -> None:
    """Measure the figures, print them as tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--figures", nargs="+", default=list(FIGURES), choices=list(FIGURES))
    parser.add_argument("--scale", type=float, default=1.0, help="part of the sizes")
    parser.add_argument("--json", help="file to write the figures to")
    arguments = parser.parse_args()
    environment = describe_environment()
    figures = {}
    for name in arguments.figures:
        figures[name] = figure = measure_figure(name, arguments.scale)
        parts = list(figure["costs"])
        rows = [
            [f"{size:,}", *(f"{figure['costs'][part][i]:,.3g}" for part in parts)]
            for i, size in enumerate(figure["sizes"])
        ]
        exponents = ["exponent", *(figure["exponents"][part] for part in parts)]
        print(format_table([name, *parts], [*rows, exponents]), end="\n\n")
    if arguments.json:
        exponents = {
            f"{name}.{part}": exponent
            for name, figure in figures.items()
            for part, exponent in figure["exponents"].items()
        }
        write_json(arguments.json, {"exponents": exponents, "figures": figures, **environment})


if __name__ == "__main__":
    main()

"""Train and time steps over the stream, on every rank of `train.py`."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stream_files import NUMERIC, load_index
from headrace.distributed.rank.collectives import Collectives, SoloCollectives
from headrace.progress import Report

NAMES = tuple(f"numeric{i}" for i in range(NUMERIC))


def train_steps(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Train `steps` steps on `rows` rows per rank, this rank on a core of its own.

    Returns:
        rows per second of all ranks, median seconds of a step, seconds of the allreduce alone, the
        share of time spent waiting for input, and the number of weights.
    """
    import keras
    import tensorflow as tf

    from headrace.features.scaled import ScaledFeature
    from headrace.models.build import build_model
    from headrace.recipe import sections as s
    from headrace.stream.columns import Columns
    from headrace.stream.dataset import read_tf_batches
    from headrace.stream.plan import BLOCK_ROWS
    from headrace.stream.split_stream import SplitStream
    from headrace.train.optimizer import build_optimizer
    from headrace.train.prefetch import prefetch_items
    from headrace.train.step import TrainStep
    from headrace.transform.spec import ModelInput, RawColumn, TransformSpec

    if not tf.config.list_physical_devices("GPU"):
        cores = sorted(os.sched_getaffinity(0))
        for thread in Path("/proc/self/task").iterdir():  # later threads inherit it
            os.sched_setaffinity(int(thread.name), {cores[ranks.local_rank % len(cores)]})
    spec = TransformSpec(
        raw=tuple(RawColumn(name=name, kind="real", nullable=False) for name in NAMES),
        derived=(),
        features=tuple(ScaledFeature(name=name, column=name) for name in NAMES),
    )
    keras.utils.set_random_seed(1)
    model = build_model(s.Mlp(kind="mlp", hidden=payload["hidden"]), spec)
    optimizer = build_optimizer(s.Optimizer(kind="adam"))
    optimizer.build(model.trainable_variables)
    ranks.broadcast_variables([*model.weights, *optimizer.variables])
    together = SoloCollectives() if payload["apart"] else ranks
    step = TrainStep(model, optimizer, together, spec.label.kind)
    columns = Columns(
        {
            "numeric": ModelInput("float32", (NUMERIC,), NAMES),
            "label": ModelInput("float32", (), ("label",)),
        }
    )
    stream = SplitStream(
        payload["folder"],
        load_index(payload["folder"]),
        columns,
        rank=ranks.rank,
        size=ranks.size,
        global_batch_size=payload["rows"] * ranks.size,
        canonical_shards=16,
        shuffle=True,
        seed=1,
        block_rows=BLOCK_ROWS,
        engine=payload["engine"],
    )
    count, warm_up = payload["steps"], payload["warm"]
    epochs = range(-(-(count + warm_up) // stream.steps))
    seconds, waited = [], 0.0
    with prefetch_items(read_tf_batches(stream, epochs)) as batches:
        for number in range(count + warm_up):
            if number == warm_up:
                began = time.monotonic()
            requested = time.monotonic()
            batch = next(batches)
            received = time.monotonic()
            float(step(batch, number, rate=0.001).loss)
            if number >= warm_up:
                waited += received - requested
                seconds.append(time.monotonic() - requested)
    whole = float(ranks.allgather(np.array([time.monotonic() - began])).mean())
    rate = _measure_matmul_rate(payload["rows"], max(payload["hidden"]))
    products = sum(
        int(np.prod(w.shape)) for w in model.trainable_weights if len(w.shape) == 2
    )  # of a row and all kernels; the gradients of inputs and of kernels are as much again, each
    return {
        "rows_per_second": count * payload["rows"] * ranks.size / whole,
        "step_seconds": statistics.median(seconds),
        "allreduce_seconds": _time_allreduce(model, together),
        "input_wait_share": waited / whole,
        "gigaflops": rate / 1e9,
        "least_seconds": 3 * 2 * products * payload["rows"] / rate,
        "weights": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
    }


def _measure_matmul_rate(rows: int, width: int) -> float:
    """Measure how many operations a second a product of matrices makes on this rank's core."""
    import tensorflow as tf

    left, right = tf.random.normal((rows, width)), tf.random.normal((width, width))
    multiply = tf.function(lambda a, b: tf.reduce_sum(tf.matmul(a, b)), autograph=False)
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        float(multiply(left, right))
        seconds.append(time.monotonic() - began)
    return 2 * rows * width * width / statistics.median(seconds[5:])


def _time_allreduce(model: Any, ranks: Collectives) -> float:
    """Measure the median seconds of summing a step's gradients, with nothing else running."""
    import tensorflow as tf

    if ranks.size == 1:
        return 0.0

    @tf.function(autograph=False)
    def sum_gradients() -> Any:
        # The inputs are no constants, which would be folded, and every result is used.
        sums = ranks.allreduce([v.value * 1.0001 for v in model.trainable_variables])
        return tf.add_n([tf.reduce_sum(tensor) for tensor in sums])

    seconds = []
    for _ in range(60):
        began = time.monotonic()
        float(sum_gradients())
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds[10:])

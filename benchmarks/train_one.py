"""What every rank of `train.py` does: steps over the stream, timed."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stream_files import NUMERIC, index_of
from headrace.distributed.rank.collectives import Collectives
from headrace.progress import Report

NAMES = tuple(f"numeric{i}" for i in range(NUMERIC))


def steps(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Train `steps` steps on `rows` rows a rank, this rank on a core of its own.

    Returns:
        rows a second of all ranks, median seconds of a step, seconds of the allreduce alone, the
        share of waiting for input, and the number of weights.
    """
    import keras
    import tensorflow as tf

    from headrace.models.build import build_model
    from headrace.recipe import sections as s
    from headrace.stream.columns import Columns
    from headrace.stream.dataset import tf_batches
    from headrace.stream.plan import BLOCK_ROWS
    from headrace.stream.split_stream import SplitStream
    from headrace.train.optimizer import build_optimizer
    from headrace.train.prefetch import ahead
    from headrace.train.step import TrainStep
    from headrace.transform.spec import ModelInput, RawColumn, ScaledFeature, TransformSpec

    if not tf.config.list_physical_devices("GPU"):
        cores = sorted(os.sched_getaffinity(0))
        for thread in Path("/proc/self/task").iterdir():  # those to come inherit it
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
    step = TrainStep(model, optimizer, ranks, spec.label.kind)
    columns = Columns(
        {
            "numeric": ModelInput("float32", (NUMERIC,), NAMES),
            "label": ModelInput("float32", (), ("label",)),
        }
    )
    stream = SplitStream(
        payload["folder"],
        index_of(payload["folder"]),
        columns,
        rank=ranks.rank,
        size=ranks.size,
        global_batch_size=payload["rows"] * ranks.size,
        canonical_shards=16,
        shuffle=True,
        seed=1,
        block_rows=BLOCK_ROWS,
    )
    count, warm = payload["steps"], payload["warm"]
    epochs = range(-(-(count + warm) // stream.steps))
    seconds, waited = [], 0.0
    with ahead(tf_batches(stream, epochs)) as batches:
        for number in range(count + warm):
            if number == warm:
                began = time.monotonic()
            asked = time.monotonic()
            batch = next(batches)
            got = time.monotonic()
            float(step(batch, number, rate=0.001).loss)
            if number >= warm:
                waited += got - asked
                seconds.append(time.monotonic() - asked)
    whole = time.monotonic() - began
    return {
        "rows_per_second": count * payload["rows"] * ranks.size / whole,
        "step_seconds": statistics.median(seconds),
        "allreduce_seconds": _allreduce(model, ranks),
        "input_wait_share": waited / whole,
        "weights": int(sum(np.prod(w.shape) for w in model.trainable_weights)),
        "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
    }


def _allreduce(model: Any, ranks: Collectives) -> float:
    """Median seconds of summing as many numbers as a step does, nothing else going on."""
    import tensorflow as tf

    if ranks.size == 1:
        return 0.0

    @tf.function(autograph=False)
    def reduce() -> Any:
        # Not of constants, which would be folded; and all of the results are asked for.
        found = ranks.sum([v.value * 1.0001 for v in model.trainable_variables])
        return tf.add_n([tf.reduce_sum(tensor) for tensor in found])

    seconds = []
    for _ in range(60):
        began = time.monotonic()
        float(reduce())
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds[10:])

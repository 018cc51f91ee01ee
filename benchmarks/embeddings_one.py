"""Train and time steps over an embedding table, on every rank of `embeddings.py`."""

import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.progress import Report

_BATCHES = 8


def train_steps(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Train `steps` steps of an MLP over columns that share a table, this rank on its own core.

    Args:
        payload: `rows` of the table, `width`, `columns`, `global_batch`, `hidden` or `model`
            (recipe keys), `shard_above` (bytes), `numbers` beside the ids, `steps`, `warm`,
            `optimizer` (recipe keys), and `way`: `headrace`, `dense` (as if the table were small)
            or `bare` (a TensorFlow loop that gathers and scatters by hand, plain SGD).
        ranks: the ranks.
        report: not used.

    Returns:
        median milliseconds of a step, samples of all ranks in a second, this rank's peak of memory
        in MiB, and the seconds of parts of a step alone.
    """
    import keras
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        cores = sorted(os.sched_getaffinity(0))
        for thread in Path("/proc/self/task").iterdir():  # later threads inherit it
            os.sched_setaffinity(int(thread.name), {cores[ranks.local_rank % len(cores)]})
    rows, columns = payload["global_batch"] // ranks.size, payload["columns"]
    rng = np.random.default_rng(ranks.rank)
    share = payload["rows"] // columns
    batches = [
        {
            "numeric": tf.constant(rng.normal(size=(rows, payload.get("numbers", 0))), tf.float32),
            "categorical": tf.constant(rng.integers(0, share, (rows, columns)), tf.int32),
            "label": tf.constant(rng.integers(0, 2, rows), tf.float32),
            "weight": tf.ones(rows),
        }
        for _ in range(_BATCHES)
    ]
    keras.utils.set_random_seed(1)
    build = _build_bare_step if payload["way"] == "bare" else _build_step
    step, measure_parts = build(payload, ranks, share)
    seconds = []
    for number in range(payload["warm"] + payload["steps"]):
        started_at = time.perf_counter()
        float(step(batches[number % _BATCHES], number))
        if number >= payload["warm"]:
            seconds.append(time.perf_counter() - started_at)
    return {
        "step_milliseconds": statistics.median(seconds) * 1000,
        "samples_per_second": payload["global_batch"] / statistics.median(seconds),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds": measure_parts(),
    }


def _build_step(payload: dict[str, Any], ranks: Collectives, share: int) -> Any:
    from pydantic import TypeAdapter

    from headrace.features.hash import HashFeature
    from headrace.features.scaled import ScaledFeature
    from headrace.models.build import build_model
    from headrace.models.table_storage import build_tables
    from headrace.recipe import sections as s
    from headrace.train import table_policy, tables
    from headrace.train.optimizer import build_optimizer
    from headrace.train.sharded_tables import make_table_builder
    from headrace.train.step import TrainStep
    from headrace.train.step_options import StepOptions
    from headrace.transform.spec import RawColumn, TransformSpec

    if payload["way"] == "dense":
        table_policy._ROWS_PER_ID = 10**9
    names = [f"c{i}" for i in range(payload["columns"])]
    numbers = [f"n{i}" for i in range(payload.get("numbers", 0))]
    raw = [RawColumn(name=name, kind="string", nullable=False) for name in names]
    raw += [RawColumn(name=name, kind="real", nullable=False) for name in numbers]
    features = [HashFeature(name=n, columns=(n,), buckets=share - 1) for n in names]
    spec = TransformSpec(
        raw=tuple(raw),
        derived=(),
        features=(*features, *(ScaledFeature(name=n, column=n) for n in numbers)),
    )
    tree = payload.get("model") or {"kind": "mlp", "hidden": payload["hidden"]}
    tree = {**tree, "embedding_width": payload["width"]}
    with build_tables(make_table_builder(payload.get("shard_above"), ranks)):
        model = build_model(TypeAdapter(s.Model).validate_python(tree), spec)
    settings = s.Train.model_validate(
        {"optimizer": payload["optimizer"], "global_batch_size": payload["global_batch"]}
    )
    training = tables.choose_table_training(model, settings)
    variables = tables.list_row_variables(training)
    shards = [table.variable for table in training if table.shard]
    optimizer = build_optimizer(settings.optimizer, "float32", variables, shards, ranks)
    optimizer.build(model.trainable_variables)
    options = StepOptions(shards=16 // ranks.size)
    step = TrainStep(model, optimizer, ranks, "binary", options, training)
    rate = settings.optimizer.learning_rate

    def measure_parts() -> dict[str, float]:
        return {**step.measure_table_seconds(), "allreduce": step.measure_allreduce_seconds()}

    return lambda batch, number: step(batch, number, rate=rate).loss, measure_parts


def _build_bare_step(payload: dict[str, Any], ranks: Collectives, share: int) -> Any:
    import keras
    import tensorflow as tf

    width, columns = payload["width"], payload["columns"]
    table = tf.Variable(tf.random.uniform((share * columns, width), -0.05, 0.05))
    units = [keras.layers.Dense(u, activation="relu") for u in payload["hidden"]]
    network = keras.Sequential([keras.Input((columns * width,)), *units, keras.layers.Dense(1)])
    weights = [variable.value for variable in network.trainable_variables]
    offsets = tf.range(columns) * share
    rate = payload["optimizer"]["learning_rate"]

    @tf.function(autograph=False)
    def step(batch: dict[str, Any]) -> Any:
        ids = tf.reshape(batch["categorical"] + offsets, [-1])
        rows = tf.gather(table, ids)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            logits = network(tf.reshape(rows, [-1, columns * width]), training=True)[:, 0]
            losses = tf.nn.sigmoid_cross_entropy_with_logits(batch["label"], logits)
            loss = tf.reduce_mean(losses)
        by_rows, *others = tape.gradient(loss, [rows, *weights])
        for weight, gradient in zip(weights, others, strict=True):
            weight.assign_sub(rate * gradient)
        table.scatter_sub(tf.IndexedSlices(rate * by_rows, ids))
        return loss

    return lambda batch, _: step(batch), dict

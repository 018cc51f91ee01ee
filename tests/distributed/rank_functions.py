"""What the launcher's tests run on ranks."""

import os
import signal
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.distributed.collectives import Collectives
from pipelines.errors import StreamError
from pipelines.progress import Progress, Report


def collect(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    report(Progress("hello", 1, 2))
    total = ranks.sum([tf.constant(float(ranks.rank + 1)), tf.constant(2.0)])
    variable = keras.Variable(7.0 + ranks.rank)
    ranks.broadcast_variables([variable])
    return {
        "sum": [float(t) for t in total],
        "broadcast": ranks.broadcast_object({"from": ranks.rank, **payload}),
        "gathered": ranks.gather(np.full(ranks.rank + 1, ranks.rank)).tolist(),
        "variable": float(ranks.sum([variable.value])[0]) / ranks.size,
    }


def one_step(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Three steps on global batches of 64 rows, of which every rank takes its share."""
    from pipelines.models.build import build_model
    from pipelines.recipe.sections import Mlp, Optimizer
    from pipelines.train.optimizer import build_optimizer
    from pipelines.train.step import make_train_step
    from pipelines.transform.spec import (
        RawColumn,
        ScaledFeature,
        TransformSpec,
        VocabularyFeature,
    )

    spec = TransformSpec(
        raw=(RawColumn(name="x", kind="real", nullable=False),),
        derived=(),
        features=(
            ScaledFeature(name="x", column="x"),
            VocabularyFeature(name="v", column="x", values=("a", "b", "c")),
        ),
    )
    keras.utils.set_random_seed(3 + ranks.rank)
    model = build_model(Mlp(kind="mlp", hidden=[8], l2=0.01), spec)
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.5, momentum=0.9))
    optimizer.build(model.trainable_variables)
    ranks.broadcast_variables([*model.weights, *optimizer.variables])
    step = make_train_step(model, optimizer, ranks, spec.label.kind)
    rng = np.random.default_rng(0)
    share = 64 // ranks.size
    mine = slice(ranks.rank * share, (ranks.rank + 1) * share)
    for _ in range(payload.get("steps", 3)):
        weight = rng.random(64).astype(np.float32)
        weight[50:] = 0  # padding, all of it on the last rank
        whole = {
            "numeric": rng.normal(size=(64, 1)).astype(np.float32),
            "categorical": rng.integers(0, 5, (64, 1)).astype(np.int32),
            "label": rng.integers(0, 2, 64).astype(np.float32),
            "weight": weight,
        }
        step({name: tf.constant(array[mine]) for name, array in whole.items()})
    return {"weights": [float(w) for array in model.get_weights() for w in array.reshape(-1)]}


def fail_with_stream_error(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        raise StreamError("file x row group 3 cannot be read")
    ranks.sum([tf.constant(1.0)])
    return {}


def fail_with_defect(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        return {"x": 1 / 0}
    ranks.sum([tf.constant(1.0)])
    return {}


def kill_yourself(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.sum([tf.constant(1.0)])
    return {}


def tell_and_wait(payload: dict, ranks: Collectives, report: Report) -> dict:
    pids = ranks.gather(np.array([os.getpid()]))
    report(Progress(" ".join(map(str, pids.tolist()))))
    time.sleep(600)
    return {}

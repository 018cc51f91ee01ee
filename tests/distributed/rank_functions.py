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

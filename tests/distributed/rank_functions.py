"""Functions that tests run on ranks: `module:function` of a `RankTask`."""

import os
import signal
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.gather_rows import CollectiveSums, gather_to_rank_0
from headrace.errors import StreamError
from headrace.progress import Progress, Report


def use_collectives(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    report(Progress("hello", 1, 2))
    total = ranks.allreduce([tf.constant(float(ranks.rank + 1)), tf.constant(2.0)])
    variable = keras.Variable(7.0 + ranks.rank)
    ranks.broadcast_variables([variable])
    return {
        "sum": [float(t) for t in total],
        "broadcast": ranks.broadcast_object({"from": ranks.rank, **payload}),
        "gathered": ranks.allgather(np.full(ranks.rank + 1, ranks.rank)).tolist(),
        "variable": float(ranks.allreduce([variable.value])[0]) / ranks.size,
        "policies": sorted({os.sched_getscheduler(int(t)) for t in os.listdir("/proc/self/task")}),  # noqa: PTH208
    }


def leave_traces(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Report what tasks before this one left in the process, and leave as much."""
    if payload.get("fails"):
        raise StreamError("row group 3 cannot be read")
    before = {
        "policy": keras.config.dtype_policy().name,
        "layer": keras.layers.Dense(1).name,
        "variable": os.environ.get("LEFT_BY_A_TASK"),
        "work": os.environ["HEADRACE_WORK_FILE"],
    }
    keras.config.set_dtype_policy("mixed_float16")
    os.environ["LEFT_BY_A_TASK"] = "yes"
    report(Progress(payload["word"]))
    return {**before, "pids": ranks.allgather(np.array([os.getpid()])).tolist()}


def exchange_without_pickle(
    payload: dict[str, Any], ranks: Collectives, report: Report
) -> dict[str, Any]:
    """Exchange values of every kind, while un-pickling is an error."""
    import pickle

    import cloudpickle

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a rank un-pickles")

    for module in (pickle, cloudpickle):
        module.loads = module.load = refuse  # type: ignore[attr-defined]
    pickle.Unpickler = refuse  # type: ignore[misc,assignment]
    array = np.array([0, 0.5, 1], np.float32) * (1 if ranks.rank == 0 else 9)
    return {
        "broadcast": ranks.broadcast_object({"from": ranks.rank, **payload}),
        "array": [values.tolist() for values in ranks.broadcast_object([array])],
        "bytes": ranks.broadcast_object(b"\x00\xff" if ranks.rank == 0 else None).hex(),
        "gathered": ranks.allgather(np.full(ranks.rank + 1, ranks.rank)).tolist(),
    }


def train_steps(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Train on global batches of 64 rows, of which every rank takes its share.

    `payload`: `optimizer` (recipe keys), `steps`, `accumulate`, `compression`, `augment`,
    `batch_norm`.
    """
    from headrace.features.scaled import ScaledFeature
    from headrace.features.vocabulary import VocabularyFeature
    from headrace.labels.losses.kinds import parse_loss
    from headrace.models.build import build_model
    from headrace.recipe.sections import Augment, Mlp, Optimizer
    from headrace.train.augment import Augmentation
    from headrace.train.optimizer import build_optimizer
    from headrace.train.step import TrainStep
    from headrace.train.step_options import StepOptions
    from headrace.transform.spec import RawColumn, TransformSpec

    spec = TransformSpec(
        raw=(RawColumn(name="x", kind="real", nullable=False),),
        derived=(),
        features=(
            ScaledFeature(name="x", column="x"),
            VocabularyFeature(name="v", column="x", values=("a", "b", "c")),
        ),
    )
    keras.utils.set_random_seed(3 + ranks.rank)
    normalize = "batch" if payload.get("batch_norm") else "none"
    model = build_model(Mlp(kind="mlp", hidden=[8], l2=0.01, normalize=normalize), spec)
    settings = Optimizer.model_validate(payload["optimizer"])
    optimizer = build_optimizer(settings)
    optimizer.build(model.trainable_variables)
    ranks.broadcast_variables([*model.weights, *optimizer.variables])
    augment = Augmentation(
        Augment.model_validate(payload.get("augment", {})),
        images=(),
        seed=1,
        rank=ranks.rank,
        size=ranks.size,
    )
    label = spec.label.with_loss(parse_loss(payload.get("loss")))
    options = StepOptions(
        compute_row_losses=label.make_row_losses(),
        hides_padding=label.loss is not None and label.loss.may_be_undefined,
        accumulate=payload.get("accumulate", 1),
        compression=payload.get("compression", "none"),
        augmentation=augment,
    )
    step = TrainStep(model, optimizer, ranks, spec.label.kind, options)
    rng = np.random.default_rng(0)
    share = 64 // ranks.size
    own_rows = slice(ranks.rank * share, (ranks.rank + 1) * share)
    losses = []
    for number in range(payload.get("steps", 3)):
        weight = (rng.random(64) + 0.1).astype(np.float32)
        weight[50:] = 0  # padding, all of it on the last rank
        global_batch = {
            "numeric": rng.normal(size=(64, 1)).astype(np.float32),
            "categorical": rng.integers(0, 5, (64, 1)).astype(np.int32),
            "label": rng.integers(0, 2, 64).astype(np.float32),
            "weight": weight,
        }
        update = (number + 1) % options.accumulate == 0
        batch = {name: tf.constant(array[own_rows]) for name, array in global_batch.items()}
        result = step(batch, number, rate=settings.learning_rate, update=update)
        losses.append(float(result.loss))
    return {
        "weights": [float(w) for array in model.get_weights() for w in array.reshape(-1)],
        "losses": losses,
    }


def train_all_policies(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Run `train_steps` for each policy of `payload`: starting ranks takes seconds."""
    return {name: train_steps(policy, ranks, report) for name, policy in payload.items()}


def sum_in_bfloat16(payload: dict, ranks: Collectives, report: Report) -> dict:
    @tf.function
    def reduce(large: tf.Tensor, small: tf.Tensor) -> list[tf.Tensor]:
        return ranks.allreduce_bfloat16([large, small])

    small = 1.0 if ranks.rank == 0 else 0.75 * 2**-8
    sums = reduce(tf.fill([2, 1], 2.0**60), tf.fill([5], small))
    row = np.concatenate([tensor.numpy().reshape(1, -1) for tensor in sums], axis=1)
    rows = ranks.allgather(row)
    return {"sums": [[row[:2].tolist(), row[2:].tolist()] for row in rows]}


def compare_diverging_weights(payload: dict, ranks: Collectives, report: Report) -> dict:
    from headrace.train.weight_check import compare_weights

    model = keras.Sequential([keras.layers.Dense(2)])
    model.build((None, 3))
    ranks.broadcast_variables(model.weights)
    compare_weights(model, ranks, "at first")
    if ranks.rank == 1:
        model.weights[0].assign_add(np.full((3, 2), 1e-7))
    compare_weights(model, ranks, "after step 5")
    return {}


def run_steps(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Run ten steps of one collective each; rank 1 misbehaves before the fourth, as asked."""

    @tf.function
    def step(value: tf.Tensor) -> tf.Tensor:
        return ranks.allreduce([value])[0]

    for number in range(10):
        if ranks.rank == 1 and number == 3:
            if payload["fault"] == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif payload["fault"] == "sleep":
                time.sleep(600)
            elif payload["fault"] == "skip":
                continue
        ranks.heartbeat.enter_step(number)
        step(tf.constant(1.0))
        ranks.heartbeat.leave_step(number)
    ranks.allgather(np.array([1]))
    return {}


def fail_with_stream_error(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        raise StreamError("file x row group 3 cannot be read")
    ranks.allreduce([tf.constant(1.0)])
    return {}


def fail_with_defect(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        return {"x": 1 / 0}
    ranks.allreduce([tf.constant(1.0)])
    return {}


def kill_own_process(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.allreduce([tf.constant(1.0)])
    return {}


def report_pids_and_wait(payload: dict, ranks: Collectives, report: Report) -> dict:
    pids = ranks.allgather(np.array([os.getpid()]))
    report(Progress(" ".join(map(str, pids.tolist()))))
    time.sleep(600)
    return {}


def die_once(payload: dict, ranks: Collectives, report: Report) -> dict:
    if ranks.rank == 1:
        try:
            os.mkdir(f"{payload['folder']}/died")  # noqa: PTH102
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    ranks.allreduce([tf.constant(1.0)])
    return {"resume": payload["resume"]}


def compare_collectives_with_numpy(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Call every collective on random values of every shape and type, eagerly and traced.

    Every rank knows the values of all ranks, so each compares with what NumPy computes. The bits
    of all results have to be those of rank 0.

    Returns:
        digests of the results of rank 0.
    """
    import hashlib

    digests = []

    def check_alike(arrays: list[np.ndarray]) -> None:
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays))
        rows = ranks.allgather(np.frombuffer(digest.digest(), np.uint8)[None])
        assert rows.shape == (ranks.size, 32)
        assert (rows == rows[0]).all(), "ranks have other bits"
        digests.append(digest.hexdigest())

    def draw(case: int, rank: int, shape: list[int], dtype: str) -> np.ndarray:
        rng = np.random.default_rng([case, rank])
        scale = 10.0 ** rng.integers(-3, 4)
        return (rng.normal(size=shape) * scale).astype(dtype)

    for case in range(payload["cases"]):
        rng = np.random.default_rng(case)
        shapes = [
            rng.integers(1, 9, rng.integers(0, 4)).tolist() for _ in range(rng.integers(1, 6))
        ]
        dtype = str(rng.choice(["float32", "float64", "float16", "int32"]))
        drawn = [[draw(case, r, shape, dtype) for shape in shapes] for r in range(ranks.size)]
        own = [tf.constant(array) for array in drawn[ranks.rank]]
        eager = ranks.allreduce(own)
        traced = tf.function(lambda own=own: ranks.allreduce(own), autograph=False)()
        for column, (now, later) in enumerate(zip(eager, traced, strict=True)):
            addends = np.stack([drawn[rank][column] for rank in range(ranks.size)])
            expected = addends.astype(np.float64).sum(0)
            # rounding of as many sums as ranks, relative to the largest addend
            unit = 0 if dtype == "int32" else float(np.finfo(dtype).eps)
            atol = ranks.size * unit * np.abs(addends.astype(np.float64)).max(initial=0)
            for result in (now, later):
                assert (result.shape, result.dtype) == (expected.shape, dtype)
                np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=atol)
        check_alike([t.numpy() for t in (*eager, *traced)])

        floats = [[draw(case, r, shape, "float32") for shape in shapes] for r in range(ranks.size)]
        halves = ranks.allreduce_bfloat16([tf.constant(array) for array in floats[ranks.rank]])
        for column, half in enumerate(halves):
            addends = np.stack([floats[rank][column] for rank in range(ranks.size)])
            np.testing.assert_allclose(
                half.numpy(), addends.sum(0), rtol=0, atol=2**-7 * np.abs(addends).sum(0).max()
            )
        check_alike([half.numpy() for half in halves])

        lengths = rng.integers(0, 5, ranks.size).tolist()
        dtype = str(rng.choice(["float32", "int64", "uint8", "bool", "float16"]))
        parts = [draw(case, r, [lengths[r], 3], dtype) for r in range(ranks.size)]
        gathered = ranks.allgather(parts[ranks.rank])
        np.testing.assert_array_equal(gathered, np.concatenate(parts))
        assert gathered.dtype == dtype
        check_alike([gathered])

        root = int(rng.integers(0, ranks.size))
        variables = [keras.Variable(array) for array in floats[ranks.rank]]
        ranks.broadcast_variables(variables, root)
        for variable, array in zip(variables, floats[root], strict=True):
            np.testing.assert_array_equal(np.array(variable), array)
        value = {"from": ranks.rank, "text": "é" * case, "array": floats[ranks.rank][0]}
        received = ranks.broadcast_object(value, root)
        assert (received["from"], received["text"]) == (root, "é" * case)
        np.testing.assert_array_equal(received["array"], floats[root][0])

    # In several pieces, and of a length that no number of ranks divides.
    large = tf.fill([5_000_001], float(ranks.rank))
    (total,) = ranks.allreduce([large])
    assert (total.numpy() == sum(range(ranks.size))).all()
    rows = ranks.allgather(np.full([2_100_000 + ranks.rank, 1], ranks.rank, np.int64))
    counts = np.bincount(rows[:, 0], minlength=ranks.size).tolist()
    assert counts == [2_100_000 + rank for rank in range(ranks.size)]
    wide = keras.Variable(np.full(9_000_000, ranks.rank, np.float32))
    ranks.broadcast_variables([wide], ranks.size - 1)
    assert (np.array(wide) == ranks.size - 1).all()
    return {"digests": digests}


def differentiate_twice(payload: dict, ranks: Collectives, report: Report) -> dict:
    """The sum over ranks of rank + 1 times x, to the third power, and its two derivatives."""

    @tf.function(autograph=False)
    def derive(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                (total,) = ranks.allreduce([x * (ranks.rank + 1)])
                y = total**3
            first = inner.gradient(y, x)
        return y, first, outer.gradient(first, x)

    return {"values": [float(value) for value in derive(tf.constant(1.0))]}


def knock_at_own_ports(payload: dict, ranks: Collectives, report: Report) -> dict:
    """Connect to every port that this rank listens on, as anybody on this machine may try."""
    import socket

    import psutil

    listening = psutil.Process().net_connections("tcp")
    ports = {each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN}
    opened = []
    for port in ports:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        opened.append(port)
    (total,) = ranks.allreduce([tf.constant(1.0)])  # the ranks are still together
    return {"ports": len(ports), "opened": len(opened), "sum": float(total)}


def gather_and_add(
    payload: dict[str, Any], collectives: Collectives, report: Report
) -> dict[str, Any]:
    """Gather to rank 0 rows of which rank r has 200,000 r, and add up large whole numbers."""
    rank = collectives.rank
    numbers = np.arange(200_000 * rank, dtype=np.int64)
    rows = gather_to_rank_0(np.stack([np.full_like(numbers, rank), numbers], axis=1), collectives)
    others = gather_to_rank_0(np.full(rank, 0.5, np.float32), collectives)
    sums = CollectiveSums(collectives).add(np.full(3, 2**60 // 8 + 1, np.int64))
    assert rank == 0 or (len(rows), len(others)) == (0, 0)
    expected = [
        np.stack([np.full(200_000 * r, r), np.arange(200_000 * r)], axis=1)
        for r in range(collectives.size)
    ]
    return {
        "rows": len(rows),
        "is_in_order": rank == 0 and np.array_equal(rows, np.concatenate(expected)),
        "sums": sums.tolist(),
    }

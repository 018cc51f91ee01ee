"""Train steps of a model with embedding tables, on every rank of a `RankTask`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import Collectives
from headrace.features.hash import HashFeature
from headrace.features.scaled import ScaledFeature
from headrace.features.tokens import TokensFeature
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_model
from headrace.models.items import Catalog, ItemColumns, merge_items
from headrace.models.table_storage import build_tables
from headrace.progress import Report
from headrace.recipe import sections as s
from headrace.train import table_policy, tables
from headrace.train.optimizer import build_optimizer
from headrace.train.retrieval import RetrievalLoss
from headrace.train.sharded_tables import make_table_builder
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from headrace.train.variables import list_shard_variables, list_whole_variables
from headrace.transform.spec import RawColumn, TransformSpec

ROWS, SHARDS, PADDING = 64, 8, 5
BUCKETS = {"h": 3000, "g": 500}
WORDS = tuple(f"word {i}" for i in range(400))
SPEC = TransformSpec(
    raw=(
        RawColumn(name="x", kind="real", nullable=True),
        RawColumn(name="w", kind="string", nullable=True),
        RawColumn(name="tags", kind="strings", nullable=True),
    ),
    derived=(),
    features=(
        ScaledFeature(name="x", column="x"),
        *(HashFeature(name=n, columns=("w",), buckets=b) for n, b in BUCKETS.items()),
        TokensFeature(name="tags", column="tags", length=3, values=WORDS),
    ),
)


def draw_batch(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw a global batch of which the last rows are padding; ids follow a power law."""
    weight = (rng.random(ROWS) + 0.1).astype(np.float32)
    weight[-PADDING:] = 0
    ids = [rng.zipf(1.3, ROWS) % (buckets + 1) for buckets in BUCKETS.values()]
    batch = {
        "numeric": rng.normal(size=(ROWS, 1)).astype(np.float32),
        "categorical": np.stack(ids, axis=1).astype(np.int32),
        "tags": rng.integers(0, len(WORDS) + 2, (ROWS, 3)).astype(np.int32),
        "label": rng.integers(0, 2, ROWS).astype(np.float32),
        "weight": weight,
    }
    for name in ("numeric", "categorical", "tags"):
        batch[name][-PADDING:] = 0
    return batch


def list_items() -> Catalog:
    """All ids of `g`, the first as often as a power law has it."""
    ids = np.arange(BUCKETS["g"] + 1, dtype=np.int32)[:, np.newaxis]
    counts = (1e6 / (1 + np.arange(len(ids)))).astype(np.int64)
    columns = ItemColumns.from_features(["g"], SPEC)
    return merge_items(columns, {"categorical": ids}, counts)


def train_steps(payload: dict[str, Any], ranks: Collectives) -> dict[str, Any]:
    """Train on global batches, of which every rank takes its share.

    Args:
        payload: `optimizer` (recipe keys), `sparse` (whether every table's gradient is a list of
            rows, or none's), `steps`, `accumulate`, `compression`, `precision`, `model`.
        ranks: the ranks.

    Returns:
        weights by path, flat; moments; losses; how tables were trained, and what that cost.
    """
    table_policy._ROWS_PER_ID = 0 if payload.get("sparse", True) else 10**9
    keras.utils.set_random_seed(3 + (0 if "shard_above" in payload else ranks.rank))
    keras.config.set_dtype_policy(payload.get("precision", "float32"))
    section = {"kind": "mlp", "hidden": [8], **payload.get("model", {})}
    is_pairs = section["kind"] == "two_tower"
    if is_pairs:
        section = {key: value for key, value in section.items() if key != "hidden"}
    kinds = {"mlp": s.Mlp, "wide_deep": s.WideDeep, "dcn": s.Dcn, "two_tower": s.TwoTower}
    with build_tables(make_table_builder(payload.get("shard_above"), ranks)):
        model = build_model(kinds[section["kind"]].model_validate(section), SPEC)
    keras.config.set_dtype_policy("float32")
    settings = s.Train.model_validate(
        {"optimizer": payload["optimizer"], "global_batch_size": ROWS}
    )
    training = tables.choose_table_training(model, settings)
    optimizer = build_optimizer(
        settings.optimizer,
        payload.get("precision", "float32"),
        tables.list_row_variables(training),
        [table.variable for table in training if table.shard],
        ranks,
    )
    optimizer.build(model.trainable_variables)
    ranks.broadcast_variables(list_whole_variables(model, optimizer).all)
    options = StepOptions(
        compute_row_losses=find_label_kind("binary").make_row_losses(0.0),
        accumulate=payload.get("accumulate", 1),
        compression=payload.get("compression", "none"),
        shards=SHARDS // ranks.size,
        retrieval=RetrievalLoss(list_items(), 0.5) if is_pairs else None,
    )
    step = TrainStep(model, optimizer, ranks, "binary", options, training)
    rng = np.random.default_rng(0)
    share = ROWS // ranks.size
    own_rows = slice(ranks.rank * share, (ranks.rank + 1) * share)
    losses = []
    for number in range(payload.get("steps", 50)):
        batch = {name: tf.constant(a[own_rows]) for name, a in draw_batch(rng).items()}
        update = (number + 1) % options.accumulate == 0
        rate = settings.optimizer.learning_rate
        losses.append(float(step(batch, number, rate=rate, update=update).loss))
    variables = [*model.weights, *optimizer.variables]
    before = [variable.numpy().tobytes() for variable in variables]
    seconds = step.measure_table_seconds()
    assert [variable.numpy().tobytes() for variable in variables] == before
    shards = {id(v) for t in training if t.shard for v in list_shard_variables(t.shard, optimizer)}

    def collect(variable: keras.Variable) -> list[float]:
        values = np.asarray(variable.numpy())
        if id(variable) in shards:
            parts = ranks.allgather(values)
            order = np.argsort(
                np.concatenate([np.arange(r, len(parts), ranks.size) for r in range(ranks.size)])
            )
            values = parts[order]
        return values.reshape(-1).tolist()

    return {
        "seconds": seconds,
        "counts": step.describe_tables(),
        "shards": [int(np.prod(t.variable.shape)) for t in training if t.shard],
        "weights": {v.path: collect(v) for v in model.weights},
        "moments": [collect(v) for v in optimizer.variables],
        "losses": losses,
        "tables": [[t.layer.name, t.is_sparse, t.is_by_row] for t in training],
    }


def train_all(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Run `train_steps` for each policy of `payload`: starting ranks takes seconds."""
    return {name: train_steps(policy, ranks) for name, policy in payload.items()}


def gather_rows(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Gather tensors of several types, of another length on each rank and in each call."""
    lengths: list[list[int]] = payload["lengths"]

    @tf.function(reduce_retracing=True)
    def gather(ids: tf.Tensor, rows: tf.Tensor, bits: tf.Tensor) -> list[tf.Tensor]:
        return ranks.allgather_rows([ids, rows, bits])

    gathered = []
    for call, counts in enumerate(lengths):
        count = counts[ranks.rank]
        ids = np.arange(count, dtype=np.int32) + 100 * ranks.rank + 1000 * call
        parts = gather(
            tf.constant(ids),
            tf.constant(np.stack([ids, -ids], axis=1).astype(np.float32).reshape(count, 2)),
            tf.constant((ids % 7).astype(np.uint16)),
        )
        gathered.append([part.numpy().tolist() for part in parts])
    return {"gathered": ranks.broadcast_object(gathered), "own": gathered}


def exchange_rows(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    """Send rows to every rank, of another number in each call; what arrives says where from."""

    @tf.function(reduce_retracing=True)
    def exchange(rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return ranks.alltoall_rows(rows, counts)

    received = []
    for counts in payload["counts"]:
        own = counts[ranks.rank]
        rows = [
            [1000 * ranks.rank + 100 * to + i] * 2
            for to, count in enumerate(own)
            for i in range(count)
        ]
        for dtype in (np.int32, np.float32, np.uint16):
            sent = tf.constant(np.array(rows, dtype).reshape(-1, 2))
            for call in (exchange, ranks.alltoall_rows):
                found, found_counts = call(sent, tf.constant(own, tf.int32))
                received.append([found[:, 0].numpy().tolist(), found_counts.numpy().tolist()])
    return {"received": [ranks.broadcast_object(received, rank) for rank in range(ranks.size)]}

"""What is predicted of tables is what is built for them."""

from typing import Any

import numpy as np
import pytest

from headrace.models.build import build_model
from headrace.recipe import sections as s
from headrace.train.optimizer import build_optimizer
from headrace.train.table_policy import TableCost, describe_cost, predict_table_costs
from headrace.train.tables import choose_table_training, list_row_variables
from tests.train.table_steps import SPEC

MODELS: dict[str, s.Model] = {
    "mlp": s.Mlp(kind="mlp", hidden=[4]),
    "separate": s.Mlp(kind="mlp", hidden=[4], embeddings=s.Embeddings(shared=False)),
    "wide_deep": s.WideDeep(kind="wide_deep", hidden=[4]),
    "regularized": s.WideDeep(kind="wide_deep", hidden=[4], l2=0.1),
    "dcn": s.Dcn(kind="dcn", hidden=[4], embedding_width=7),
    "composed": s.Dcn(kind="dcn", hidden=[4], embeddings=s.Embeddings(compose_above=600)),
    "dlrm": s.Dlrm(kind="dlrm", hidden=[4], embedding_width=5),
    "two_tower": s.TwoTower(
        kind="two_tower",
        query=s.Tower(features=["x", "h", "tags"]),
        item=s.Tower(features=["g"]),
        embedding_width=5,
    ),
    "table": s.Transformer(kind="transformer", over="table", width=6, heads=2, blocks=1),
    "text": s.Transformer(kind="transformer", over="text", width=6, heads=2, blocks=1),
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"kind": "sgd"},
    "momentum": {"kind": "sgd", "momentum": 0.9},
    "adagrad": {"kind": "adagrad"},
    "rowwise": {"kind": "rowwise_adagrad"},
    "adam": {"kind": "adam"},
    "lazy": {"kind": "adamw", "sparse": "lazy"},
    "lamb": {"kind": "lamb"},
}


@pytest.mark.parametrize("global_batch", [16, 128, 4096])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_the_prediction_is_what_is_built(name: str, optimizer: str, global_batch: int) -> None:
    model = MODELS[name]
    settings = s.Train.model_validate(
        {"optimizer": OPTIMIZERS[optimizer], "global_batch_size": global_batch, "ranks": 2}
    )
    costs = {cost.name: cost for cost in predict_table_costs(model, SPEC, settings)}
    built = build_model(model, SPEC)
    layers = {layer.name: layer for layer in built.layers if hasattr(layer, "input_dim")}
    layers.pop("embed.positions", None)  # one row per position, not per id
    assert {n: (c.rows, c.width) for n, c in costs.items()} == {
        n: (layer.input_dim, layer.output_dim) for n, layer in layers.items()
    }
    training = choose_table_training(built, settings)
    chosen = {table.layer.name: (table.is_sparse, table.is_by_row) for table in training}
    chosen.pop("embed.positions", None)
    assert chosen == {
        n: (c.is_sparse, c.is_by_row) for n, c in costs.items() if c.is_sparse or c.is_by_row
    }
    trained = build_optimizer(settings.optimizer, tables=list_row_variables(training))
    trained.build(built.trainable_variables)
    moments = [v for v in trained.variables if v.shape.rank == 2]
    for cost in costs.values():
        table = layers[cost.name]._embeddings
        own = [v for v in moments if f"{cost.name}_embeddings" in v.path.replace("/", "_")]
        assert cost.table_bytes == table.numpy().nbytes
        assert cost.moment_bytes == sum(v.numpy().nbytes for v in own), [v.path for v in moments]


def test_what_a_rank_sends_is_its_part_of_the_batch_at_most() -> None:
    """Two ids of 64 rows, 32 of them on a rank, filled up by an eighth; half of it in 16 bits."""
    train = {"optimizer": {"kind": "sgd"}, "global_batch_size": 64, "ranks": 2}
    sent = {}
    for compression in ("none", "bf16"):
        settings = s.Train.model_validate({**train, "compression": compression})
        for cost in predict_table_costs(MODELS["mlp"], SPEC, settings):
            sent[cost.name, compression] = cost.sent_bytes
    assert sent["table.16", "none"] == 2 * 32 * (4 + 16 * 4) * 9 // 8
    assert sent["table.16", "bf16"] == 2 * 32 * (4 + 16 * 2) * 9 // 8
    assert sent["embed.tags", "none"] == 3 * 32 * (4 + 16 * 4) * 9 // 8
    several = s.Train.model_validate({**train, "accumulate": 4})
    for cost in predict_table_costs(MODELS["mlp"], SPEC, several):
        if cost.is_sparse:
            assert cost.sent_bytes == 4 * sent[cost.name, "none"]
    dense = s.Train.model_validate({**train, "global_batch_size": 8192})
    (table, tags) = predict_table_costs(MODELS["mlp"], SPEC, dense)
    assert (table.sent_bytes, tags.sent_bytes) == (3502 * 64, 402 * 64)
    alone = s.Train.model_validate({**train, "ranks": 1})
    assert {cost.sent_bytes for cost in predict_table_costs(MODELS["mlp"], SPEC, alone)} == {0}


def test_costs_are_described_in_words() -> None:
    cost = TableCost("table.16", 1_000_000, 16, 64_000_000, 4_000_000, True, True, 557_056)
    assert describe_cost(cost) == (
        "table.16: 1,000,000 rows of 16, 61.0 MiB and 3.8 MiB of moments, updated by row; a rank "
        "sends at most 0.5 MiB of its rows in an update"
    )
    plain = TableCost("wide.1", 1024, 1, 4096, 0, False, False, 0)
    assert describe_cost(plain) == "wide.1: 1,024 rows of 1, 0.0 MiB, updated as a whole"
    assert np.isclose(cost.table_bytes / 2**20, 61.035, atol=1e-3)


def test_sharded_tables_are_predicted_as_they_are_built() -> None:
    """Each rank has half of 3,502 rows of 5, and a moment for each; 402 rows of words are whole."""
    embeddings = s.Embeddings(shard_above=10_000)
    model = s.Dlrm(kind="dlrm", hidden=[4], embedding_width=5, embeddings=embeddings)
    settings = s.Train.model_validate(
        {"optimizer": {"kind": "rowwise_adagrad"}, "global_batch_size": 4096, "ranks": 2}
    )
    shared, words = predict_table_costs(model, SPEC, settings)
    assert (shared.shares, shared.table_bytes, shared.moment_bytes) == (2, 1751 * 20, 1751 * 4)
    assert (shared.is_sparse, shared.is_by_row) == (True, True)
    # two ids of 2,048 rows: each asked for, answered with 5 numbers, and its gradient sent
    assert shared.sent_bytes == 4096 * (4 + 20 + 4 + 20)
    assert "on each of 2 ranks" in describe_cost(shared)
    assert "and of its gradient" in describe_cost(shared)
    assert (words.shares, words.table_bytes) == (1, 402 * 20)
    (alone, _) = predict_table_costs(model, SPEC, settings.model_copy(update={"ranks": 1}))
    assert (alone.shares, alone.table_bytes, alone.sent_bytes) == (1, 3502 * 20, 0)

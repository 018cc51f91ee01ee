"""Tables whose rows are split over ranks, in models of every family; on one rank here."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.labels.kinds import find_label_kind
from headrace.models.build import build_model
from headrace.models.table_storage import build_tables
from headrace.recipe import sections as s
from headrace.train.optimizer import build_optimizer
from headrace.train.sharded_tables import list_sharded_tables, make_table_builder
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from headrace.train.tables import choose_table_training, list_row_variables
from headrace.train.variables import list_shard_variables, list_whole_variables
from headrace.train.weight_check import sum_sharded_rows
from tests.train.table_steps import ROWS, SHARDS, SPEC, draw_batch
from tests.train.test_table_policy import MODELS

FAMILIES = {name: model for name, model in MODELS.items() if name != "regularized"}


class Trained:
    """A model after three steps."""

    def __init__(self, section: s.Model, optimizer: dict[str, Any], above: int | None) -> None:
        ranks = SoloCollectives()
        keras.utils.set_random_seed(5)
        with build_tables(make_table_builder(above, ranks)):
            self.model = build_model(section, SPEC)
        settings = s.Train.model_validate({"optimizer": optimizer, "global_batch_size": ROWS})
        tables = choose_table_training(self.model, settings)
        self.shards = [table.variable for table in tables if table.shard]
        rows = list_row_variables(tables)
        self.optimizer = build_optimizer(settings.optimizer, "float32", rows, self.shards, ranks)
        self.optimizer.build(self.model.trainable_variables)
        options = StepOptions(
            compute_row_losses=find_label_kind("binary").make_row_losses(0.0), shards=SHARDS
        )
        step = TrainStep(self.model, self.optimizer, ranks, "binary", options, tables)
        rng = np.random.default_rng(1)
        for number in range(3):
            batch = {name: tf.constant(values) for name, values in draw_batch(rng).items()}
            step(batch, number, rate=0.1)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_learns_the_same(name: str) -> None:
    """The text's table of positions is looked up by no row of the batch."""
    sgd = {"kind": "sgd", "learning_rate": 0.1}
    whole, sharded = (Trained(FAMILIES[name], sgd, above) for above in (None, 1))
    assert whole.shards == []
    layers = [x for x in sharded.model.layers if isinstance(x, keras.layers.Embedding)]
    assert len(sharded.shards) == len(layers) > 0
    for ours, theirs in zip(sharded.model.weights, whole.model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-7)


def test_tables_above_the_limit_are_sharded() -> None:
    """3,502 rows of 5 numbers are 70,040 bytes, 402 of them 8,040."""
    for above, names in ((70_039, ["table.5"]), (70_040, []), (8_039, ["table.5", "embed.tags"])):
        with build_tables(make_table_builder(above, SoloCollectives())):
            model = build_model(MODELS["dlrm"], SPEC)
        assert sorted(t.layer.name for t in list_sharded_tables(model)) == sorted(names)


def test_whole_and_sharded_variables_are_all_variables() -> None:
    adagrad = {"kind": "adagrad", "learning_rate": 0.1}
    trained = Trained(MODELS["dlrm"], adagrad, 10_000)
    (table,) = list_sharded_tables(trained.model)
    shards = list_shard_variables(table, trained.optimizer)
    assert [tuple(v.shape) for v in shards] == [(3502, 5), (3502, 5)]
    whole = list_whole_variables(trained.model, trained.optimizer)
    everything = [*trained.model.weights, *trained.optimizer.variables]
    assert {id(v) for v in (*whole.all, *shards)} == {id(v) for v in everything}
    assert len(whole.all) + len(shards) == len(everything)


def test_the_sum_of_rows_tells_any_change() -> None:
    trained = Trained(MODELS["dlrm"], {"kind": "sgd", "learning_rate": 0.1}, 10_000)
    (table,) = list_sharded_tables(trained.model)
    ranks = SoloCollectives()
    before = sum_sharded_rows(trained.model, ranks)
    values = table.variable.numpy()
    swapped = values.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    other = values.copy()
    other[7, 2] = -other[7, 2]
    for changed in (swapped, other):
        table.variable.assign(changed)
        assert sum_sharded_rows(trained.model, ranks) != before
    table.variable.assign(values)
    assert sum_sharded_rows(trained.model, ranks) == before
    assert sum_sharded_rows(Trained(MODELS["dlrm"], {"kind": "sgd"}, None).model, ranks) == 0

"""Which tables have gradients of rows, and which are updated by row."""

from typing import Any

import keras
import pytest

from headrace.models.build import build_model
from headrace.recipe import sections as s
from headrace.train.tables import choose_table_training, list_row_variables
from tests.train.table_steps import SPEC


def choose(
    optimizer: dict[str, Any], global_batch: int, model: s.Model | None = None
) -> dict[str, tuple[bool, bool]]:
    """Return whether each table of 3,501 and 402 ids is sparse, and whether it is by row."""
    built = build_model(model or s.Mlp(kind="mlp", hidden=[4]), SPEC)
    settings = s.Train.model_validate({"optimizer": optimizer, "global_batch_size": global_batch})
    chosen = choose_table_training(built, settings)
    by_row = {variable.path for variable in list_row_variables(chosen)}
    assert by_row == {table.variable.path for table in chosen if table.is_by_row}
    return {table.layer.name: (table.is_sparse, table.is_by_row) for table in chosen}


def test_a_table_is_sparse_where_it_is_larger_than_what_a_batch_touches() -> None:
    """Two ids of a row are looked up in the one, three in the other."""
    sgd = {"kind": "sgd"}
    both = {"table.16": (True, True), "embed.tags": (True, True)}
    assert choose(sgd, 64) == both
    # 402 rows are fewer than 2 · 3 · 128 ids, 3,502 are more than 2 · 2 · 128
    assert choose(sgd, 128) == {"table.16": (True, True)}
    assert choose(sgd, 1024) == {}


@pytest.mark.parametrize(
    ("optimizer", "small", "large"),
    [
        # exact: a small table is trained as any other weight
        ({"kind": "sgd"}, None, (True, True)),
        ({"kind": "adagrad"}, None, (True, True)),
        # rows travel, and Keras updates the whole table
        ({"kind": "adam"}, None, (True, False)),
        ({"kind": "sgd", "momentum": 0.9}, None, (True, False)),
        ({"kind": "lamb"}, None, (True, False)),
        # what the recipe asks for holds for tables of every size
        ({"kind": "adam", "sparse": "lazy"}, (False, True), (True, True)),
        ({"kind": "rowwise_adagrad"}, (False, True), (True, True)),
    ],
)
def test_the_optimizer_says_what_is_updated_by_row(
    optimizer: dict[str, Any],
    small: tuple[bool, bool] | None,
    large: tuple[bool, bool],
) -> None:
    expected = {} if small is None else {"table.16": small, "embed.tags": small}
    assert choose(optimizer, 4096) == expected
    assert choose(optimizer, 16) == {"table.16": large, "embed.tags": large}


def test_tables_with_a_regularizer_are_dense() -> None:
    """Of wide and deep, the weights of ids have the recipe's: every row needs its share."""
    model = s.WideDeep(kind="wide_deep", hidden=[4], l2=0.1)
    chosen = choose({"kind": "sgd"}, 16, model)
    assert chosen == {"table.16": (True, True), "embed.tags": (True, True)}
    plain = s.WideDeep(kind="wide_deep", hidden=[4])
    assert choose({"kind": "sgd"}, 16, plain).keys() == {*chosen, "wide.1"}


def test_a_table_within_a_nested_model_is_found() -> None:
    inner_ids = keras.Input((3,), dtype="int32")
    inner = keras.Model(inner_ids, keras.layers.Embedding(900, 2, name="inner")(inner_ids))
    ids = keras.Input((3,), dtype="int32", name="ids")
    flat = keras.layers.Flatten()(inner(ids))
    built = keras.Model(ids, keras.layers.Dense(1)(flat))
    settings = s.Train.model_validate({"optimizer": {"kind": "sgd"}, "global_batch_size": 100})
    (table,) = choose_table_training(built, settings)
    assert (table.layer.name, table.is_sparse) == ("inner", True)
    # three ids a row: 900 rows are no more than 2 · 3 · 150, of one batch or of three
    larger = settings.model_copy(update={"global_batch_size": 150})
    assert choose_table_training(built, larger) == []
    several = settings.model_copy(update={"global_batch_size": 50, "accumulate": 3})
    assert choose_table_training(built, several) == []


class Positions(keras.layers.Layer):
    """Words beside their positions, as in Keras's own example of a Transformer."""

    def __init__(self, words: int, length: int, **options: Any) -> None:
        super().__init__(**options)
        self.words = keras.layers.Embedding(words, 2, name="words")
        self.positions = keras.layers.Embedding(length, 2, name="positions")

    def call(self, ids: Any) -> Any:
        return self.words(ids) + self.positions(keras.ops.arange(ids.shape[1]))


def test_of_a_layer_of_the_users_own_nobody_knows_what_it_looks_up() -> None:
    """Its tables are dense, for whatever they are; a rule that is asked for holds for them too."""
    ids = keras.Input((10,), dtype="int32", name="ids")
    flat = keras.layers.Flatten()(Positions(5000, 10)(ids))
    built = keras.Model(ids, keras.layers.Dense(1)(flat))
    settings = s.Train.model_validate({"optimizer": {"kind": "sgd"}, "global_batch_size": 8})
    assert choose_table_training(built, settings) == []
    lazy = s.Train.model_validate({"optimizer": {"kind": "adam", "sparse": "lazy"}})
    chosen = choose_table_training(built, lazy)
    assert {(t.layer.name, t.is_sparse, t.is_by_row) for t in chosen} == {
        ("words", False, True), ("positions", False, True),
    }  # fmt: skip

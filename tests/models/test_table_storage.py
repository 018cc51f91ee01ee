"""Chunks of a table, its initial rows, and layers that are built elsewhere."""

import keras
import numpy as np
import pytest

from headrace.models import table_storage
from headrace.models.table_storage import (
    build_tables,
    derive_seed,
    draw_initial_rows,
    get_initial_seed,
    is_movable,
    list_chunks,
    put_rows,
    take_rows,
)


@pytest.mark.parametrize(
    ("rows", "width", "numbers", "expected"),
    [
        (10, 4, 12, [range(3), range(3, 6), range(6, 9), range(9, 10)]),
        (2, 100, 10, [range(1), range(1, 2)]),  # a row has more numbers than a chunk
        (3, 1, 3, [range(3)]),
        (0, 5, 10, []),
    ],
)
def test_chunks_cover_all_rows(rows: int, width: int, numbers: int, expected: list[range]) -> None:
    assert list_chunks(rows, width, numbers) == expected


def test_a_table_of_one_chunk_has_the_values_of_keras() -> None:
    for name in ("uniform", "normal", "zeros"):
        layer = keras.layers.Embedding(30, 5, embeddings_initializer=name)
        ((rows, values),) = draw_initial_rows(layer, get_initial_seed(layer))
        layer.build()
        assert rows == range(30)
        np.testing.assert_array_equal(values, layer.embeddings.numpy())


def test_chunks_are_drawn_by_seeds_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_storage.list_chunks, "__defaults__", (20,))
    layer = keras.layers.Embedding(10, 5)
    pieces = list(draw_initial_rows(layer, 7))
    assert [rows for rows, _ in pieces] == [range(4), range(4, 8), range(8, 10)]
    again = list(draw_initial_rows(keras.layers.Embedding(10, 5), 7))
    for (_, values), (_, others) in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(values, others)
    assert not np.array_equal(pieces[0][1], pieces[1][1])
    other = [values for _, values in draw_initial_rows(layer, 8)]
    assert not np.array_equal(pieces[0][1], other[0])
    assert derive_seed("7/0") == derive_seed("7/0") != derive_seed("7/1")


def test_rows_are_put_and_taken_in_place() -> None:
    layer = keras.layers.Embedding(10, 2, embeddings_initializer="zeros")
    layer.build()
    put_rows(layer._embeddings, range(3, 5), np.array([[1, 2], [3, 4]], np.float32))
    assert take_rows(layer._embeddings, range(2, 5)).tolist() == [[0, 0], [1, 2], [3, 4]]


def test_layers_that_do_more_than_to_look_up_are_built_by_keras() -> None:
    class Own(keras.layers.Embedding):
        pass

    asked: list[str] = []

    def build(layer: keras.layers.Embedding) -> bool:
        asked.append(layer.name)
        return False

    options: list[dict] = [
        {},
        {"embeddings_regularizer": "l2"},
        {"embeddings_constraint": "non_neg"},
        {"embeddings_initializer": "glorot_uniform"},  # depends on the number of rows
    ]
    with build_tables(build):
        layers = [keras.layers.Embedding(5, 2, name=f"e{i}", **o) for i, o in enumerate(options)]
        for layer in (*layers, Own(5, 2)):
            layer.build()
            assert layer.built
            assert layer.embeddings.shape == (5, 2)
    assert asked == ["e0"]
    assert [is_movable(layer) for layer in layers] == [True, False, False, False]
    after = keras.layers.Embedding(5, 2)
    after.build()
    assert asked == ["e0"]

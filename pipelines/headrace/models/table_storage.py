"""Keep the rows of large embedding tables elsewhere than in one variable of their Keras layer.

The layer stays a standard one with the number of all rows in its config, so that it is saved,
loaded and exported as any other. While it is built, its rows get another place: a shard of this
rank (`sharded_tables`), a file (`mapped_tables`), or parts of an export (`table_parts`).
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from headrace.models.predict import place_on_cpu

CHUNK_NUMBERS = 2**22
"""Numbers of a table that are made, written or read at once: 16 MiB of float32."""

# Their values do not depend on the number of rows, so that a table may be made piece by piece.
_BY_PIECE = (
    keras.initializers.RandomUniform,
    keras.initializers.RandomNormal,
    keras.initializers.TruncatedNormal,
    keras.initializers.Zeros,
    keras.initializers.Ones,
    keras.initializers.Constant,
)


def count_table_bytes(layer: keras.layers.Embedding) -> int:
    """Return the bytes of all rows of a layer's table, float32."""
    return 4 * int(layer.input_dim) * int(layer.output_dim)


def is_movable(layer: keras.layers.Embedding) -> bool:
    """Return whether the rows of a layer may lie elsewhere: it does no more than to look up."""
    return (
        type(layer) is keras.layers.Embedding
        and not layer.embeddings_regularizer
        and not layer.embeddings_constraint
        and not layer.lora_rank
        and not layer.quantization_mode
        and type(layer.embeddings_initializer) in _BY_PIECE
    )


@contextmanager
def build_tables(build: Callable[[keras.layers.Embedding], bool]) -> Iterator[None]:
    """Give tables that are built in the block another place.

    Args:
        build: makes what the layer looks up in, and returns true; false where it is to be built as
            Keras does. Called with layers whose rows may be moved.
    """
    original = keras.layers.Embedding.build

    def build_table(self: keras.layers.Embedding, input_shape: object = None) -> None:
        if self.built or not is_movable(self) or not build(self):
            original(self, input_shape)
        self.built = True

    keras.layers.Embedding.build = build_table
    try:
        yield
    finally:
        keras.layers.Embedding.build = original


def list_chunks(rows: int, width: int, numbers: int = CHUNK_NUMBERS) -> list[range]:
    """List the ranges of a table's rows that are read and written at once, in their order."""
    size = max(1, numbers // width)
    return [range(start, min(start + size, rows)) for start in range(0, rows, size)]


def draw_initial_rows(
    layer: keras.layers.Embedding, seed: int | None
) -> Iterator[tuple[range, np.ndarray]]:
    """Yield the initial rows of a table, a chunk at a time, float32 (n, width) each.

    They depend on the seed alone. A table of one chunk has the values that Keras gives it.

    Args:
        layer: of the table; it may be built or not.
        seed: of its initializer; None where that has none.
    """
    rows, width = int(layer.input_dim), int(layer.output_dim)
    chunks = list_chunks(rows, width)
    initializer = layer.embeddings_initializer
    config = initializer.get_config()
    for number, chunk in enumerate(chunks):
        if "seed" in config:
            own = seed if len(chunks) == 1 else derive_seed(f"{seed}/{number}")
            initializer = type(initializer).from_config({**config, "seed": own})
        with place_on_cpu():
            values = initializer((len(chunk), width), "float32")
        yield chunk, np.asarray(values)


def get_initial_seed(layer: keras.layers.Embedding) -> int | None:
    """Return the seed of a layer's initializer; None where it has none."""
    seed = getattr(layer.embeddings_initializer, "seed", None)
    return None if seed is None else int(seed)


def derive_seed(text: str) -> int:
    """Return a seed of 31 bits that a text stands for."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def put_rows(variable: keras.Variable, rows: range, values: np.ndarray) -> None:
    """Set consecutive rows of a variable in place."""
    ids = tf.range(rows.start, rows.stop, dtype=tf.int32)
    variable._value.scatter_update(tf.IndexedSlices(tf.convert_to_tensor(values), ids))


def take_rows(variable: keras.Variable, rows: range) -> np.ndarray:
    """Return consecutive rows of a variable, without a copy of all of them."""
    ids = tf.range(rows.start, rows.stop, dtype=tf.int32)
    return np.asarray(tf.gather(variable._value, ids))

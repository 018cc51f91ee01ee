"""Which columns are read and into which arrays; and the way from Arrow into them.

The boundary Parquet -> training is checked here: types, lengths of lists, nulls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.checksums import WRAP, word_sum
from headrace.transform.spec import ModelInput, TransformSpec


@dataclass(frozen=True)
class Columns:
    """What to read: name of the array -> its dtype, its shape without the rows, and its columns."""

    arrays: dict[str, ModelInput]

    def names(self) -> list[str]:
        """Every column that is read, each once."""
        return list(dict.fromkeys(c for item in self.arrays.values() for c in item.columns))

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in all arrays together."""
        return sum(
            np.dtype(item.dtype).itemsize * prod(item.shape) for item in self.arrays.values()
        )

    def empty(self, rows: int | tuple[int, ...], *, zeroed: bool = True) -> dict[str, np.ndarray]:
        """Arrays of `rows` rows, or of several axes of them."""
        axes = (rows,) if isinstance(rows, int) else rows
        make = np.zeros if zeroed else np.empty
        return {name: make((*axes, *item.shape), item.dtype) for name, item in self.arrays.items()}

    def fill(self, arrays: dict[str, np.ndarray], first: int, table: pa.Table) -> None:
        """Copy the rows of `table` into `arrays`, from row `first` on.

        Raises:
            StreamError: a column has another type or shape than wanted, or holds nulls.
        """
        for name, column, position, elements, kind in self._parts:
            row = first
            for chunk in table.column(column).chunks:
                target = arrays[name][row : row + len(chunk)]
                # Several columns are scalars side by side; a single one may be of any shape.
                part = target if position is None else target[:, position]
                values = _values(column, chunk, elements, kind, self.arrays[name])
                part[...] = values if part.ndim == 1 else values.reshape(part.shape)
                row += len(chunk)

    def sums(self, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Checksum of every contiguous array of rows, whatever their order; zeros add nothing."""
        return {
            name: word_sum(arrays[name].reshape(-1), in_bytes=in_bytes)
            for name, in_bytes in self._in_bytes.items()
        }

    def sums_by_shard(self, sheet: Mapping[str, np.ndarray], shards: int) -> dict[str, np.ndarray]:
        """Checksums of what each shard gave to some batches, uint64 of shape (shards,).

        Args:
            sheet: contiguous arrays of shape (steps, shards * slice, …).
            shards: how many there are.
        """
        found = {}
        for name, in_bytes in self._in_bytes.items():
            array = sheet[name]
            words = array.reshape(len(array), shards, -1)
            kind = np.uint64 if in_bytes else np.uint32
            words = words if in_bytes else words.view(np.uint32)
            found[name] = np.add.reduce(words, axis=(0, 2), dtype=kind).astype(np.uint64)
        return found

    def noted_sums(self, checksums: Mapping[str, list[int]], index: int) -> dict[str, int]:
        """The checksums of all of a row group's rows in the arrays whose columns are all noted."""
        return {
            name: sum(checksums[column][index] for column in item.columns) % WRAP
            for name, item in self.arrays.items()
            if all(column in checksums for column in item.columns)
        }

    @cached_property
    def _parts(self) -> list[tuple[str, str, int | None, int, pa.DataType]]:
        """Array, column, its place in the array, elements of a row and their type."""
        return [
            (
                name,
                column,
                position if len(item.columns) > 1 else None,
                prod(item.shape) // len(item.columns),
                _ARROW[item.dtype],
            )
            for name, item in self.arrays.items()
            for position, column in enumerate(item.columns)
        ]

    @cached_property
    def _in_bytes(self) -> dict[str, bool]:
        """Arrays whose rows are no whole words of four bytes."""
        return {
            name: bool(np.dtype(item.dtype).itemsize * (prod(item.shape) // len(item.columns)) % 4)
            for name, item in self.arrays.items()
        }


def feature_columns(
    spec: TransformSpec, extra: dict[str, tuple[str, str]] | None = None
) -> Columns:
    """The model's inputs by name, and `label`, see `LabelSpec.array`.

    Args:
        spec: says what the inputs are made of.
        extra: further single columns: name -> (dtype, column).
    """
    dtype, shape = spec.label.array
    return Columns(
        spec.inputs
        | {"label": ModelInput(dtype, shape, ("label",))}
        | {
            name: ModelInput(dtype, (), (column,))
            for name, (dtype, column) in (extra or {}).items()
        }
    )


def weight_columns(spec: TransformSpec) -> dict[str, tuple[str, str]]:
    """What training reads beside inputs and label: `sample_weight`, where rows carry it."""
    return {"sample_weight": ("float32", "sample_weight")} if spec.label.weighted else {}


def baseline_columns(spec: TransformSpec) -> dict[str, tuple[str, str]]:
    """What evaluation reads beside inputs and label: `baseline`, where rows carry it."""
    return {"baseline": ("float32", "baseline")} if spec.label.baseline else {}


def _values(
    column: str, array: pa.Array, elements: int, wanted: pa.DataType, item: ModelInput
) -> np.ndarray:
    """The array's values, one after the other, without a copy where Arrow has them in one piece."""
    kind = array.type
    if array.null_count:
        raise StreamError(f"column {column!r} holds {array.null_count:,} nulls, expected none")
    if kind == wanted and elements == 1:
        return array.to_numpy()
    if pa.types.is_fixed_size_binary(kind) and item.dtype == "uint8":
        width = kind.byte_width
        if width == elements:
            values = np.frombuffer(array.buffers()[1], np.uint8)
            return values[array.offset * width : (array.offset + len(array)) * width]
    elif pa.types.is_list(kind) and kind.value_type == wanted:
        lengths = array.value_lengths().to_numpy()
        if (lengths == elements).all():
            flat = array.flatten()
            if not flat.null_count:
                return flat.to_numpy()
        wrong = np.unique(lengths[lengths != elements])
        what = f"lists of length {wrong[0]}" if len(wrong) else "nulls in its lists"
        raise StreamError(f"column {column!r} holds {what}, expected {elements} values each")
    raise StreamError(
        f"column {column!r} has type {kind}, expected {item.dtype} of shape "
        f"{item.shape if len(item.columns) == 1 else ()}"
    )


_ARROW = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
}

"""Say which columns are read into which arrays, and copy Arrow tables into those arrays.

The boundary between Parquet and training is checked here: types, lengths of lists, nulls. Reading
the files is left to `worker.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import pyarrow as pa

from headrace.errors import StreamError
from headrace.lake.checksums import CHECKSUM_MODULUS, sum_words
from headrace.transform.spec import ModelInput, TransformSpec


@dataclass(frozen=True)
class Columns:
    """The arrays that a stream fills, and the columns that they are filled from.

    Attributes:
        arrays: name of the array -> its dtype, its shape without the rows, and its columns.
    """

    arrays: dict[str, ModelInput]

    def list_names(self) -> list[str]:
        """List every column that is read, each once."""
        return list(dict.fromkeys(c for item in self.arrays.values() for c in item.columns))

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row in all arrays together."""
        return sum(
            np.dtype(item.dtype).itemsize * prod(item.shape) for item in self.arrays.values()
        )

    @cached_property
    def _column_bytes(self) -> dict[str, int]:
        """Return the bytes of a row in each column, the widest where arrays share it."""
        widths: dict[str, int] = {}
        for item in self.arrays.values():
            values = prod(item.shape) // max(len(item.columns), 1)
            width = np.dtype(item.dtype).itemsize * values
            widths |= {name: max(width, widths.get(name, 0)) for name in item.columns}
        return widths

    @property
    def widest_bytes(self) -> int:
        """Return the bytes of a row in the widest column."""
        return max(self._column_bytes.values(), default=0)

    def group_names(self, rows: int, limit: int) -> list[list[str]]:
        """Group the columns that are read, in order, so that those of a group are decoded together.

        Args:
            rows: of a row group.
            limit: bytes of a group's columns in so many rows, at most; a wider column is alone.
        """
        groups: list[list[str]] = []
        size = limit
        for name in self.list_names():
            width = rows * self._column_bytes[name]
            if size + width > limit:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += width
        return groups

    def allocate_arrays(
        self, rows: int | tuple[int, ...], *, zeroed: bool = True
    ) -> dict[str, np.ndarray]:
        """Allocate all arrays, of shape (rows, …).

        Args:
            rows: length of the first axis, or of several leading axes.
            zeroed: fill them with zeros; otherwise their content is undefined.
        """
        axes = (rows,) if isinstance(rows, int) else rows
        allocate = np.zeros if zeroed else np.empty
        return {
            name: allocate((*axes, *item.shape), item.dtype) for name, item in self.arrays.items()
        }

    def fill_arrays(self, arrays: dict[str, np.ndarray], first_row: int, table: pa.Table) -> None:
        """Copy the rows of `table` into `arrays`, from row `first_row` on.

        Raises:
            StreamError: a column has an unexpected type or shape, or holds nulls.
        """
        # By position: pyarrow compares a name with that of every column.
        columns = dict(zip(table.column_names, table.columns, strict=True))
        for name, column, position, elements, element_type in self._array_columns:
            row = first_row
            for chunk in columns[column].chunks:
                target = arrays[name][row : row + len(chunk)]
                # Several columns are scalars side by side; a single one may be of any shape.
                target = target if position is None else target[:, position]
                values = _extract_values(column, chunk, elements, element_type, self.arrays[name])
                target[...] = values if target.ndim == 1 else values.reshape(target.shape)
                row += len(chunk)

    def compute_checksums(self, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Compute a checksum of every contiguous array of rows.

        It does not depend on the order of the rows, and rows of zeros add nothing.
        """
        return {
            name: sum_words(arrays[name].reshape(-1), in_bytes=in_bytes)
            for name, in_bytes in self._summed_in_bytes.items()
        }

    def compute_shard_checksums(
        self, stack: Mapping[str, np.ndarray], shards: int
    ) -> dict[str, np.ndarray]:
        """Compute checksums of each shard's rows in a batch stack.

        Args:
            stack: contiguous arrays of shape (steps, shards * slice_rows, …).
            shards: number of shards.

        Returns:
            for each array, uint64 of shape (shards,).
        """
        checksums = {}
        for name, in_bytes in self._summed_in_bytes.items():
            array = stack[name]
            words = array.reshape(len(array), shards, -1)
            word_type = np.uint64 if in_bytes else np.uint32
            words = words if in_bytes else words.view(np.uint32)
            sums = np.add.reduce(words, axis=(0, 2), dtype=word_type)
            checksums[name] = sums.astype(np.uint64)
        return checksums

    def combine_checksums(self, checksums: Mapping[str, list[int]], index: int) -> dict[str, int]:
        """Combine the recorded checksums of columns into those of the arrays of a row group.

        Args:
            checksums: column -> recorded checksum of each row group of the file.
            index: position of the row group in the file.

        Returns:
            the checksums of the arrays all of whose columns have recorded ones.
        """
        return {
            name: sum(checksums[column][index] for column in item.columns) % CHECKSUM_MODULUS
            for name, item in self.arrays.items()
            if all(column in checksums for column in item.columns)
        }

    @cached_property
    def _array_columns(self) -> list[tuple[str, str, int | None, int, pa.DataType]]:
        """Return each array's columns: array, column, position, elements per row, element type.

        The position is that on the array's second axis; None where the array has one column.
        """
        return [
            (
                name,
                column,
                position if len(item.columns) > 1 else None,
                prod(item.shape) // len(item.columns),
                _ARROW_TYPES[item.dtype],
            )
            for name, item in self.arrays.items()
            for position, column in enumerate(item.columns)
        ]

    @cached_property
    def _summed_in_bytes(self) -> dict[str, bool]:
        """Return for each array whether its checksum sums bytes, and not words of four bytes.

        It sums bytes where a column's values in a row are no whole number of words.
        """
        return {
            name: bool(np.dtype(item.dtype).itemsize * (prod(item.shape) // len(item.columns)) % 4)
            for name, item in self.arrays.items()
        }


def build_feature_columns(
    spec: TransformSpec, extra: dict[str, tuple[str, str]] | None = None
) -> Columns:
    """Build the columns of the model's inputs and of `label`, see `LabelSpec.array`.

    Args:
        spec: the dataset's transform, which says which columns an input has.
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


def list_weight_columns(spec: TransformSpec) -> dict[str, tuple[str, str]]:
    """List what training reads beside inputs and label: `sample_weight`, where rows have it."""
    return {"sample_weight": ("float32", "sample_weight")} if spec.label.weighted else {}


def list_baseline_columns(spec: TransformSpec) -> dict[str, tuple[str, str]]:
    """List what evaluation reads beside inputs and label: `baseline`, where rows have it."""
    return {"baseline": ("float32", "baseline")} if spec.label.baseline else {}


def _extract_values(
    column: str, array: pa.Array, elements: int, element_type: pa.DataType, item: ModelInput
) -> np.ndarray:
    """Return an Arrow array's values as a flat array, without a copy where they are contiguous.

    Args:
        column: name of the column, for errors.
        array: one chunk of the column.
        elements: values per row.
        element_type: their type.
        item: the input that the column belongs to, for errors.

    Raises:
        StreamError: the column has an unexpected type or shape, or holds nulls.
    """
    kind = array.type
    if array.null_count:
        raise StreamError(f"column {column!r} holds {array.null_count:,} nulls, expected none")
    if kind == element_type and elements == 1:
        return _view_values(array, item.dtype)
    if pa.types.is_fixed_size_binary(kind) and item.dtype == "uint8":
        if kind.byte_width == elements:
            return _view_values(array, "uint8", elements)
    elif pa.types.is_list(kind) and kind.value_type == element_type:
        lengths = _view_values(array.value_lengths(), "int32")
        if (lengths == elements).all():
            flat = array.flatten()
            if not flat.null_count:
                return _view_values(flat, item.dtype)
        wrong_lengths = np.unique(lengths[lengths != elements])
        problem = f"lists of length {wrong_lengths[0]}" if len(wrong_lengths) else "nulls in lists"
        raise StreamError(f"column {column!r} holds {problem}, expected {elements} values each")
    raise StreamError(
        f"column {column!r} has type {kind}, expected {item.dtype} of shape "
        f"{item.shape if len(item.columns) == 1 else ()}"
    )


def _view_values(array: pa.Array, dtype: str, elements: int = 1) -> np.ndarray:
    """View an array's values, of fixed width and without nulls, as a flat array.

    Arrow's own way, `to_numpy`, imports pandas first: a quarter second, and memory, of each rank.
    """
    values = np.frombuffer(array.buffers()[1], dtype)
    return values[array.offset * elements : (array.offset + len(array)) * elements]


_ARROW_TYPES = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
}

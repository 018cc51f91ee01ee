"""Write and read the rows of sharded tables beside a checkpoint: a file per rank and variable.

    step-000001234.table-0.variable-0.rank-00001-of-00004.npy

Each is a plain array of the rows that the rank had, written piece by piece, so that no rank has a
copy of what it writes. The checkpoint's own file comes last and lists them with their CRC-32: files
that no checkpoint lists are of one that was not finished. Another number of ranks reads the rows
that are its own now from each file.
"""

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf

from headrace.errors import StoreError, TrainError
from headrace.lake.storage import describe_error, is_storage_error, open_filesystem
from headrace.models.table_storage import list_chunks, take_rows
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.sharded_tables import ShardedTable
from headrace.train.variables import list_shard_variables

_READ_BYTES = 2**24


@dataclass(frozen=True)
class ShardFile:
    """A file with the rows that one rank had of one variable.

    Attributes:
        name: within the folder of the attempt.
        rank, ranks: whose rows they are: row r of the table is that of rank r modulo ranks.
        bytes, crc: of the whole file.
    """

    name: str
    rank: int
    ranks: int
    bytes: int
    crc: int

    def to_json(self) -> list[Any]:
        """Return it as plain values."""
        return [self.name, self.rank, self.ranks, self.bytes, self.crc]


@dataclass(frozen=True)
class TableFiles:
    """The files of a table's variables: the table, then its moments.

    Attributes:
        layer: name of the table's layer.
        rows, width: shape of the whole table.
        variables: files of each variable, by rank.
    """

    layer: str
    rows: int
    width: int
    variables: tuple[tuple[ShardFile, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        variables = [[file.to_json() for file in files] for files in self.variables]
        shape = {"rows": self.rows, "width": self.width}
        return {"layer": self.layer, **shape, "variables": variables}

    @staticmethod
    def from_json(tree: dict[str, Any]) -> "TableFiles":
        """Return what `to_json` converted."""
        variables = tuple(tuple(ShardFile(*file) for file in files) for files in tree["variables"])
        return TableFiles(tree["layer"], tree["rows"], tree["width"], variables)


class ShardFolder:
    """The folder of an attempt, in which ranks write their rows."""

    def __init__(self, location: str) -> None:
        """
        Args:
            location: folder or URL of the attempt; all ranks reach it.
        """
        self.location = location
        self._files, self._path = open_filesystem(location)
        protocols = self._files.protocol
        self._is_local = "file" in ((protocols,) if isinstance(protocols, str) else protocols)

    def write_variable(self, name: str, variable: keras.Variable) -> tuple[int, int, int]:
        """Write the rows of a variable, whole or not at all.

        Returns:
            bytes and CRC-32 of the file, and how many of its numbers are not finite.

        Raises:
            StoreError: the disk is full, or the store refuses.
        """
        try:
            if not self._is_local:
                with self._files.open(f"{self._path}/{name}", "wb") as file:
                    return _write_rows(file, variable)
            folder = Path(self._path)
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f"{name}.aside"
            try:
                with temporary.open("wb") as file:
                    result = _write_rows(file, variable)
                    _sync(file)
                temporary.replace(folder / name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            return result
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise StoreError(
                f"rows of an embedding table cannot be written to {self.location}/{name}: "
                f"{describe_error(error)}; free some space or set train.checkpoint.path, and run "
                "the same command again: it continues the newest whole checkpoint"
            ) from error

    def measure_size(self, name: str) -> int | None:
        """Return the bytes of a file; None where it is not seen."""
        try:
            return int(self._files.size(f"{self._path}/{name}"))
        except FileNotFoundError:
            return None

    def find_problem(self, file: ShardFile) -> str:
        """Return what is wrong with a file, read to its end; "" where it is whole."""
        crc = size = 0
        try:
            with self._files.open(f"{self._path}/{file.name}", "rb") as stream:
                while piece := stream.read(_READ_BYTES):
                    crc, size = zlib.crc32(piece, crc), size + len(piece)
        except FileNotFoundError:
            return f"{self.location}/{file.name} does not exist"
        except Exception as error:
            if not is_storage_error(error):
                raise
            return f"{self.location}/{file.name} cannot be read: {describe_error(error)}"
        if (size, crc) != (file.bytes, file.crc):
            return f"{self.location}/{file.name} is truncated or damaged"
        return ""

    def read_rows(
        self, files: Sequence[ShardFile], variable: keras.Variable, rank: int, size: int
    ) -> None:
        """Set a variable to the rows that are this rank's.

        Args:
            files: with the rows of all ranks, of whatever number.
            variable: with the rows of this rank.
            rank, size: this rank, and the number of ranks.

        Raises:
            TrainError: a file has another shape.
        """
        for file in files:
            if (file.rank - rank) % math.gcd(file.ranks, size):
                continue  # no row of it is of this rank
            with self._files.open(f"{self._path}/{file.name}", "rb") as stream:
                self._read_file(stream, file, variable, rank, size)

    def _read_file(
        self, stream: BinaryIO, file: ShardFile, variable: keras.Variable, rank: int, size: int
    ) -> None:
        np.lib.format.read_magic(stream)
        (rows, width), _, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype != np.float32 or width != variable.shape[1]:
            raise TrainError(
                f"{self.location}/{file.name} has rows of {width} {dtype}, expected "
                f"{variable.shape[1]} of float32; use --resume never to start from scratch"
            )
        period = size // math.gcd(file.ranks, size)  # rows of the file from one own row to the next
        for chunk in list_chunks(rows, width):
            values = np.frombuffer(_read_exactly(stream, 4 * width * len(chunk)), np.float32)
            own = next(
                (i for i in chunk[:period] if (file.rank + file.ranks * i) % size == rank), None
            )
            if own is None:
                continue
            picked = values.reshape(-1, width)[own - chunk.start :: period]
            start = (file.rank + file.ranks * own) // size
            step = file.ranks * period // size
            ids = tf.range(start, start + step * len(picked), step, tf.int32)
            rows_read = tf.IndexedSlices(tf.convert_to_tensor(np.ascontiguousarray(picked)), ids)
            variable._value.scatter_update(rows_read)


def list_table_variables(
    tables: Sequence[ShardedTable], optimizer: AnyOptimizer
) -> Iterator[tuple[int, int, keras.Variable]]:
    """Yield number of the table, number of the variable, and the variable with this rank's rows."""
    for number, table in enumerate(tables):
        for position, variable in enumerate(list_shard_variables(table, optimizer)):
            yield number, position, variable


def name_shard_file(step: int, table: int, variable: int, rank: int, ranks: int) -> str:
    """Return the name of a file, which sorts after its checkpoint's own."""
    return f"step-{step:09d}.table-{table}.variable-{variable}.rank-{rank:05d}-of-{ranks:05d}.npy"


def _write_rows(file: BinaryIO, variable: keras.Variable) -> tuple[int, int, int]:
    """Write a plain NumPy array; return its bytes, their CRC-32, and numbers not finite."""
    crc = size = bad = 0
    rows, width = map(int, variable.shape)

    class _Counted:
        def write(self, data: bytes) -> int:
            nonlocal crc, size
            crc, size = zlib.crc32(data, crc), size + len(data)
            return file.write(data)

    counted = _Counted()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(counted, header)
    for chunk in list_chunks(rows, width):
        values = np.ascontiguousarray(take_rows(variable, chunk), "<f4")
        bad += int(values.size - np.count_nonzero(np.isfinite(values)))
        counted.write(values.tobytes())
    return size, crc, bad


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise TrainError("a file with rows of a table is shorter than it says")
    return content


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

"""Write the sharded tables of a training to its checkpoints, and read them back, all ranks at once.

Every rank writes its own rows; the checkpoint's own file, which rank 0 writes after all are done,
lists them. What one rank finds wrong is known to all of them, so that none waits for another.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.errors import StoreError, TrainError
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.shard_files import (
    ShardFile,
    ShardFolder,
    TableFiles,
    list_table_variables,
    name_shard_file,
)
from headrace.train.sharded_tables import ShardedTable

_FAILED = -1


class TableShards:
    """The sharded tables of a training with their moments, of all ranks."""

    def __init__(
        self, tables: Sequence[ShardedTable], optimizer: AnyOptimizer, collectives: Collectives
    ) -> None:
        """
        Args:
            tables: in the order of the model's layers, one at least.
            optimizer: has the moments of their rows.
            collectives: the ranks, which call the methods together.
        """
        self.tables, self._optimizer, self._collectives = list(tables), optimizer, collectives

    def write(self, location: str, step: int) -> list[dict[str, Any]]:
        """Write this rank's rows of every variable; returns once all ranks have.

        Args:
            location: folder or URL of the attempt.
            step: of the checkpoint.

        Returns:
            the files of all ranks, for the checkpoint's own file.

        Raises:
            StoreError: this rank, or another, cannot write.
            TrainError: numbers are not finite, from which no training can go on.
        """
        ranks, folder = self._collectives, ShardFolder(location)
        found, failure = [], None
        for table, number, variable in list_table_variables(self.tables, self._optimizer):
            name = name_shard_file(step, table, number, ranks.rank, ranks.size)
            try:
                size, crc, bad = folder.write_variable(name, variable)
            except StoreError as error:
                failure = failure or error
                size, crc, bad = _FAILED, 0, 0
            found.append([size, crc, bad])
        written = ranks.allgather(np.array([found], np.int64))
        if failure:
            raise failure
        lost = np.flatnonzero((written[:, :, 0] == _FAILED).any(axis=1))
        if len(lost):
            raise StoreError(
                f"rank {lost[0]} could not write its rows of embedding tables to {location}"
            )
        if (bad_numbers := int(written[:, :, 2].sum())) > 0:
            raise TrainError(
                f"before step {step} {bad_numbers:,} numbers of sharded embedding tables or their "
                "moments are not finite; nothing was kept of it"
            )
        tables = self._describe_files(step, written)
        unseen = ""
        if ranks.rank == 0:
            files = [file for table in tables for variable in table.variables for file in variable]
            unseen = next((f.name for f in files if folder.measure_size(f.name) != f.bytes), "")
        unseen = ranks.broadcast_object(unseen)
        if unseen:
            raise StoreError(
                f"{location}/{unseen} was written by a rank, and rank 0 does not see it; set "
                "train.checkpoint.path to a folder or an object store that all hosts reach"
            )
        return [table.to_json() for table in tables]

    def _describe_files(self, step: int, written: np.ndarray) -> list[TableFiles]:
        size = self._collectives.size
        variables: list[list[tuple[ShardFile, ...]]] = [[] for _ in self.tables]
        listed = list_table_variables(self.tables, self._optimizer)
        for position, (table, number, _) in enumerate(listed):
            variables[table].append(
                tuple(
                    ShardFile(
                        name_shard_file(step, table, number, rank, size),
                        rank,
                        size,
                        int(written[rank, position, 0]),
                        int(written[rank, position, 1]),
                    )
                    for rank in range(size)
                )
            )
        return [
            TableFiles(table.layer.name, table.rows, table.width, tuple(files))
            for table, files in zip(self.tables, variables, strict=True)
        ]

    def broadcast(self, value: Any) -> Any:
        """Return the value of rank 0 on every rank."""
        return self._collectives.broadcast_object(value)

    def find_problem(self, location: str, tree: Sequence[dict[str, Any]]) -> str:
        """Return what is wrong with the files of a checkpoint; "" where all are whole.

        The ranks read them side by side, each some.

        Args:
            location: folder or URL of the attempt.
            tree: what `write` returned.
        """
        ranks, folder = self._collectives, ShardFolder(location)
        files = [
            file
            for table in map(TableFiles.from_json, tree)
            for variable in table.variables
            for file in variable
        ]
        own = files[ranks.rank :: ranks.size]
        problems = [problem for file in own if (problem := folder.find_problem(file))]
        counts = ranks.allgather(np.array([len(problems)], np.int64))
        if not counts.any():
            return ""
        first = int(np.flatnonzero(counts)[0])
        text = ranks.broadcast_object(problems[0] if problems else "", first)
        more = int(counts.sum()) - 1
        return f"{text}{f', and {more} more files' if more else ''}"

    def read(self, location: str, tree: Sequence[dict[str, Any]], *, moments: bool = True) -> None:
        """Set this rank's rows of every variable to those of a checkpoint.

        Args:
            location: folder or URL of the attempt.
            tree: what `write` returned, under any number of ranks.
            moments: whether to read them, too.

        Raises:
            TrainError: they are of other tables or another optimizer.
        """
        folder, saved = ShardFolder(location), [TableFiles.from_json(table) for table in tree]
        own = [(table.layer.name, table.rows, table.width) for table in self.tables]
        found = [(table.layer, table.rows, table.width) for table in saved]
        listed = list(list_table_variables(self.tables, self._optimizer))
        counts = [sum(table == t for t, *_ in listed) for table in range(len(own))]
        if own != found or counts != [len(table.variables) for table in saved]:
            raise TrainError(
                f"checkpoint {location} has sharded tables {_describe(found)}, expected "
                f"{_describe(own)}, or other moments of them; use --resume never to start from "
                "scratch"
            )
        for table, number, variable in listed:
            if moments or not number:
                files = saved[table].variables[number]
                folder.read_rows(files, variable, self._collectives.rank, self._collectives.size)


def _describe(tables: Sequence[tuple[str, int, int]]) -> str:
    words = [f"{name} ({rows:,} x {width})" for name, rows, width in tables]
    return ", ".join(words) if words else "none"

"""The options of the first job's tasks."""

from dataclasses import dataclass

from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.source.late_materialization import LateColumns
from headrace.source.partition_index import PartitionIndex
from headrace.spark_engine.engine import Shared
from headrace.transform.fit import FitInputs

BUFFER_BYTES = 128 * 2**20
"""Rows that a task holds before it passes them on."""


@dataclass(frozen=True)
class ShuffleOptions:
    """The options of the shuffle, sent to every task.

    Attributes:
        fit_inputs: what statistics are collected for.
        checks: how many checks there are.
        partitioner: of rows, to the targets where their keys meet and to their data files.
        seed: of the order of rows.
        partition_index: source partitions of the rows.
        duplicates_folder: for the rows that lost against a row of another source partition.
        join_keys_folder: for the keys of joins that rows have.
        has_large_rows: whether rows have lists or images.
        collect_statistics: false where the transform is fitted already.
        collect_keys: whether the driver gets the row ids of the rows that stay and have a key.
        late: columns that the tasks read themselves.
        passthrough: raw columns that are published as they are.
        checked_texts: columns of which rows with texts that are no UTF-8 are not published.
    """

    fit_inputs: FitInputs
    checks: int
    partitioner: Partitioner
    seed: int
    partition_index: PartitionIndex
    duplicates_folder: str
    join_keys_folder: str = ""
    has_large_rows: bool = False
    collect_statistics: bool = True
    collect_keys: bool = False
    late: Shared[LateColumns] | None = None
    passthrough: tuple[str, ...] = ()
    checked_texts: frozenset[str] = frozenset()

    @property
    def raw_columns(self) -> list[str]:
        """Return the raw columns of the rows."""
        return list(dict.fromkeys([*self.fit_inputs.raw, *self.passthrough]))

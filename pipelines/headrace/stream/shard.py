"""What one canonical shard was planned to give, and what it has given."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.stream.epoch import EpochReader


class Shard:
    """The account of a shard in one epoch."""

    def __init__(self, reader: "EpochReader", shard: int) -> None:
        self._reader, self._shard = reader, shard
        plan = reader.stream.plan(reader.epoch)
        self._rows = plan.shard_rows(shard)
        self._begun = min(reader.first_step * plan.slice_rows, self._rows)
        self._taken = self._begun
        self._read = dict.fromkeys(reader.stream.columns.arrays, 0)

    def take(self, end: int) -> None:
        """Have the blocks of the shard's rows before `end`."""
        while self._taken < min(end, self._rows):
            result = self._reader.next_block(self._shard, self._taken)
            self._taken = result.block.first_row + result.block.rows
            for name, found in result.sums.items():
                self._read[name] += found

    def wrong(self, rows: int, given: dict[str, int]) -> str:
        """What differs from the plan; empty where nothing does.

        Args:
            rows: how many were delivered.
            given: checksums of the arrays that were delivered.
        """
        planned = self._rows - self._begun
        if self._taken != self._rows or rows != planned:
            return f"shard {self._shard}: {rows} of {planned} rows"
        for name, read in self._read.items():
            if (read - given[name]) % 2**32:
                return f"shard {self._shard}: {name} has other values than were read"
        return ""

"""What one canonical shard was planned to give, and what it has given."""

from collections.abc import Sequence

from headrace.stream.worker import BlockRows


class ShardAccount:
    """The account of a shard in one epoch.

    Attributes:
        number: the shard's.
        rows_read: rows of the shard up to the end of the last block that was read.
    """

    def __init__(self, number: int, rows: int, first_row: int, names: Sequence[str]) -> None:
        """
        Args:
            number: the shard's.
            rows: how many the plan gives it.
            first_row: where reading begins, which may be behind its last row.
            names: of the arrays that checksums are kept of.
        """
        self.number = number
        self._rows = rows
        self._first_row = min(first_row, rows)
        self.rows_read = self._first_row
        self._checksums = dict.fromkeys(names, 0)

    def needs_rows(self, end: int) -> bool:
        """Return whether rows before `end` are still to be read."""
        return self.rows_read < min(end, self._rows)

    def take_in(self, rows: BlockRows) -> None:
        """Count a block that was read."""
        self.rows_read = rows.block.first_row + rows.block.rows
        for name, checksum in rows.sums.items():
            self._checksums[name] += checksum

    def difference(self, rows: int, delivered: dict[str, int]) -> str:
        """Return what differs from the plan; empty where nothing does.

        Args:
            rows: how many were delivered.
            delivered: checksums of the arrays that were delivered.
        """
        planned = self._rows - self._first_row
        if self.rows_read != self._rows or rows != planned:
            return f"shard {self.number}: {rows} of {planned} rows"
        for name, checksum in self._checksums.items():
            if (checksum - delivered[name]) % 2**32:
                return f"shard {self.number}: {name} has other values than were read"
        return ""

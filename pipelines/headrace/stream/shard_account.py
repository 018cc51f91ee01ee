"""Account for the rows of one canonical shard: what was planned, read and delivered."""

from collections.abc import Sequence

from headrace.stream.worker import BlockResult


class ShardAccount:
    """The account of a shard in one epoch.

    Attributes:
        number: the shard's number.
        rows_read: rows of the shard up to the end of the last block that was read.
    """

    def __init__(self, number: int, rows: int, first_row: int, names: Sequence[str]) -> None:
        """
        Args:
            number: the shard's number.
            rows: rows of the shard in the plan.
            first_row: where reading begins, which may be behind the shard's last row.
            names: names of the arrays that have checksums.
        """
        self.number = number
        self._rows = rows
        self._first_row = min(first_row, rows)
        self.rows_read = self._first_row
        self._checksums = dict.fromkeys(names, 0)

    def needs_rows(self, end: int) -> bool:
        """Return whether rows before row `end` of the shard are still to be read."""
        return self.rows_read < min(end, self._rows)

    def add_block(self, result: BlockResult) -> None:
        """Count the rows of a block that was read."""
        self.rows_read = result.block.first_row + result.block.rows
        for name, checksum in result.checksums.items():
            self._checksums[name] += checksum

    def describe_difference(self, rows: int, delivered: dict[str, int]) -> str:
        """Describe how the delivered rows differ from the plan; empty where they do not.

        Args:
            rows: number of delivered rows.
            delivered: checksums of the delivered arrays.
        """
        planned = self._rows - self._first_row
        if self.rows_read != self._rows or rows != planned:
            return f"shard {self.number}: {rows} of {planned} rows"
        for name, checksum in self._checksums.items():
            if (checksum - delivered[name]) % 2**32:
                return f"shard {self.number}: {name} has other values than were read"
        return ""

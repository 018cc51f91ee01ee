"""Batches in the making: the readers put every row where its batch wants it.

Some steps lie in one *sheet*, arrays of shape (steps, rows of a batch, …) in which each shard has
its columns of rows. A shard's block covers many steps, so it writes into many sheets; a sheet is
finished when the block of every shard that reaches into it has been read. Between the decoded row
group and the batch there is no other copy of a row that leaves the processor's cache.
"""

import threading
from collections.abc import Mapping

import numpy as np

from headrace.stream.buffer_pool import Rooms
from headrace.stream.plan import EpochPlan

Batch = dict[str, np.ndarray]


class Sheets:
    """The sheets of one epoch that some shard has begun and nobody has taken; shared by threads."""

    def __init__(
        self, plan: EpochPlan, shards: range, first_step: int, sheet_steps: int, rooms: Rooms
    ) -> None:
        """
        Args:
            plan, shards: what the rank reads.
            first_step: of the first sheet.
            sheet_steps: steps of a sheet; the last one may have fewer.
            rooms: memory to use, with a `weight`.
        """
        self._shards, self._first_step, self._sheet_steps = shards, first_step, sheet_steps
        self._width, self._steps, self._rooms = plan.slice_rows, plan.steps, rooms
        least = min(plan.shard_rows(shard) for shard in shards)
        self._full_steps = least // plan.slice_rows  # from here on there may be padding
        self._lock = threading.Lock()
        self._begun: dict[int, Batch] = {}

    def write(
        self, shard: int, first: int, rows: Mapping[str, np.ndarray], order: np.ndarray | None
    ) -> None:
        """Put rows of a shard where they belong, and `weight` 1 beside them.

        Args:
            shard: which.
            first: the first one's position in the shard.
            rows: arrays of rows.
            order: which of `rows` come, in which order; all of them as they are where None.
        """
        length = len(next(iter(rows.values()))) if order is None else len(order)
        column = (shard - self._shards.start) * self._width
        done = 0
        while done < length:
            step, within = divmod(first + done, self._width)
            sheet, at = self._sheet(step)
            left = len(sheet["weight"]) - at
            whole = min(left, (length - done) // self._width) if not within else 0
            if whole:
                count, shape = whole * self._width, (whole, self._width)
                place: tuple[slice, slice] = (
                    slice(at, at + whole),
                    slice(column, column + self._width),
                )
            else:
                count = min(self._width - within, length - done)
                shape = (1, count)
                place = (slice(at, at + 1), slice(column + within, column + within + count))
            for name, array in rows.items():
                if order is None:
                    part = array[done : done + count]
                else:  # mode: without it NumPy would look at every index first
                    part = array.take(order[done : done + count], axis=0, mode="clip")
                sheet[name][place] = part.reshape(*shape, *part.shape[1:])
            sheet["weight"][place] = 1.0
            done += count

    def pop(self, first: int) -> Batch:
        """The sheet that begins at step `first`, all of whose blocks were read."""
        sheet, _ = self._sheet(first)  # a rank may have nothing but padding
        with self._lock:
            return self._begun.pop((first - self._first_step) // self._sheet_steps, sheet)

    def _sheet(self, step: int) -> tuple[Batch, int]:
        """The sheet of a step, and which of its steps that is."""
        number, at = divmod(step - self._first_step, self._sheet_steps)
        with self._lock:
            if number not in self._begun:
                first = self._first_step + number * self._sheet_steps
                steps = min(self._sheet_steps, self._steps - first)
                made = self._rooms.take(steps, len(self._shards) * self._width)
                made["weight"][...] = 0.0
                if first + steps > self._full_steps:
                    for array in made.values():
                        array[...] = 0
                self._begun[number] = made
            return self._begun[number], at

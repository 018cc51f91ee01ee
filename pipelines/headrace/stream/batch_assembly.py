"""Assemble batches: reader threads copy every row to its position in the batch.

The batches of several steps lie in one *batch stack*: arrays of shape (steps, rows of a batch, …),
in which each shard has its own range on the rows axis. A shard's block covers many steps, so it is
written into many stacks; a stack is complete when the block of every shard that reaches into it has
been read. Between the decoded row group and the batch a row is copied nowhere else that leaves the
processor's cache.
"""

import threading
from collections.abc import Mapping

import numpy as np

from headrace.stream.buffer_pool import BufferPool
from headrace.stream.plan import EpochPlan

Batch = dict[str, np.ndarray]


class BatchAssembly:
    """The batch stacks of one epoch that are being assembled; shared by reader threads."""

    def __init__(
        self,
        plan: EpochPlan,
        shards: range,
        first_step: int,
        steps_per_stack: int,
        buffers: BufferPool,
    ) -> None:
        """
        Args:
            plan, shards: the plan of the epoch, and the shards that the rank owns.
            first_step: first step of the first stack.
            steps_per_stack: steps of a stack; the last one may have fewer.
            buffers: memory for the stacks, with an array `weight`.
        """
        self._shards, self._first_step, self._steps_per_stack = shards, first_step, steps_per_stack
        self._slice_rows, self._steps, self._buffers = plan.slice_rows, plan.steps, buffers
        fewest_rows = min(plan.count_shard_rows(shard) for shard in shards)
        self._full_steps = fewest_rows // plan.slice_rows  # steps from here on may have padding
        self._lock = threading.Lock()
        self._stacks: dict[int, Batch] = {}

    def write_rows(
        self, shard: int, first_row: int, rows: Mapping[str, np.ndarray], order: np.ndarray | None
    ) -> None:
        """Write rows of a shard into their stacks, and `weight` 1 beside them.

        Args:
            shard: number of the shard.
            first_row: position of the first written row in the shard.
            rows: arrays of rows.
            order: positions of the rows to write, in their order; None for all rows as they are.
        """
        row_count = len(next(iter(rows.values()))) if order is None else len(order)
        row_offset = (shard - self._shards.start) * self._slice_rows
        written = 0
        while written < row_count:
            step, offset = divmod(first_row + written, self._slice_rows)
            stack, stack_step = self._get_stack(step)
            steps_left = len(stack["weight"]) - stack_step
            end = min(row_count, written + steps_left * self._slice_rows - offset)
            # The first slice may have begun before these rows, and the last one go on behind them.
            bounds = [written, *range(written + self._slice_rows - offset, end, self._slice_rows)]
            pieces = [
                (number, slice(begin, stop), slice(column, column + stop - begin))
                for number, (begin, stop, column) in enumerate(
                    zip(
                        bounds,
                        [*bounds[1:], end],
                        [row_offset + offset] + [row_offset] * (len(bounds) - 1),
                        strict=True,
                    ),
                    stack_step,
                )
            ]
            for name, array in rows.items():
                batches = stack[name]
                for number, own, target in pieces:
                    if order is None:
                        batches[number, target] = array[own]
                    else:
                        # Into its place at once: NumPy would check every index first, and copy
                        # twice, without the mode.
                        array.take(order[own], 0, batches[number, target], "clip")
            weight = stack["weight"]
            for number, _, target in pieces:
                weight[number, target] = 1.0
            written = end

    def pop_stack(self, first_step: int) -> Batch:
        """Remove and return the complete stack that begins at a step.

        Returns:
            arrays of shape (steps, rows of the rank's batch, …); padding is zeros of `weight` 0.
        """
        stack, _ = self._get_stack(first_step)  # a rank may have nothing but padding
        with self._lock:
            return self._stacks.pop((first_step - self._first_step) // self._steps_per_stack, stack)

    def _get_stack(self, step: int) -> tuple[Batch, int]:
        """Return the stack of a step, begun where it is new, and the step's position in it."""
        number, stack_step = divmod(step - self._first_step, self._steps_per_stack)
        with self._lock:
            if number not in self._stacks:
                first_step = self._first_step + number * self._steps_per_stack
                steps = min(self._steps_per_stack, self._steps - first_step)
                stack = self._buffers.acquire_arrays(steps, len(self._shards) * self._slice_rows)
                stack["weight"][...] = 0.0
                if first_step + steps > self._full_steps:
                    for array in stack.values():
                        array[...] = 0
                self._stacks[number] = stack
            return self._stacks[number], stack_step

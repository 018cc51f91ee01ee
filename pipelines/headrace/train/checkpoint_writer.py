"""Write checkpoints in a thread while the training goes on, and remove those that are too old.

An error of the thread is raised at the next checkpoint or at the end: a training that could not be
resumed is not worth a night.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from headrace.train.checkpoint import Checkpoints


class CheckpointWriter:
    """A thread that writes one checkpoint at a time while the training goes on."""

    def __init__(self, checkpoints: Checkpoints, attempt: str, keep: int) -> None:
        """
        Args:
            checkpoints: of the training.
            attempt: which attempt they belong to.
            keep: number of the newest ones that are not removed.
        """
        self._checkpoints, self._attempt, self._keep = checkpoints, attempt, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-checkpoint")
        self._pending: Future[None] | None = None

    def submit_checkpoint(
        self,
        step: int,
        state: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        best_step: int | None,
    ) -> None:
        """Write a checkpoint once the previous one is written; its arrays must not change.

        Raises:
            TrainError: the previous one could not be written.
        """
        self.wait_until_written()

        def write_and_prune() -> None:
            self._checkpoints.write_checkpoint(self._attempt, step, state, arrays)
            self._checkpoints.remove_older(self._attempt, self._keep, best_step)

        self._pending = self._thread.submit(write_and_prune)

    def wait_until_written(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            TrainError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Wait for the thread to end; an error of it is not raised."""
        self._thread.shutdown(wait=True)

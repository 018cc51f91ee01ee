"""Measure when the first step of a rank is done: what comes before it is start-up.

The tracked run is opened after it. MLflow takes seconds of the interpreter, in which the step could
not be traced beside it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.train.tracked_run import TrackedTraining


@dataclass
class FirstStepTimer:
    """A stopwatch for the first step, after which the tracked run is opened.

    Attributes:
        started_at: monotonic time of the rank's start, seconds.
        get_tracked_training: returns the run, None on ranks that do not track.
        seconds: from the rank's start to the end of the first step.
        finished_at: time of that end, seconds since 1970; 0 before it.
    """

    started_at: float
    get_tracked_training: Callable[[], TrackedTraining | None]
    seconds: float = 0.0
    finished_at: float = 0.0
    _has_waited: bool = False
    _is_answered: bool = False

    def wrap_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step with the stopwatch around it."""

        def run_timed_step(*args: Any, **options: Any) -> Any:
            result = step(*args, **options)
            if not self.finished_at:
                float(result.loss)  # waits until the step is done
                self.finished_at, self.seconds = time.time(), time.monotonic() - self.started_at
            return result

        return run_timed_step

    def open_run(self) -> float:
        """Wait for the tracked run after the first step; called after every one of them.

        Where the store has not answered by then, later steps look, and do not wait.

        Returns:
            the seconds that it took, which are not the step's.

        Raises:
            StoreError: nothing can be tracked, see `TrackedTraining.wait_for_start`.
        """
        tracked_training = self.get_tracked_training()
        if self._is_answered or tracked_training is None:
            return 0.0
        began = time.monotonic()
        self._is_answered = tracked_training.wait_for_start(0.0 if self._has_waited else None)
        self._has_waited = True
        return time.monotonic() - began

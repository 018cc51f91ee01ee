"""Find the best epoch and decide when to stop: a pure state machine over validation values."""

import math
from dataclasses import dataclass

from headrace.labels.kinds import is_lower_better
from headrace.recipe import sections as s


@dataclass
class BestEpoch:
    """The best epoch so far by one validation metric.

    Attributes:
        settings: metric and patience; `None` follows the loss and never stops.
        best: best value so far.
        epoch: number of its epoch, -1 before the first.
    """

    settings: s.EarlyStopping | None
    best: float = float("nan")
    epoch: int = -1

    @property
    def metric(self) -> str:
        """Return the name of the metric, without `val_`."""
        return self.settings.metric if self.settings else "loss"

    def record_value(self, value: float, epoch: int) -> bool:
        """Record the value of `epoch`; return whether it is the best so far.

        The first finite one is. One that is not finite is none, and every finite one is better
        than what an older Headrace may have kept of such an epoch.
        """
        if not math.isfinite(value):
            return False
        sign = -1 if is_lower_better(self.metric) else 1
        is_first = self.epoch < 0 or not math.isfinite(self.best)
        if is_first or sign * value > sign * self.best:
            self.best, self.epoch = value, epoch
            return True
        return False

    def should_stop(self, epoch: int) -> bool:
        """Return whether the best epoch lies `patience` epochs behind `epoch`."""
        return self.settings is not None and epoch - self.epoch >= self.settings.patience

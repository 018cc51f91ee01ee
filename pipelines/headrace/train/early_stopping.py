"""When to stop, and which epoch was best: a pure state machine over a list of validation values."""

from dataclasses import dataclass

from headrace.recipe import sections as s

SMALLER_IS_BETTER = ("loss", "mae")


@dataclass
class BestEpoch:
    """Follows one validation metric from epoch to epoch.

    Attributes:
        settings: metric and patience; `None` follows the loss and never stops.
        best: best value so far.
        epoch: its epoch, -1 before the first.
    """

    settings: s.EarlyStopping | None
    best: float = float("nan")
    epoch: int = -1

    @property
    def metric(self) -> str:
        return self.settings.metric if self.settings else "loss"

    def improved(self, value: float, epoch: int) -> bool:
        """Take the value of `epoch` in; whether it is the best so far (the first always is)."""
        sign = -1 if self.metric in SMALLER_IS_BETTER else 1
        if self.epoch < 0 or sign * value > sign * self.best:
            self.best, self.epoch = value, epoch
            return True
        return False

    def should_stop(self, epoch: int) -> bool:
        """Whether the best epoch lies `patience` epochs behind `epoch`."""
        return self.settings is not None and epoch - self.epoch >= self.settings.patience

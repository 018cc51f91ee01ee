"""Lay out the epochs of a training as the rows of a small table, as wide as the terminal is."""

from collections.abc import Mapping, Sequence

from headrace.number_text import format_number

_VALIDATION = "val_"
_LOSSES = ("train_loss", "val_loss")
_GAP = 2
_NUMBER_WIDTH = 8  # of five significant digits, a point and a sign
_EPOCH, _RATE, _LEFT = "epoch", "rows/s", "left"
_RATE_WIDTH, _LEFT_WIDTH = 10, 11


class EpochTable:
    """A table whose rows are made one by one, as epochs end.

    Attributes:
        header: its first line.
    """

    def __init__(self, metrics: Mapping[str, float], width: int) -> None:
        """
        Args:
            metrics: of the first epoch: `train_loss`, `val_…`, `rows_per_second`, and others, which
                are not shown.
            width: characters of a line; further metrics of the validation split are shown while
                there is room, in the order in which they are reported.
        """
        losses = [name for name in _LOSSES if name in metrics]
        others = [n for n in metrics if n.startswith(_VALIDATION) and n not in _LOSSES]
        room = width - sum(_measure(name) for name in (_EPOCH, *losses))
        room -= _RATE_WIDTH + _LEFT_WIDTH
        self._names = list(losses)
        for name in others:
            if _measure(name) <= room:
                room -= _measure(name)
                self._names.append(name)
        self.header = self._join(_EPOCH, self._names, _RATE, _LEFT)

    def format_row(
        self, epoch: int, metrics: Mapping[str, float], seconds_left: float | None
    ) -> str:
        """Return the row of an epoch that has ended.

        Args:
            epoch: from 1.
            metrics: as those of the first epoch; what is missing stays empty.
            seconds_left: until the last epoch has ended; None where there is none left.
        """
        values = [
            _fit_number(metrics[name], _NUMBER_WIDTH) if name in metrics else ""
            for name in self._names
        ]
        rate = metrics.get("rows_per_second")
        rate_text = "" if rate is None else _fit_number(round(rate), _RATE_WIDTH - 1)
        left = "" if seconds_left is None else format_duration(seconds_left)
        return self._join(str(epoch), values, rate_text, left)

    def _join(self, epoch: str, values: Sequence[str], rate: str, left: str) -> str:
        widths = [max(len(name), _NUMBER_WIDTH) for name in self._names]
        cells = [value.rjust(width) for value, width in zip(values, widths, strict=True)]
        gap = " " * _GAP
        row = gap.join([epoch.rjust(len(_EPOCH)), *cells])
        return f"{row}{rate.rjust(_RATE_WIDTH)}{left.rjust(_LEFT_WIDTH)}".rstrip()


def format_duration(seconds: float) -> str:
    """Return a duration in the two largest of its units: `8 s`, `4 min`, `2 h 5 m`, `3 d 4 h`."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days < 100 else f"{days} d"


def _fit_number(value: float, width: int) -> str:
    """Return a number with four significant digits, or in fewer characters."""
    text = format_number(value, 4)
    if len(text) <= width:
        return text
    if "." in text[:width] and "e" not in text:
        return text[:width]  # of 0.999999999, which is not 1
    short = f"{value:.1e}"
    return short if len(short) <= width else f"{value:.0e}"


def _measure(name: str) -> int:
    """Return the characters that a column takes."""
    return max(len(name), _NUMBER_WIDTH if name != _EPOCH else 0) + _GAP

"""Add up numbers exactly, so that a sum does not depend on the order or grouping of its terms.

Floating-point addition is not associative: tasks that have the same rows in other groups get sums
of other last bits, and what is taken away again leaves a remainder. A float64 is an integer times
2**-1074, so a sum of them is one, too; Python's integers have as many digits as that takes.
"""

import math
from dataclasses import dataclass

import numpy as np

_BITS = 1074  # every finite float64 is a multiple of 2**-1074
_HALF = 2**32


@dataclass(frozen=True)
class ExactSum:
    """A sum of finite numbers.

    Attributes:
        units: the sum in units of 2**-1074.
    """

    units: int = 0

    @staticmethod
    def from_integers(values: np.ndarray) -> "ExactSum":
        """Add up int64 values, at most 2**31 of them."""
        if not len(values):
            return ExactSum()
        largest = max(abs(int(values.min())), abs(int(values.max())))
        if largest * len(values) < 2**63:
            return ExactSum(int(values.sum()) << _BITS)
        high, low = values >> 32, values & np.int64(_HALF - 1)
        return ExactSum((int(high.sum()) * _HALF + int(low.sum())) << _BITS)

    @staticmethod
    def from_floats(values: np.ndarray) -> "ExactSum":
        """Add up float64 values, all finite, a few passes over them.

        Each value is rounded to the bits above a power of two that leaves room for their sum, which
        is then exact, and what was rounded off is added up in the same way (Demmel and Nguyen,
        2013), until nothing is left.
        """
        total = ExactSum()
        largest = max(float(values.max()), -float(values.min())) if len(values) else 0.0
        if not largest:
            return total
        room = len(values).bit_length() + 1
        exponent = math.frexp(largest)[1] + room
        if exponent > 1023:  # no float64 is that large
            return sum(map(ExactSum.from_number, values.tolist()), total)
        rest, rounded = values.copy(), np.empty_like(values)
        while True:
            above = math.ldexp(1.0, exponent)
            np.add(rest, above, out=rounded)
            np.subtract(rounded, above, out=rounded)
            total = total + ExactSum.from_number(float(rounded.sum()))
            np.subtract(rest, rounded, out=rest)
            if not rest.any():
                return total
            exponent += room - 52  # what is left is half a unit in the last place of `above`

    @staticmethod
    def from_number(value: float) -> "ExactSum":
        """Return a finite number as a sum."""
        mantissa, exponent = math.frexp(value)
        digits, shift = int(math.ldexp(mantissa, 53)), exponent - 53 + _BITS
        return ExactSum(digits << shift if shift >= 0 else digits >> -shift)

    def __add__(self, other: "ExactSum") -> "ExactSum":
        return ExactSum(self.units + other.units)

    def __sub__(self, other: "ExactSum") -> "ExactSum":
        return ExactSum(self.units - other.units)

    def compute_mean(self, count: int) -> float | None:
        """Return the sum divided by a count, rounded once; None where the count is 0."""
        return self.units / (count << _BITS) if count else None

    def to_text(self) -> str:
        """Return the sum as hexadecimal digits and a power of two, for `from_text`."""
        if not self.units:
            return "0p0"
        zeros = (self.units & -self.units).bit_length() - 1
        return f"{self.units >> zeros:x}p{zeros - _BITS}"

    @staticmethod
    def from_text(text: str) -> "ExactSum":
        """Return the sum that `to_text` wrote.

        Raises:
            ValueError: it is no such text.
        """
        digits, _, power = text.partition("p")
        shift = int(power) + _BITS
        if not 0 <= shift <= 2 * _BITS + 64:
            raise ValueError(f"{text[:40]!r} is no sum of numbers")
        return ExactSum(int(digits, 16) << shift)

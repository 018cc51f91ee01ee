"""Sum numbers as integers, so that a sum has the same bits however its rows lie on ranks.

Each number becomes a whole multiple of a unit, a power of two that is chosen by the largest of all
ranks. Integers add up without rounding in any order, and so do they as float64 below 2^53.
"""

import math
from dataclasses import dataclass

import numpy as np

_HIGH_BITS, _LOW_BITS = 26, 26
_EXACT_BITS = 53  # of float64


def choose_unit(largest: float, bits: int) -> float:
    """Return the power of two of which a number has so many bits at most.

    Args:
        largest: absolute value of the numbers, 0 or more, finite.
        bits: of the largest multiple, apart from its sign.
    """
    if largest == 0:
        return 1.0
    return 2.0 ** max(math.frexp(largest)[1] - bits, -1022)


@dataclass(frozen=True)
class IntegerSums:
    """Sums by cell, as two integers each: whole units, and parts of a unit.

    Attributes:
        unit: of the first integer; the second has 2^26 in a unit.
        sums: int64 (2, cells).
    """

    unit: float
    sums: np.ndarray

    def to_numbers(self) -> np.ndarray:
        """Return the sums, float64 (cells,)."""
        high, low = self.sums
        return np.asarray(high * self.unit + low * (self.unit / 2**_LOW_BITS))

    def bound_error(self, rows: int) -> float:
        """Return by how much a sum may be off at most, all of its rows rounded one way."""
        return rows * self.unit / 2 ** (_LOW_BITS + 1)


def sum_by_cell(
    values: np.ndarray, cell: np.ndarray | None, cells: int, largest: float
) -> IntegerSums:
    """Sum numbers by cell to more than the precision of float64.

    Args:
        values: float64 (rows,), finite.
        cell: of each row, int64 (rows,); None where all are in cell 0.
        cells: how many there are.
        largest: absolute value on any rank.
    """
    unit = choose_unit(largest, _HIGH_BITS)
    scaled = values / unit
    high = np.floor(scaled)
    low = np.rint((scaled - high) * 2**_LOW_BITS)
    return IntegerSums(
        unit, np.stack([_sum_whole_numbers(part, cell, cells) for part in (high, low)])
    )


def choose_draw_unit(largest: float, rows: int, most_times: int) -> float:
    """Return a unit in which the sum of all rows, each drawn so often, is an exact float64.

    Args:
        largest: absolute value on any rank.
        rows: of all ranks.
        most_times: that a row is drawn.
    """
    spent = math.ceil(math.log2(max(2, rows))) + math.ceil(math.log2(max(2, most_times)))
    return choose_unit(largest, max(1, _EXACT_BITS - 1 - spent))


def count_units(values: np.ndarray, cell: np.ndarray, cells: int, unit: float) -> np.ndarray:
    """Return the units of numbers by cell, whole numbers in float64, (cells,)."""
    return np.bincount(cell, np.rint(values / unit), cells)


def _sum_whole_numbers(whole: np.ndarray, cell: np.ndarray | None, cells: int) -> np.ndarray:
    """Sum whole numbers of 26 bits and a sign by cell, int64 (cells,)."""
    if cell is None:
        return np.array([whole.astype(np.int64).sum()])
    total = np.zeros(cells, np.int64)
    step = 2**26  # rows whose sum float64 has exactly
    for start in range(0, len(whole), step):
        rows = slice(start, start + step)
        total += np.bincount(cell[rows], whole[rows], cells).astype(np.int64)
    return total

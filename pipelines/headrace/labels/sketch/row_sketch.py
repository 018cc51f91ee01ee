"""Sketch the rows of all ranks: sums of what each row adds, bins of scores, and draws of both.

A bootstrap draws groups of rows and not single ones: rows are in 1,024 groups by their identity,
and a draw takes each group as often as a Poisson variable of mean 1 says (Hanley and MacGibbon
2006, Chamandy et al. 2012). All draws are then a product of two matrices, whatever the number of
rows, and rows of one identity are drawn together. Each rank draws its own rows, with the same
numbers (they depend on the seed and the number of the draw alone), and integers are added up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from headrace.labels.sketch.integer_sums import choose_draw_unit, count_units, sum_by_cell
from headrace.labels.sketch.rank_sums import RankSums
from headrace.labels.sketch.score_bins import MAX_BINS, divide_scores

GROUPS = 1024
"""Groups that a bootstrap draws. Widths of intervals are then off by 2% (1 / sqrt(2 * groups)),
less than what 200 draws make of them."""
DRAWN_BINS = 2048
"""Bins of scores in a draw; its metrics are moved by what that changes in all rows together."""
_MOST_TIMES = 16  # that a group is drawn: of a Poisson variable of mean 1 it is 9 in 2^20 draws


@dataclass(frozen=True)
class RowQuantities:
    """The quantities that rows add to the metrics of their kind of label.

    Attributes:
        sums: name -> value of each row, float64 (rows,), the cell that it is added to, int64
            (rows,), or None where there is one, and the number of cells.
        score: by which rows are ordered, float32 or float64 (rows,).
        positive: rows on one side of a curve, bool (rows,); all True where there is no curve.
        extremes: name -> value of which the largest over all rows counts.
    """

    sums: Mapping[str, tuple[np.ndarray, np.ndarray | None, int]]
    score: np.ndarray
    positive: np.ndarray
    extremes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SketchSums:
    """Sums of all rows under some weights, or of many draws of them at once.

    Attributes:
        sums: name -> float64 (..., cells).
        other, positive: weights by bin, ascending by score, float64 (..., bins).
        first, last: the lowest and the highest score of a bin, (bins,).
    """

    sums: Mapping[str, np.ndarray]
    other: np.ndarray
    positive: np.ndarray
    first: np.ndarray
    last: np.ndarray


@dataclass(frozen=True)
class Sketch:
    """The rows of all ranks, the same on every rank.

    Attributes:
        rows: how many there are.
        weighted_rows: those of a weight above 0.
        counts: rows by sum and cell, without their weights, name -> int64 (cells,).
        all_rows: sums under the rows' own weights, with all bins.
        is_single: which bins have one score only, bool (bins,).
        draws: the sums of all rows once more, and then those of every draw, with fewer bins.
        extremes: the largest over all rows.
    """

    rows: int
    weighted_rows: int
    counts: Mapping[str, np.ndarray]
    all_rows: SketchSums
    is_single: np.ndarray
    draws: SketchSums
    extremes: Mapping[str, float]


def assign_groups(row_id: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """Return the group of each row by its identity, int64 (rows,), the same on any rank.

    Args:
        row_id: int64 (rows,).
        groups: how many there are.
    """
    mixed = row_id.astype(np.uint64)  # splitmix64 (Steele et al. 2014)
    mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(((mixed ^ (mixed >> np.uint64(31))) % np.uint64(groups)).astype(np.int64))


def draw_groups(draws: int, seed: int, groups: int = GROUPS) -> np.ndarray:
    """Return how often each group is drawn, float64 (1 + draws, groups); at first once each.

    Args:
        draws: how many there are.
        seed: of them; the third draw is the same whatever their number.
        groups: how many there are.
    """
    times = [
        np.random.default_rng([seed, number]).poisson(1.0, groups).clip(max=_MOST_TIMES)
        for number in range(draws)
    ]
    return np.array([np.ones(groups), *times])


def sketch_rows(
    quantities: RowQuantities,
    weight: np.ndarray,
    group: np.ndarray,
    times: np.ndarray,
    ranks: RankSums,
    bins: int = MAX_BINS,
    drawn_bins: int = DRAWN_BINS,
) -> Sketch:
    """Sketch rows; all ranks call this together, each with its own.

    Args:
        quantities: of this rank's rows.
        weight: float64 (own rows,), 0 or more.
        group: of `assign_groups`.
        times: of `draw_groups`.
        ranks: that sketch together.
        bins, drawn_bins: of scores, about, for all rows and for draws.
    """
    own = np.array([len(weight), np.count_nonzero(weight > 0)], np.int64)
    rows, weighted_rows = ranks.add(own).tolist()
    weighed = {name: values * weight for name, (values, _, _) in quantities.sums.items()}
    own_largest = [float(np.abs(v).max(initial=0.0)) for v in (*weighed.values(), weight)]
    largest = ranks.find_largest(np.array([*own_largest, *quantities.extremes.values()]))
    order = np.argsort(quantities.score)  # rows of one score are in one bin, in any order
    ascending = quantities.score[order]
    divided = divide_scores(ascending, rows, ranks, bins)
    starts = np.searchsorted(ascending, divided.first)
    bin_of_row = np.repeat(np.arange(len(starts)), np.diff([*starts, len(ascending)]))
    side = quantities.positive[order].astype(np.int64)
    weight_unit = float(largest[len(weighed)])
    cells = _add_sums(weight[order], bin_of_row * 2 + side, 2 * len(starts), weight_unit, ranks)
    other, positive = cells.reshape(-1, 2).T
    sums, counts, drawn_sums = {}, {}, {}
    for (name, (_, cell, count)), high in zip(quantities.sums.items(), largest, strict=False):
        sums[name] = _add_sums(weighed[name], cell, count, float(high), ranks)
        counts[name] = ranks.add(_count_cells(cell, count, len(weight)))
        in_group = group * count + (0 if cell is None else cell)
        drawn_sums[name] = _draw_cells(
            weighed[name], in_group, times, count, float(high), rows, ranks
        )
    wide = divided.merge_evenly(drawn_bins)
    wide_bins = int(wide[-1]) + 1
    in_group = group[order] * (2 * wide_bins) + wide[bin_of_row] * 2 + side
    drawn = _draw_cells(weight[order], in_group, times, 2 * wide_bins, weight_unit, rows, ranks)
    drawn = drawn.reshape(len(times), wide_bins, 2)
    begins = np.searchsorted(wide, np.arange(wide_bins))
    ends = np.append(begins[1:], len(wide)) - 1
    return Sketch(
        rows=rows,
        weighted_rows=weighted_rows,
        counts=counts,
        all_rows=SketchSums(sums, other, positive, divided.first, divided.last),
        is_single=divided.is_single,
        draws=SketchSums(
            drawn_sums, drawn[..., 0], drawn[..., 1], divided.first[begins], divided.last[ends]
        ),
        extremes=dict(zip(quantities.extremes, largest[len(weighed) + 1 :].tolist(), strict=True)),
    )


def _add_sums(
    values: np.ndarray, cell: np.ndarray | None, cells: int, largest: float, ranks: RankSums
) -> np.ndarray:
    """Return the sums of all ranks by cell, float64 (cells,)."""
    own = sum_by_cell(values, cell, cells, largest)
    return type(own)(own.unit, ranks.add(own.sums)).to_numbers()


def _count_cells(cell: np.ndarray | None, cells: int, rows: int) -> np.ndarray:
    if cell is None:
        return np.array([rows], np.int64)
    return np.bincount(cell, minlength=cells).astype(np.int64)


def _draw_cells(
    values: np.ndarray,
    cell: np.ndarray,
    times: np.ndarray,
    cells: int,
    largest: float,
    rows: int,
    ranks: RankSums,
) -> np.ndarray:
    """Return the sums of every draw by cell, float64 (draws, cells).

    Args:
        values: of this rank's rows, (own rows,).
        cell: `group * cells + cell` of each row.
        times: how often each group is drawn, (draws, groups).
        cells: of a group.
        largest: absolute value on any rank.
        rows: of all ranks.
        ranks: that draw together.
    """
    unit = choose_draw_unit(largest, rows, _MOST_TIMES)
    groups = times.shape[1]
    by_group = count_units(values, cell, groups * cells, unit).reshape(groups, cells)
    # Whole numbers below 2^53, so that no order of additions changes a bit.
    return ranks.add((times @ by_group).astype(np.int64)) * unit

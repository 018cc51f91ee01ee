"""Counts over bins and labels, worked out by hand."""

import numpy as np
import pytest

from headrace.columns.histogram import (
    NUMBER_BINS,
    HistogramAxis,
    axes_from_json,
    axes_to_json,
    find_with_missing,
    make_empty_axis,
    make_hash_axis,
    make_number_axis,
    make_text_axis,
    merge_equal_bins,
)
from headrace.columns.statistics import NumberSummary


def test_numbers_beyond_the_edges_are_in_the_outer_bins() -> None:
    axis = HistogramAxis("x", edges=(0.0, 1.0, 2.0), shown_edges=(0.0, 10.0, 20.0))
    values = np.array([[-5.0, 0.0], [0.5, 1.0], [2.0, 9.0]], np.float32)
    assert axis.count_values(values).tolist() == [3, 3]
    assert axis.count_unknown(values) == 0


def test_ids_beyond_the_labels_are_others_and_padding_is_left_out() -> None:
    labels = ("padding", "unknown", "a", "other")
    axis = HistogramAxis("x", labels=labels, unknown=(1, 2), padded=True)
    ids = np.array([[0, 1, 2], [7, 0, 3]], np.int32)
    assert axis.count_values(ids).tolist() == [0, 1, 1, 2]
    assert axis.count_unknown(ids) == 1


def test_an_axis_of_numbers_has_room_around_a_constant() -> None:
    axis = make_number_axis("x", NumberSummary.from_numbers(np.full(9, 4.0)), 4.0, 2.0)
    assert (axis.shown_edges[0], axis.shown_edges[-1]) == (3.5, 4.5)
    assert (axis.edges[0], axis.edges[-1]) == (-0.25, 0.25)
    assert len(axis.edges) == NUMBER_BINS + 1
    assert set(axis.quantiles) == {4.0}


def make_tail_axis(center: float = 0.0, scale: float = 1.0) -> HistogramAxis:
    """Return an axis of 0, 1, …, 9 in 99 rows each, and a million in ten."""
    numbers = np.append(np.arange(990) % 10, np.full(10, 1e6))
    return make_number_axis("x", NumberSummary.from_numbers(numbers), center, scale)


def test_a_bin_that_has_most_rows_is_split_between_values() -> None:
    axis = make_tail_axis()
    assert set(np.linspace(0, 1e6, NUMBER_BINS + 1)) <= set(axis.edges)
    assert [e for e in axis.edges if 0 < e < 10] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]
    assert len(axis.edges) == NUMBER_BINS + 1 + 9
    assert axis.count_values(np.array([-1, 0, 1, 1, 8, 9, 9e9]))[:10].tolist() == [
        2, 2, 0, 0, 0, 0, 0, 0, 1, 1
    ]  # fmt: skip


@pytest.mark.parametrize(("center", "scale"), [(0.0, 1.0), (1e4, 1e5), (-3.0, 1e-3)])
def test_split_bins_count_the_same_on_any_scale(center: float, scale: float) -> None:
    axis, plain = make_tail_axis(center, scale), make_tail_axis()
    assert axis.shown_edges == plain.shown_edges
    numbers = np.random.default_rng(1).choice([0.0, 3, 9, 4e5, 1e6, 2e7], 500)
    scaled = ((numbers - center) / scale).astype(np.float32)
    inside = numbers < 1e6  # which is an edge, and may be rounded to either side of it
    counts, others = axis.count_values(scaled[inside]), plain.count_values(numbers[inside])
    assert counts.tolist() == others.tolist()
    assert axis.count_values(scaled).sum() == 500


def test_parts_of_bins_are_merged_for_a_picture() -> None:
    axis = make_tail_axis()
    numbers = np.array([0, 1, 5, 5, 60_000, 1e6])
    edges, counts = merge_equal_bins(axis.shown_edges, axis.count_values(numbers).tolist())
    assert edges == tuple(np.linspace(0, 1e6, NUMBER_BINS + 1).tolist())
    assert counts == [4, 1, *[0] * 17, 1]
    assert merge_equal_bins((0.0, 1.0, 5.0), [2, 3]) == ((0.0, 1.0, 5.0), [2, 3])


@pytest.mark.parametrize("seed", range(20))
def test_splitting_adds_edges_between_the_outer_ones(seed: int) -> None:
    """Whatever the numbers: heavy tails, atoms, constants, two rows, and none."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([0, 1, 2, 10, 300, 5000]))
    numbers = rng.standard_cauchy(count) * 10 ** rng.uniform(-9, 9)
    if rng.random() < 0.5:
        numbers[rng.random(count) < rng.random()] = rng.choice([0.0, -1e30, 7.0])
    axis = make_number_axis("x", NumberSummary.from_numbers(numbers), 0.0, 1.0)
    edges = np.array(axis.edges)
    assert (np.diff(edges) > 0).all()
    equal = np.linspace(edges[0], edges[-1], NUMBER_BINS + 1)
    assert np.isin(equal, edges).all()
    assert len(edges) <= NUMBER_BINS + 1 + 2 * 20
    counts = axis.count_values(numbers)
    assert (counts.sum(), len(counts)) == (count, len(edges) - 1)
    if len(edges) > NUMBER_BINS + 1:
        expected, _ = np.histogram(np.clip(numbers, edges[0], edges[-1]), edges)
        assert counts.tolist() == expected.tolist()
    merged, sums = merge_equal_bins(axis.edges, counts.tolist())
    assert (len(merged), sum(sums)) == (NUMBER_BINS + 1, count)


def test_hashed_ids_are_counted_by_groups() -> None:
    axis = make_hash_axis("x", 100_000)
    assert axis.labels[:2] == ("missing", "hash 1")
    counts = axis.count_values(np.array([0, 1, 16, 17, 33, 100_000], np.int32))
    assert counts.tolist() == [1, 3, *[0] * 14, 2]  # 1, 17 and 33; 16 and 100,000
    small = make_hash_axis("x", 3, padded=True)
    assert small.labels == ("padding", "hash 1", "hash 2", "hash 3")
    assert small.count_values(np.array([[1, 0], [3, 3]], np.int32)).tolist() == [0, 1, 0, 2]
    assert axes_from_json(axes_to_json([axis])) == (axis,)


def test_ids_without_a_label_are_counted_by_groups() -> None:
    axis = make_text_axis("x", ["unknown"], ["a", "b"], 3)
    assert axis.labels == (
        "missing", "unknown", "a", "b", "other 1", "other 2", "other 3",
    )  # fmt: skip
    assert axis.unknown == (1, 2)
    assert axis.count_values(np.arange(7)).tolist() == [1] * 7
    many = make_text_axis("x", [], ["a"], 1000, padded=True)
    assert (len(many.labels), many.labels[:2], many.unknown) == (18, ("padding", "a"), (1, 1))
    assert many.count_values(np.array([0, 1, 2, 18, 3])).tolist() == [0, 1, 2, 1, *[0] * 14]
    for others in (0, 1):
        one = make_text_axis("x", ["unknown"], ["a"], others)
        assert one.labels == ("missing", "unknown", "a", "other")
        assert one.count_values(np.array([3, 4, 9])).tolist() == [0, 0, 0, 3]


def test_columns_whose_missing_values_are_counted_have_a_label_for_them() -> None:
    axes = [
        make_text_axis("v", ["unknown"], [], 0), make_hash_axis("h", 9), make_empty_axis("t"),
        make_text_axis("t", ["unknown"], ["a"], 5, padded=True),
        HistogramAxis("old", labels=("missing", "present"), padded=True),
        make_number_axis("n", NumberSummary.from_numbers(np.ones(3)), 0.0, 1.0),
    ]  # fmt: skip
    assert find_with_missing({axis.name: axis.labels for axis in axes}) == {"v", "h", "t"}


def test_axes_survive_json() -> None:
    axes = (
        HistogramAxis("x", edges=(0.1, 0.2), shown_edges=(1.0, 2.0), quantiles=(1.5,)),
        HistogramAxis("y", labels=("missing", "a"), unknown=(1, 2)),
    )
    assert axes_from_json(axes_to_json(axes)) == axes


def test_rows_without_ids_are_counted_by_rows() -> None:
    axis = make_empty_axis("t")
    assert (axis.name, axis.column) == ("t is empty", "t")
    ids = np.array([[0, 0, 0], [2, 0, 0], [0, 0, 1]], np.int32)
    assert axis.count_values(ids).tolist() == [1, 2]
    assert axis.count_values(np.zeros((0, 3), np.int32)).tolist() == [0, 0]
    assert axis.count_unknown(ids) == 0
    assert HistogramAxis("x", labels=("a",)).column == "x"
    assert axes_from_json(axes_to_json([axis])) == (axis,)

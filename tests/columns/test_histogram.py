"""Counts over bins and labels, worked out by hand."""

import numpy as np

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

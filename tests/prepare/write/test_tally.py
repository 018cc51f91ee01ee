"""What is counted of a data file."""

import numpy as np

from headrace.columns.histogram import HistogramAxis
from headrace.columns.statistics import NumberSummary
from headrace.features.scaled import StandardizeSection
from headrace.prepare.write.tally import build_empty_profile, count_file, list_axes
from headrace.transform.fit import FitInputs
from headrace.transform.summaries import LABEL_KEY

X = HistogramAxis("x", edges=(0.0, 1.0, 2.0), shown_edges=(10.0, 20.0, 30.0))
W = HistogramAxis("w", labels=("missing", "unknown", "a", "other"), unknown=(1, 2))


def test_a_file_is_counted_by_bins_and_labels() -> None:
    label = HistogramAxis("label", edges=(-0.5, 0.5, 1.5))
    columns = {
        "x": np.array([-3.0, 0.5, 1.5, 9.0], np.float32),  # the outer bins take what is beyond
        "w": np.array([0, 1, 2, 77], np.int32),
        "label": np.array([0, 1, 1, 1], np.float32),
    }
    tally = count_file("a.parquet", columns, (X, W, label), {"x": 3})
    assert tally.path == "a.parquet"
    assert {name: counts.tolist() for name, counts in tally.counts.items()} == {
        "x": [2, 2],
        "w": [1, 1, 1, 1],
        "label": [1, 3],
    }
    assert tally.unknown == {"x": 0, "w": 1, "label": 0}
    assert tally.missing == {"x": 3}


def test_of_several_labels_a_row_each_is_counted() -> None:
    axis = HistogramAxis("label", labels=("(none)", "wet", "windy", "other"))
    label = np.array([[1, 1], [0, 0], [0, 1]], np.float32)
    tally = count_file("a.parquet", {"label": label}, (axis,), {})
    assert tally.counts["label"].tolist() == [1, 1, 2, 0]


def test_an_empty_profile_has_every_column_and_no_row() -> None:
    profile = build_empty_profile((X, W), {"x": "real"})
    x, w = profile.distributions
    assert (x.kind, x.edges, x.counts) == (
        "numbers", (10.0, 20.0, 30.0), {"train": (0, 0), "validation": (0, 0), "test": (0, 0)},
    )  # fmt: skip
    assert (w.kind, w.labels, w.unknown) == (
        "ids", W.labels, {"train": 0, "validation": 0, "test": 0},
    )  # fmt: skip
    assert [(c.name, c.kind) for c in profile.columns] == [("x", "real")]
    counted = count_file(
        "a", {"x": np.array([0.5]), "w": np.array([2]), "label": np.zeros(1)}, (X, W), {"x": 1}
    )
    filled = profile.sum_tallies([("test", counted)], ())
    assert filled.distributions[0].counts["test"] == (1, 0)
    assert filled.columns[0].missing == {"train": 0, "validation": 0, "test": 1}


def test_axes_are_of_all_features_and_the_label_comes_last() -> None:
    fit_inputs = FitInputs({"x": "real"}, {}, {"x": StandardizeSection(kind="standardize")})
    numbers = NumberSummary.from_numbers(np.array([1.0, 3.0]))
    (key,) = fit_inputs.collect_summary_requests()
    statistics = {key: numbers, LABEL_KEY: NumberSummary.from_numbers(np.array([0.0, 1.0]))}
    axes = list_axes(fit_inputs.fit_spec(statistics, set()), fit_inputs, statistics)
    assert [axis.name for axis in axes] == ["x", "label"]
    low, high = axes[0].shown_edges[0], axes[0].shown_edges[-1]
    assert 0.9 < low < high < 3.1
    # mean 2, standard deviation 1
    assert axes[0].edges[0] == low - 2.0

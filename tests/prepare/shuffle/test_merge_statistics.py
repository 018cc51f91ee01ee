"""What tasks collected, merged: one result for each variable, trimmed to what features need."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.columns.values import read_column
from headrace.features.vocabulary import VocabularySection
from headrace.prepare.shuffle import count_limits
from headrace.prepare.shuffle.arrow_blobs import COUNTS, NUMBERS, TEXTS, BlobBuilder, read_blobs
from headrace.prepare.shuffle.count_limits import CombinedLimits, find_count_limits
from headrace.prepare.shuffle.merge_statistics import MergePlan, _build_merge, choose_most_bins
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.transform.fit import FitInputs
from headrace.transform.summaries import collect_summary_requests


def counts_of(words: str) -> TextCounts:
    """Counts of one-letter words."""
    return TextCounts.from_values(read_column(pa.array(list(words)), "string"))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (CombinedLimits((1,), None), [("a", 3), ("b", 2), ("c", 2), ("d", 1)]),
        (CombinedLimits((2,), None), [("a", 3), ("b", 2), ("c", 2)]),
        (CombinedLimits((1,), 2), [("a", 3), ("b", 2)]),
        (CombinedLimits((), None, needs_top=True), [("a", 3)]),
        (CombinedLimits((9,), None), [("a", 3)]),  # it may stand for missing values
    ],
)
def test_counts_are_trimmed(limits: CombinedLimits, expected: list[tuple[str, int]]) -> None:
    assert limits.trim_counts(counts_of("aaabbccd")).list_most_frequent() == expected


def test_limits_are_those_of_all_features_that_read_a_variable() -> None:
    features = {
        "word": VocabularySection(kind="vocabulary", min_count=5, max_size=10),
        "often": VocabularySection(kind="vocabulary", column="word", min_count=2, max_size=100),
        "other": VocabularySection(kind="vocabulary"),
    }
    fit_inputs = FitInputs({"word": "string", "other": "string"}, {}, features)
    (word,) = collect_summary_requests({"word": features["word"]})
    (other,) = collect_summary_requests({"other": features["other"]})
    assert find_count_limits(fit_inputs) == {
        word: CombinedLimits((2, 5), 100),
        other: CombinedLimits((1,), None),
    }


@pytest.mark.parametrize("columns", [10, 20, 40])
def test_every_feature_is_asked_for_its_summaries_once(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def collect(features: dict[str, Any]) -> dict[str, Any]:
        asked.extend(features)
        return collect_summary_requests(features)

    monkeypatch.setattr(count_limits, "collect_summary_requests", collect)
    features = {f"x{i}": VocabularySection(kind="vocabulary") for i in range(columns)}
    limits = find_count_limits(FitInputs(dict.fromkeys(features, "string"), {}, features))
    assert len(limits) == len(asked) == columns


def test_blobs_of_a_variable_are_merged_though_batches_end_anywhere() -> None:
    one, other = TaskCounts(), TaskCounts()
    one.buckets[0, 0], other.buckets[0, 0] = 3, 4
    rows = [
        (COUNTS, "", 0, one.to_bytes()),
        (COUNTS, "", 5, other.to_bytes()),
        (TEXTS, "word", 0, counts_of("aab").to_bytes()),
        (NUMBERS, "x", 0, NumberSummary.from_numbers(pa.array([1.0, 3.0]).to_numpy()).to_bytes()),
        (TEXTS, "word", 1, counts_of("abb").to_bytes()),
        (NUMBERS, "x", 1, NumberSummary.from_numbers(pa.array([5.0]).to_numpy()).to_bytes()),
    ]
    rows.sort(key=lambda row: row[1])
    batches = [BlobBuilder.from_blobs(rows[begin : begin + 2]).build_batch() for begin in (0, 2, 4)]
    merge = _build_merge(MergePlan({"word": CombinedLimits((1,), 1)}, 1_000_000, 1024))
    merged = {
        (kind, name): blob.to_pybytes()
        for batch in merge(batches)
        for kind, name, _, blob in read_blobs(batch)
    }
    assert TaskCounts.from_bytes(merged[COUNTS, ""]).buckets == {(0, 0): 7}
    assert TextCounts.from_bytes(merged[TEXTS, "word"]).list_most_frequent() == [("a", 3)]
    x = NumberSummary.from_bytes(merged[NUMBERS, "x"])
    assert (x.rows, x.compute_moments()[0], x.find_limits()) == (3, 3.0, (1.0, 5.0))


@pytest.mark.parametrize(
    ("summaries", "expected"),
    [
        (0, 6_710_886),
        (100, 67_108),  # more than a merge ever holds: of a hundred columns nothing is joined
        (2_000, 3_355),
        (1_000_000, 1_024),  # as many as one task has
    ],
)
def test_the_driver_receives_so_many_bytes_of_numbers(summaries: int, expected: int) -> None:
    assert choose_most_bins(summaries) == expected

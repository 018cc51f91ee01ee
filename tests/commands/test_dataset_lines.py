"""Lines for people about a dataset's versions, with values worked out by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from headrace.commands import dataset_lines
from headrace.lake import DatasetVersion, Ledger
from headrace.lake.compare import ColumnStatistics, Comparison
from headrace.lake.data_statistics import (
    Alert,
    ColumnSummary,
    DataStatistics,
    DistinctEstimate,
    QuantileEstimate,
)
from headrace.lake.drift import ColumnDrift
from headrace.lake.history import VersionEntry, VersionSummary
from headrace.lake.profile import Distribution, Profile
from headrace.lake.source_partition import SourceFile, SourcePartition
from headrace.lake.vacuum import VacuumResult
from headrace.stream.shuffle import ShuffleQuality
from tests.commands.stage_outcomes import build_dataset

COMMITTED = datetime(2026, 11, 24, 4, 30, 5, tzinfo=UTC)
EMPTY = Ledger(read=0, published={}, quarantined={}, duplicates=0, filtered={})


def drift(name: str, value: float, limit: float = 0.2) -> ColumnDrift:
    return ColumnDrift(name=name, measure="psi", value=value, limit=limit, rows=90)


def test_a_line_per_version_with_what_it_is() -> None:
    summary = VersionSummary("tiny", "0.1.0", "0123456789ab", {"train": 1000, "test": 234}, True)
    whole = replace(summary, git_commit=None, is_incremental=False)
    lines = dataset_lines.format_versions(
        [
            VersionEntry(0, COMMITTED, "b0", whole),
            VersionEntry(1, COMMITTED, "b1", summary),
            VersionEntry(2, COMMITTED, "b2", None),
            VersionEntry(3, COMMITTED, "b3", None, "no such file"),
            VersionEntry(4, COMMITTED, None, None),
        ]
    )
    assert [" ".join(line.split()) for line in lines] == [
        "version committed (UTC) build rows recipe, code, what it is",
        "0 2026-11-24 04:30:05 b0 1,234 tiny, 0.1.0, all rows",
        "1 2026-11-24 04:30:05 b1 1,234 tiny, 0.1.0 0123456, increment",
        "2 2026-11-24 04:30:05 b2 removed",
        "3 2026-11-24 04:30:05 b3 cannot be read",
        "4 2026-11-24 04:30:05 not by Headrace",
    ]
    # The columns stand below each other.
    assert {line.index(word) for line, word in zip(lines, ("recipe", "tiny", "tiny"))} == {70}  # noqa: B905


def test_shuffle_quality_stands_beside_a_full_permutation() -> None:
    settings = {
        "shuffle": True, "global_batch_size": 4096, "canonical_shards": 8, "block_rows": 20000,
        "seed": 3,
    }  # fmt: skip
    quality = ShuffleQuality(
        rows=1000, distance=0.25, distance_full=0.29, same_row_group=0.01,
        same_row_group_full=0.005, row_groups_a_batch=7.25, row_groups_a_batch_full=9.0, drift=0.5,
    )  # fmt: skip
    assert dataset_lines.format_shuffle_quality(settings, quality) == [
        "Shuffle of the train rows, first epoch, 1,000 rows measured",
        "  shuffled, batches of 4,096, 8 shards, blocks of 20,000 rows, seed 3",
        "                                              this    full permutation",
        "  median distance of neighbours               0.25                0.29",
        "  neighbours of one row group                 0.01               0.005",
        "  row groups per batch                        7.25                   9",
        "  correlation with the dataset's order         0.5                   0",
    ]


def build_increment(partitions: int) -> DatasetVersion:
    """Return a version of an increment that processed the first of its source partitions."""
    dataset = build_dataset()
    ledger = Ledger(
        read=7, published={"train": 5, "test": 1}, quarantined={}, duplicates=1, filtered={}
    )
    file = SourceFile(path="a", bytes=1500, changed="1")
    update = {
        "partitions": tuple(
            SourcePartition(
                name=f"day={number:02}", build_id="b2" if number else "b3", files=(file, file),
                ledger=ledger,
            )
            for number in range(partitions)
        ),
        "transform_of": "b1",
        "git_commit": "0123456789abcdef",
        "sources": {"visits": {"path": "/lake/visits", "rows": 1234}},
    }  # fmt: skip
    dataset = replace(dataset, build=dataset.build.model_copy(update=update))
    numbers = Distribution(
        name="amount", kind="numbers", edges=(0.0, 10.0, 20.0), counts={"train": (50, 50)}
    )
    label = Distribution(name="label", kind="ids", labels=("0", "1"), counts={"train": (75, 25)})
    profile = Profile(columns=(), distributions=(numbers, label), rules=())
    vars(dataset)["profile"] = profile  # cached properties that would read files
    vars(dataset)["statistics"] = None
    return dataset


def test_one_version_in_full() -> None:
    lines = dataset_lines.format_dataset(build_increment(2))
    assert lines[0] == (
        "Version 3: build b3 of 2026-01-01T00:00:00+00:00, Headrace 0.1.0, commit 0123456789ab"
    )
    assert lines[1] == "  transform d, fitted by build b1"
    assert lines.count("  rows read                            100") == 1  # of the version
    assert lines.count("  rows read                              7") == 1  # of the build
    assert [" ".join(line.split()) for line in lines if "day=" in line] == [
        "day=00 2 files 3,000 bytes 7 rows read 6 published",
        "day=01 2 files 3,000 bytes 7 rows read 6 published, by build b2",
    ]
    assert "  visits: /lake/visits, 1,234 rows read by this build" in lines
    assert "Drift of this build's rows: 1 of 2 measures above their limits" in lines
    assert [" ".join(line.split()) for line in lines[-3:]] == [
        "Columns, all splits (about 1, 50, 99% quantiles before scaling, from bins: this version "
        "has no statistics of rows; `headrace prepare --full` adds them)",
        "amount 100 values 0.2, 10, 19.8",
        "label 100 values true 25%",
    ]


def describe(sampled: int, error: float) -> DataStatistics:
    """Return statistics of 100 rows of which so many are sampled."""
    quantiles = tuple(
        QuantileEstimate(share=share, value=0.0, low=0.0, high=0.0) for share in (0.01, 0.5, 0.99)
    )
    splits = {"train": 80, "validation": 10, "test": 5}
    column = ColumnSummary(
        name="amount", kind="real", values=splits, missing={**splits, "train": 0, "test": 0},
        zeros=94, mean=0.25, low=0.0, high=31.0, quantiles=quantiles, sampled=sampled,
        rank_error=error, distinct=DistinctEstimate(low=2, estimate=2, high=2 if not error else 9),
    )  # fmt: skip
    alert = Alert(severity="high", column="amount", kind="missing", sentence="Why.", figures={})
    return DataStatistics(
        scope="version", rows={"train": 80, "validation": 20, "test": 5}, sampled_rows=sampled,
        exact_up_to=105, confidence=0.99, columns=(column,), alerts=(alert,),
    )  # fmt: skip


@pytest.mark.parametrize("sampled", [105, 50])
def test_statistics_of_columns_say_how_exact_they_are(sampled: int) -> None:
    dataset = build_increment(2)
    vars(dataset)["statistics"] = describe(sampled, 0.0 if sampled == 105 else 0.1)
    lines = [" ".join(line.split()) for line in dataset_lines.format_dataset(dataset)]
    start = lines.index("Alerts: 1")
    assert lines[start + 1] == "high amount, missing: Why."
    if sampled == 105:
        assert lines[start + 2].endswith("(1, 50, 99% quantiles of all 105 rows)")
        count = "2 distinct"
    else:
        assert "ranks are off by 10% at most, in 99% of cases" in lines[start + 2]
        count = "at least 2 distinct"
    facts = "amount 95 values 0, 0, 0 mean 0.25 zero 98.9% missing 9.52%"
    assert lines[start + 3] == f"{facts} {count}"
    assert lines[start + 4] == "Dataset columns, all splits (about 1, 50, 99% quantiles, from bins)"
    assert lines[start + 5] == "amount 100 values"  # not 0.2, 10, 19.8


def test_times_are_dates() -> None:
    assert dataset_lines.format_value(1_700_000_000_000_000, "timestamp") == "2023-11-14 22:13:20"
    assert dataset_lines.format_value(-(2.0**62), "timestamp") == "-4.612e18"
    assert dataset_lines.format_value(0.5, "real") == "0.5"


def test_many_source_partitions_are_truncated() -> None:
    lines = dataset_lines.format_dataset(build_increment(20))
    assert sum("day=" in line for line in lines) == 12
    assert "  and 8 more (--json lists all)" in lines


def compare(**differences: object) -> Comparison:
    nothing = Comparison(
        columns={}, rows={}, files=(0, 0, 0), same_rows=False,
        partitions={"added": [], "removed": [], "changed": []}, same_transform=True,
        statistics={}, described=(None, None), raw_columns=(), drift=(), other_bins=(),
    )  # fmt: skip
    return replace(nothing, **differences)  # type: ignore[arg-type]


def test_versions_without_differences() -> None:
    assert dataset_lines.format_comparison(compare(), 3, 4) == [
        "Version 3 to version 4",
        "  data files: 0 in both, 0 removed, 0 added",
        "  the same transform",
        "Columns, all splits (about 1, 50, 99% quantiles before scaling, from bins: they have no "
        "statistics of rows; `headrace prepare --full` adds them)",
    ]


def test_versions_that_differ_in_everything() -> None:
    before = ColumnStatistics(100, (0.0, 1.0, 2.0), None, None)
    after = ColumnStatistics(90, (), 0.125, 0.5, 0.25)
    comparison = compare(
        columns={"a": ("float", "integer"), "b": ("float", None), "c": (None, "string")},
        rows={"train": (1000, 900)},
        files=(3, 2, 1),
        partitions={
            "added": ["day=3"], "removed": [""], "changed": [f"{n}" for n in range(14)],
        },
        same_transform=False,
        statistics={"a": (before, after), "d": (before, before)},
        described=(None, describe(105, 0.0)),
        drift=(drift("far", 0.9), drift("farther", 0.4, 0.04), drift("near", 0.1)),
        other_bins=("a", "e"),
    )  # fmt: skip
    lines = dataset_lines.format_comparison(comparison, 3, 4)
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "train 1,000 rows 900 rows -100",
        "data files: 3 in both, 2 removed, 1 added",
        "source partitions added: day=3",
        "source partitions removed: the whole table",
        "source partitions changed: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more",
        "column a is integer, was float",
        "column b removed, float",
        "column c added, string",
        "another transform",
        "Columns, all splits (about 1, 50, 99% quantiles before scaling, from bins: version 3 has "
        "no statistics of rows; `headrace prepare --full` adds them)",
        "a 100 values 0, 1, 2",
        "> 90 values true 25% missing 12.5% out of vocabulary 50%",
        "d 100 values 0, 1, 2",
        "Values: 2 of 3 measures above their limits",
        "farther psi 0.4 limit 0.04",  # ten times its limit
        "far psi 0.9 limit 0.2",
        "not compared, because they were fitted on other rows: a, e",
    ]


def test_raw_columns_of_two_versions_stand_below_each_other() -> None:
    exact, sampled = describe(105, 0.0), describe(50, 0.1)
    (before,), (after,) = exact.columns, sampled.columns
    gone, new = (before.model_copy(update={"name": name}) for name in ("gone", "new"))
    comparison = compare(
        described=(exact, sampled),
        raw_columns=((before, after), (before, before), (gone, None), (None, new)),
        statistics={"amount": (ColumnStatistics(100, (0.0, 0.0, 0.0), None, None),) * 2},
    )
    lines = dataset_lines.format_comparison(comparison, 3, 4)
    facts = "95 values 0, 0, 0 mean 0.25 zero 98.9% missing 9.52%"
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "Columns before the transform (1, 50, 99% quantiles)",
        "version 3: of all 105 rows",
        "version 4: of 50 of 105 rows: ranks are off by 10% at most, in 99% of cases; counts and "
        "mean are exact",
        f"amount {facts} 2 distinct",
        f"> {facts} at least 2 distinct",
        f"amount {facts} 2 distinct",
        f"gone {facts} 2 distinct",
        "> removed",
        "new added",
        f"> {facts} 2 distinct",
        "Dataset columns, all splits (about 1, 50, 99% quantiles, from bins)",
        "amount 100 values",
    ]


@pytest.mark.parametrize(
    ("removed", "outcome"), [(True, "removed"), (False, "would be removed (--yes does it)")]
)
def test_vacuumed_files(removed: bool, outcome: str) -> None:
    result = VacuumResult(
        versions=(0, 1), leftovers=("b7",), files=tuple(f"{n}" for n in range(1200)), bytes=5000
    )
    assert dataset_lines.format_vacuum(result, removed) == [
        f"1,200 files, 5,000 bytes {outcome}",
        "  versions that can no longer be read: 0, 1",
        "  dead builds: b7",
    ]
    nothing = VacuumResult(versions=(), leftovers=(), files=(), bytes=0)
    assert dataset_lines.format_vacuum(nothing, removed) == [f"0 files, 0 bytes {outcome}"]

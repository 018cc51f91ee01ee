"""Two versions side by side: columns, rows, files, source partitions, and how far values moved."""

import math
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.lake import DatasetVersion, publish_build
from headrace.lake.compare import ColumnStatistics, compare_versions
from headrace.lake.data_statistics import (
    LABEL_KIND,
    ColumnSummary,
    DataStatistics,
    QuantileEstimate,
)
from headrace.lake.profile import Distribution, Profile, RawColumnProfile
from headrace.lake.source_partition import SourceFile, SourcePartition
from tests.lake.building import SCHEMA, make_build, make_ledger

WIDER = SCHEMA.append(pa.field("new", pa.string()))


def make_numbers(*counts: int, edges: tuple[float, ...] = (0, 1, 2)) -> Distribution:
    return Distribution(name="x", kind="numbers", edges=edges, counts={"train": counts})


def make_ids(counts: tuple[int, ...], unknown: int) -> Distribution:
    return Distribution(
        name="shop", kind="ids", labels=("missing", "unknown", "a"),
        counts={"train": counts}, unknown={"train": unknown},
    )  # fmt: skip


def publish(
    root: Path,
    build_id: str,
    rows: int,
    *distributions: Distribution,
    schema: pa.Schema = SCHEMA,
    transform: str = "{}",
) -> DatasetVersion:
    profile = Profile(columns=(), distributions=distributions, rules=())
    build = make_build(root, build_id, rows, transform=transform)
    publish_build(str(root), build, schema, transform, {"profile.json": profile.model_dump_json()})
    return DatasetVersion.open(str(root))


def test_a_version_is_equal_to_itself(tmp_path: Path) -> None:
    version = publish(tmp_path, "one", 10, make_numbers(5, 5))
    same = compare_versions(version, version)
    assert (same.columns, same.files, same.same_transform) == ({}, (1, 0, 0), True)
    assert same.rows == {"train": (10, 10), "validation": (0, 0), "test": (0, 0)}
    assert [drift.value for drift in same.drift] == [0.0]


def test_columns_rows_and_files_are_compared(tmp_path: Path) -> None:
    first = publish(tmp_path / "a", "one", 10)
    second = publish(tmp_path / "b", "two", 7, schema=WIDER, transform='{"other": 1}')
    found = compare_versions(first, second)
    assert found.columns == {"new": (None, "string")}
    assert compare_versions(second, first).columns == {"new": ("string", None)}
    assert found.rows["train"] == (10, 7)
    assert found.files == (0, 1, 1)
    assert not found.same_transform


def test_values_that_moved_have_a_distance(tmp_path: Path) -> None:
    first = publish(
        tmp_path / "a", "one", 1, make_numbers(50_000, 50_000), make_ids((0, 10, 99_990), 10)
    )
    second = publish(
        tmp_path / "b",
        "two",
        1,
        make_numbers(90_000, 10_000),
        make_ids((0, 30_010, 69_990), 30_010),
    )
    found = compare_versions(first, second)
    psi, distance, unknown = found.drift
    assert (psi.name, psi.measure, psi.limit) == ("x", "psi", 0.2)
    assert psi.value == pytest.approx(0.4 * math.log(1.8) - 0.4 * math.log(0.2), rel=1e-4)
    assert (distance.measure, distance.limit) == ("l_infinity", 0.1)
    assert distance.value == pytest.approx(0.3)
    assert (unknown.measure, unknown.limit) == ("unknown_share", 0.05)
    assert unknown.value == pytest.approx(0.3)
    before, after = found.statistics["shop"]
    assert (before.missing, before.unknown) == (0, 1e-4)
    assert (after.missing, after.unknown) == (0, pytest.approx(0.3001))
    assert found.other_bins == ()


def test_other_bins_have_no_distance(tmp_path: Path) -> None:
    first = publish(tmp_path / "a", "one", 1, make_numbers(5, 5))
    second = publish(tmp_path / "b", "two", 1, make_numbers(5, 5, edges=(0, 1, 3)))
    found = compare_versions(first, second)
    assert (found.drift, found.other_bins) == ((), ("x",))
    assert set(found.statistics) == {"x"}


def make_partition(name: str, changed: str = "1") -> SourcePartition:
    file = SourceFile(path=f"{name}/a.parquet", bytes=9, changed=changed)
    return SourcePartition(name=name, build_id="b", files=(file,), ledger=make_ledger(1))


def test_source_partitions_are_added_removed_or_changed(tmp_path: Path) -> None:
    old = tuple(map(make_partition, ("day=1", "day=2", "day=3")))
    new = (make_partition("day=2"), make_partition("day=3", "2"), make_partition("day=4"))
    one = DatasetVersion(
        "a", 0, make_build(tmp_path, "a").model_copy(update={"partitions": old}), ""
    )
    two = DatasetVersion(
        "b", 0, make_build(tmp_path, "b").model_copy(update={"partitions": new}), ""
    )
    for version in (one, two):
        version.__dict__["profile"] = Profile(columns=(), distributions=(), rules=())
        version.__dict__["column_types"] = {}
    assert compare_versions(one, two).partitions == {
        "added": ["day=4"], "removed": ["day=1"], "changed": ["day=3"],
    }  # fmt: skip


def test_statistics_of_a_number_a_label_and_no_values() -> None:
    numbers = ColumnStatistics.from_distribution(make_numbers(50, 50), "binary")
    assert numbers == ColumnStatistics(100, (0.02, 1.0, 1.98), None, None)
    label = Distribution(name="label", kind="numbers", edges=(0, 1, 2), counts={"train": (30, 10)})
    assert ColumnStatistics.from_distribution(label, "binary").positive == 0.25
    assert ColumnStatistics.from_distribution(label, "regression").positive is None
    empty = make_numbers(0, 0)
    assert ColumnStatistics.from_distribution(empty, "binary") == ColumnStatistics(
        0, (), None, None
    )


def describe(*columns: ColumnSummary) -> DataStatistics:
    return DataStatistics(
        scope="version", rows={"train": 10}, sampled_rows=10, exact_up_to=10, confidence=0.99,
        columns=columns,
    )  # fmt: skip


def summarize_number(name: str, value: float, kind: str = "real") -> ColumnSummary:
    return ColumnSummary(
        name=name, kind=kind, values={"train": 10}, missing={"train": 0},
        quantiles=tuple(
            QuantileEstimate(share=share, value=value, low=value, high=value)
            for share in (0.01, 0.5, 0.99)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("described", [(True, True), (True, False), (False, False)])
def test_true_quantiles_replace_those_of_bins(tmp_path: Path, described: tuple[bool, bool]) -> None:
    # 99 zeros and a one lie in the bin 0 to 1, whose middle is shown where nothing better is known.
    first, second = (publish(tmp_path / n, n, 10, make_numbers(10, 0)) for n in ("a", "b"))
    label, twin = summarize_number("label", 7.0, LABEL_KIND), summarize_number("label", 8.0)
    statistics = describe(summarize_number("x", 0.0), label, twin, summarize_number("old", 1.0))
    other = describe(summarize_number("new", 1.0), twin, summarize_number("x", 3.0), label)
    vars(first)["statistics"] = statistics if described[0] else None
    vars(second)["statistics"] = other if described[1] else None
    found = compare_versions(first, second)
    before, after = found.statistics["x"]
    estimates = (0.01, 0.5, 0.99)  # of rows that lie evenly in the bin from 0 to 1
    assert before.quantiles == ((0.0,) * 3 if described[0] else pytest.approx(estimates))
    assert after.quantiles == ((3.0,) * 3 if described[1] else pytest.approx(estimates))
    if not all(described):
        assert found.raw_columns == ()
        return
    # A raw column with the label's name is another column than the label.
    assert [
        tuple(column and (column.kind, column.name, column.quantiles[0].value) for column in both)
        for both in found.raw_columns
    ] == [
        (("real", "x", 0.0), ("real", "x", 3.0)),
        ((LABEL_KIND, "label", 7.0), (LABEL_KIND, "label", 7.0)),
        (("real", "label", 8.0), ("real", "label", 8.0)),
        (("real", "old", 1.0), None),
        (None, ("real", "new", 1.0)),
    ]


def test_values_that_are_missing_are_compared(tmp_path: Path) -> None:
    versions = []
    for name, missing in (("a", 0), ("b", 900)):
        column = RawColumnProfile(name="x", kind="real", missing={"train": missing})
        profile = Profile(columns=(column,), distributions=(make_numbers(1000, 0),), rules=())
        build = make_build(tmp_path / name, name, 1000)
        files = {"profile.json": profile.model_dump_json()}
        publish_build(str(tmp_path / name), build, SCHEMA, "{}", files)
        versions.append(DatasetVersion.open(str(tmp_path / name)))
    found = {drift.name: drift for drift in compare_versions(*versions).drift}
    assert not found["x"].has_drifted
    assert found["x is missing"].value == pytest.approx(0.9)
    assert found["x is missing"].has_drifted

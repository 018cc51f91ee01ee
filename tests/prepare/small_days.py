"""Publish datasets of many small source partitions without Spark, in files as builds write them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.features.scaled import StandardizeSection
from headrace.lake import DatasetVersion, Ledger, publish_build
from headrace.lake.build import Build
from headrace.lake.data_file import SPLITS, DataFile
from headrace.lake.part_path import make_part_path
from headrace.lake.profile import Distribution, FileTally, Profile, RawColumnProfile
from headrace.lake.source_partition import SourcePartition
from headrace.lake.transform_file import compute_transform_digest
from headrace.prepare.optimize import Optimized, optimize_dataset
from headrace.prepare.version_profile import build_version_profile
from headrace.prepare.write.parquet_file import write_data_file
from headrace.prepare.write.rewrite import retain_files
from headrace.prepare.write.schema import build_file_schema
from headrace.progress import ignore_progress
from headrace.transform.spec import TransformSpec
from tests.fitting import fit_table

Rows = Mapping[str, Mapping[str, list[int]]]
"""Source partition -> split -> row ids."""
SPEC: TransformSpec = fit_table(
    pa.table({"x": [1.0, 2.0, 3.0], "label": [True, False, True]}),
    {"x": "real"},
    {"x": StandardizeSection(kind="standardize")},
)
PASSTHROUGH = {"word": "string", "size": "real"}
EMPTY = Profile(
    columns=(RawColumnProfile(name="x", kind="real", missing=dict.fromkeys(SPLITS, 0)),),
    distributions=(
        Distribution(name="x", kind="ids", labels=("even", "odd"),
                     counts=dict.fromkeys(SPLITS, (0, 0)), unknown=dict.fromkeys(SPLITS, 0)),
    ),
    rules=(),
)  # fmt: skip


NOW = datetime(2026, 12, 1, tzinfo=UTC)


def make_id(night: int) -> str:
    """Return the id of a night's build: of January 2026, a night a day."""
    return f"2026{1 + night // 28:02d}{1 + night % 28:02d}T000000-{night:08x}"


def write_file(
    root: Path, build_id: str, partition: str, split: str, ids: list[int], number: int
) -> tuple[DataFile, FileTally]:
    """Write a file of a build; all values follow from the row ids."""
    row_ids = np.array(ids, np.int64)
    feature = SPEC.inputs["numeric"].columns[0]
    columns: dict[str, Any] = {
        "row_id": row_ids,
        feature: (row_ids / 7).astype(np.float32),
        "label": (row_ids % 2).astype(np.float32),
        "kept_word": pa.chunked_array([[None if i % 3 else f"é{i}" for i in ids]], pa.string()),
        "kept_size": pa.chunked_array([[float("nan") if i % 5 else i / 2 for i in ids]]),
    }
    path = make_part_path(split, build_id, number, 0)
    file = write_data_file(
        columns, build_file_schema(SPEC, PASSTHROUGH), trained_on=build_file_schema(SPEC).names,
        rows_per_row_group=4, root=str(root), path=path, split=split, partition=partition,
    )  # fmt: skip
    odd = int((row_ids % 2).sum())
    return file, FileTally(path, {"x": np.array([len(ids) - odd, odd])}, {"x": odd}, {"x": ids[0]})


def publish_night(
    root: Path,
    night: int,
    rows: Rows,
    *,
    removed: Iterable[str] = (),
    rows_per_file: int = 20,
    rows_per_row_group: int = 6,
) -> DatasetVersion:
    """Process some source partitions on the newest version, as a build does.

    Args:
        root: of the dataset.
        night: number of the build.
        rows: of the partitions.
        removed: partitions that go.
        rows_per_file, rows_per_row_group: of the recipe.
    """
    base = DatasetVersion.open(str(root)) if (root / "_delta_log").exists() else None
    build_id = make_id(night)
    old = base.build if base else None
    retained = {p.name for p in (old.partitions if old else ())} - {*rows, *removed}
    files: list[DataFile] = []
    tallies: list[FileTally] = []
    partitions = [p for p in (old.partitions if old else ()) if p.name in retained]
    for number, (name, by_split) in enumerate(rows.items()):
        for split, ids in by_split.items():
            if ids:
                file, tally = write_file(root, build_id, name, split, ids, number)
                files.append(file)
                tallies.append(tally)
        counts = {split: len(by_split.get(split, [])) for split in SPLITS}
        ledger = Ledger(
            read=sum(counts.values()), published=counts, quarantined={}, duplicates=0, filtered={}
        )
        partitions.append(SourcePartition(name=name, build_id=build_id, files=(), ledger=ledger))
    partitions.sort(key=lambda partition: partition.name)
    if base:
        files += retain_files(base, retained, build_id, ignore_progress)
    transform_json = SPEC.to_json()
    dataset = {
        "path": str(root),
        "rows_per_file": rows_per_file,
        "rows_per_row_group": rows_per_row_group,
    }
    build = Build(
        build_id=build_id, created_at="2026-01-01T00:00:00+00:00", headrace_version="0",
        recipe={"name": "small", "dataset": dataset}, sources={},
        ledger=Ledger.merge_ledgers(p.ledger for p in partitions),
        files=tuple(sorted(files, key=lambda file: file.path)), label_kind="binary",
        transform_digest=compute_transform_digest(transform_json),
        transform_of=(old.transform_of or old.build_id) if old else None,
        base=base.version if base else None, partitions=tuple(partitions), kept=PASSTHROUGH,
    )  # fmt: skip
    texts: dict[str, str | bytes] = {
        "profile.json": EMPTY.sum_tallies(
            [(split, t) for t in tallies for split in SPLITS if f"split={split}/" in t.path], ()
        ).model_dump_json(),
        "tallies.parquet": FileTally.write_tallies(tallies),
    }
    if base:
        texts |= build_version_profile(base, build, FileTally.write_tallies(tallies), ())
    schema = build_file_schema(SPEC, PASSTHROUGH)
    version = publish_build(str(root), build, schema, transform_json, texts, like=old)
    return DatasetVersion.open(str(root), version)


def read_table(dataset: DatasetVersion, split: str) -> pa.Table:
    """Read a split with all columns, in the canonical order."""
    names = build_file_schema(SPEC, PASSTHROUGH).names
    return dataset.read_columns(split, names)  # type: ignore[arg-type]


def optimize(root: Path | str, *, dry_run: bool = False, now: datetime = NOW) -> Optimized:
    """Merge what no build has processed for a week."""
    return optimize_dataset(
        str(root), older_than=timedelta(days=7), now=now, dry_run=dry_run, report=ignore_progress
    )


def assert_same_rows(dataset: DatasetVersion, expected: DatasetVersion) -> None:
    """Compare rows in order, and all else that a version has beside its files."""
    for split in SPLITS:
        if expected.count_rows(split):
            one, other = (read_table(version, split) for version in (dataset, expected))
            assert repr(one.to_pylist()) == repr(other.to_pylist())  # of NaN as well
    assert dataset.build.ledger == expected.build.ledger
    assert dataset.build.partitions == expected.build.partitions
    assert dataset.build.transform_digest == expected.build.transform_digest
    assert dataset.profile == expected.profile

"""Count what the records of a dataset and of predictions cost as nights go by: bytes and files.

    python -m benchmarks.growth --figures records

Nights are published by hand, with real files and commits, and no Spark. Counted is what Headrace
opens; delta-rs, which replays the log since its last checkpoint, reads a hundred commits at most.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema([("row_id", pa.int64())])
_PREDICTIONS = pa.schema([("prediction", pa.float64()), ("day", pa.string())])
_PARTITIONS = 8
"""Source partitions of a night, each of three files in the lake and of one in the dataset."""
_OTHER_BYTES = 40_000
"""Report, profiles, tallies, examples, ledger and the recipe of a night, as tests/prepare/daily.py
has them."""


def measure_records(nights: int) -> dict[str, float]:
    """Publish and score that many nights, and count what the last ones and readers cost.

    Returns:
        `night_bytes`: what a night writes beside the rows, on average over the second half of them,
        with a report and so on as large as those of a recipe of three features; `list_bytes`,
        `score_bytes`: records, manifests and log alone, of the dataset and of predictions.
        `night_files`: files that the last night opened; `open_files`, `rank_files`, `lookup_files`:
        those opened by whoever opens the newest version, by a rank that is not the first, and by
        the search for the first night's idempotency id; `version_files`: those of all that a
        version's record says; `versions_files`: those of a line for each version.
    """
    from headrace.lake.commit import find_published_version
    from headrace.lake.history import list_versions
    from headrace.lake.version import DatasetVersion

    with tempfile.TemporaryDirectory(prefix="headrace-records-") as folder:
        dataset, scores = Path(folder, "dataset"), Path(folder, "scores")
        sizes, score_sizes = [0], [0]
        night_files = 0
        for night in range(nights):
            with _count_opened_files() as opened:
                _publish_night(dataset, night)
            night_files = len(opened)
            _score_night(scores, night)
            sizes.append(_measure_records_bytes(dataset))
            score_sizes.append(_measure_records_bytes(scores))
        half = nights - nights // 2
        night_bytes = (sizes[-1] - sizes[-1 - half]) / half
        costs = {
            "night_bytes": night_bytes,
            "list_bytes": night_bytes - _OTHER_BYTES,
            "score_bytes": (score_sizes[-1] - score_sizes[-1 - half]) / half,
            "night_files": night_files,
        }
        root = str(dataset)
        with _count_opened_files() as opened:
            packed = DatasetVersion.open(root).pack()
        costs["open_files"] = len(opened)
        with _count_opened_files() as opened:
            DatasetVersion.unpack(packed).list_files("train")
        costs["rank_files"] = 1 + len(opened)  # a logarithm of none is none
        with _count_opened_files() as opened:
            if find_published_version(root, "night 0") != 0:
                raise RuntimeError("the first night is not found")
        costs["lookup_files"] = len(opened)
        with _count_opened_files() as opened:
            list_versions(root)
        costs["versions_files"] = len(opened)
        with _count_opened_files() as opened:
            build = DatasetVersion.open(root).build
            if len(build.partitions) != nights * _PARTITIONS:
                raise RuntimeError(f"{len(build.partitions)} source partitions are left")
        costs["version_files"] = len(opened)
        return costs


@contextlib.contextmanager
def _count_opened_files() -> Iterator[list[str]]:
    """Note the files that are opened for reading in the block, through fsspec."""
    from fsspec.implementations.local import LocalFileSystem

    opened: list[str] = []
    open_file, open_whole = LocalFileSystem._open, LocalFileSystem.cat_file

    def note_open(self: Any, path: str, mode: str = "rb", *rest: Any, **options: Any) -> Any:
        if mode == "rb":
            opened.append(str(path))
        return open_file(self, path, mode, *rest, **options)

    LocalFileSystem._open = note_open
    try:
        yield opened
    finally:
        LocalFileSystem._open, LocalFileSystem.cat_file = open_file, open_whole


def _measure_records_bytes(root: Path) -> int:
    """Return the bytes of all files but rows."""
    folders = (root / "_headrace", root / "_delta_log")
    return sum(p.stat().st_size for folder in folders for p in folder.rglob("*") if p.is_file())


def _make_id(night: int) -> str:
    return f"20260101T{night:06d}-{night:08x}"


def _list_source_files(name: str) -> tuple[Any, ...]:
    from headrace.lake.source_partition import SourceFile

    return tuple(
        SourceFile(
            path=f"{name}/part-{i:05d}-2f1c.parquet", bytes=1_234_567,
            changed="1790000000000000000", rows=100_000, columns="0123456789abcdef",
        )
        for i in range(3)
    )  # fmt: skip


def _publish_night(root: Path, night: int) -> None:
    """Add the source partitions of a night to a dataset."""
    from headrace.lake import DataFile, DatasetVersion, Ledger, publish_build
    from headrace.lake.build import Build
    from headrace.lake.source_partition import SourcePartition
    from headrace.lake.transform_file import compute_transform_digest

    base = DatasetVersion.open(str(root)) if night else None
    old, build_id = base.build if base else None, _make_id(night)
    ledger = Ledger(read=1, published={"train": 1}, quarantined={}, duplicates=0, filtered={})
    files, partitions = [], []
    for number in range(_PARTITIONS):
        name, path = (
            f"day={night}/hour={number}",
            f"split=train/part-{build_id}-{number:05d}-0.parquet",
        )
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"row_id": [1]}, schema=_SCHEMA), root / path)
        files.append(
            DataFile(
                path=path, split="train", bytes=(root / path).stat().st_size, row_groups=(1,),
                content=f"{night:032x}{number:032x}", partition=name, footer="01234567",
            )
        )  # fmt: skip
        partitions.append(
            SourcePartition(
                name=name, build_id=build_id, files=_list_source_files(name), ledger=ledger
            )
        )
    all_partitions = (*(old.partitions if old else ()), *partitions)
    build = Build(
        build_id=build_id, created_at="", headrace_version="0", recipe={"name": "nights"},
        sources={}, ledger=Ledger.merge_ledgers(p.ledger for p in all_partitions),
        files=(*(old.files if old else ()), *files), partitions=all_partitions,
        label_kind="binary", transform_digest=compute_transform_digest("{}"),
        transform_of=_make_id(0) if night else None, base=night - 1 if night else None,
        given_id=f"night {night}",
    )  # fmt: skip
    others = {"report.html": "x" * _OTHER_BYTES}
    publish_build(str(root), build, _SCHEMA, "{}", others, like=old)


def _score_night(root: Path, night: int) -> None:
    """Add the predictions of a night."""
    from headrace.lake.predictions import find_newest_predictions, publish_predictions
    from headrace.lake.score_record import (
        PredictionFile,
        ScoredPartition,
        ScoreLedger,
        ScoreRecord,
    )

    newest = find_newest_predictions(str(root)) if night else None
    old, job = newest[1] if newest else None, _make_id(night)
    ledger = ScoreLedger(read=1, scored=1, quarantined={}, filtered=0)
    files, partitions = [], []
    for number in range(_PARTITIONS):
        name, path = f"day={night}/hour={number}", f"day={night}/part-{job}-{number}-0000.parquet"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"prediction": [0.5]}), root / path)
        files.append(
            PredictionFile(
                path=path, partition=name, source="lake", values={"day": str(night)}, rows=1,
                bytes=(root / path).stat().st_size,
            )
        )  # fmt: skip
        partitions.append(
            ScoredPartition(
                source="lake", name=name, build_id=job, model="models:/m/1", ledger=ledger,
                files=_list_source_files(name),
            )
        )  # fmt: skip
    record = ScoreRecord(
        build_id=job, created_at="", headrace_version="0", recipe={"name": "nights"},
        source="lake", model="models:/m/1", run_id="r", dataset={}, threshold=0.5,
        columns={"prediction": "double"}, partition_by=("day",),
        partitions=(*(old.partitions if old else ()), *partitions),
        files=(*(old.files if old else ()), *files), base=newest[0] if newest else None,
    )  # fmt: skip
    publish_predictions(str(root), record, _PREDICTIONS, old)

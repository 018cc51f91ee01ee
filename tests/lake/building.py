"""Make builds by hand: real files and sidecars, without Spark."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DataFile, DatasetVersion, Ledger, publish_build
from headrace.lake.build import Build
from headrace.lake.data_file import PartitionRun, SplitName
from headrace.lake.source_partition import SourcePartition
from headrace.lake.transform_file import compute_transform_digest

SCHEMA = pa.schema([("row_id", pa.int64())])


def write_data_file(
    root: Path, build_id: str, rows: int, partition: str = "", split: SplitName = "train"
) -> DataFile:
    """Write a Parquet file of a build, with the row ids from 0 on."""
    folder = root / f"split={split}"
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"part-{build_id}-*")))
    path = folder / f"part-{build_id}-{number:05}-0.parquet"
    pq.write_table(pa.table({"row_id": range(rows)}, schema=SCHEMA), path)
    return DataFile(
        path=f"split={split}/{path.name}",
        split=split,
        bytes=path.stat().st_size,
        row_groups=(rows,),
        content=f"content of {rows}",
        partition=partition,
    )


def make_file(path: str, *runs: tuple[str, int], split: SplitName = "train") -> DataFile:
    """Return what a build records of a file with rows of some source partitions, in order."""
    named = tuple(
        PartitionRun(path=f"{path}-{number}", partition=partition, rows=rows)
        for number, (partition, rows) in enumerate(runs)
    )
    return DataFile(
        path=path,
        split=split,
        bytes=1,
        row_groups=(sum(rows for _, rows in runs),),
        content="",
        partition=runs[0][0] if len(runs) == 1 else "",
        runs=named if len(runs) > 1 else (),
    )


def make_ledger(rows: int, read: int | None = None) -> Ledger:
    """Return a ledger of train rows, which balances unless `read` is given."""
    return Ledger(
        read=rows if read is None else read,
        published={"train": rows},
        quarantined={},
        duplicates=0,
        filtered={},
    )


def make_build(
    root: Path,
    build_id: str,
    rows: int = 10,
    *,
    read: int | None = None,
    base: int | None = None,
    given_id: str | None = None,
    transform: str = "{}",
) -> Build:
    """Make a build of all rows of its version."""
    return Build(
        build_id=build_id,
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="0",
        recipe={"name": "by_hand"},
        sources={},
        ledger=make_ledger(rows, read),
        files=(write_data_file(root, build_id, rows),),
        label_kind="binary",
        transform_digest=compute_transform_digest(transform),
        base=base,
        given_id=given_id,
    )


def make_increment(
    base: DatasetVersion, build_id: str, rows: int, *, without: Iterable[str] = ()
) -> Build:
    """Make a build that adds a source partition, named like it, and removes some of the base."""
    removed = set(without)
    old_partitions = [p for p in base.build.partitions if p.name not in removed]
    added = SourcePartition(name=build_id, build_id=build_id, files=(), ledger=make_ledger(rows))
    old_files = [f for f in base.build.files if f.partition not in removed]
    new_file = write_data_file(Path(base.root), build_id, rows, build_id)
    partitions = (*old_partitions, added)
    return base.build.model_copy(
        update={
            "build_id": build_id,
            "files": (*old_files, new_file),
            "partitions": partitions,
            "ledger": Ledger.merge_ledgers(p.ledger for p in partitions),
            "transform_of": base.build.transform_of or base.build.build_id,
            "base": base.version,
        }
    )


def publish_first_version(root: Path) -> DatasetVersion:
    """Publish a first version: one build with one source partition, both named first."""
    build = make_build(root, "first", 10)
    file = build.files[0].model_copy(update={"partition": "first"})
    partition = SourcePartition(name="first", build_id="first", files=(), ledger=build.ledger)
    build = build.model_copy(update={"files": (file,), "partitions": (partition,)})
    publish_build(str(root), build, SCHEMA, "{}")
    return DatasetVersion.open(str(root))

"""Builds made by hand: real files and sidecars, without Spark."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DataFile, DatasetVersion, Ledger, publish
from headrace.lake.build import Build
from headrace.lake.source_partition import SourcePartition

SCHEMA = pa.schema([("row_id", pa.int64())])


def data_file(root: Path, build_id: str, rows: int, partition: str = "") -> DataFile:
    folder = root / "split=train"
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"part-{build_id}-*")))
    path = folder / f"part-{build_id}-{number:05}-0.parquet"
    pq.write_table(pa.table({"row_id": range(rows)}, schema=SCHEMA), path)
    return DataFile(
        path=f"split=train/{path.name}",
        split="train",
        bytes=path.stat().st_size,
        row_groups=(rows,),
        content=f"content of {rows}",
        partition=partition,
    )


def ledger(rows: int, read: int | None = None) -> Ledger:
    return Ledger(
        read=rows if read is None else read,
        published={"train": rows},
        quarantined={},
        duplicates=0,
        filtered={},
    )


def build(
    root: Path,
    build_id: str,
    rows: int = 10,
    *,
    read: int | None = None,
    base: int | None = None,
    given_id: str | None = None,
) -> Build:
    """A build of all rows."""
    return Build(
        build_id=build_id,
        created_at="2026-01-01T00:00:00+00:00",
        headrace_version="0",
        recipe={"name": "by_hand"},
        sources={},
        ledger=ledger(rows, read),
        files=(data_file(root, build_id, rows),),
        label_kind="binary",
        transform_digest="d",
        base=base,
        given_id=given_id,
    )


def increment(
    base: DatasetVersion, build_id: str, rows: int, *, without: Iterable[str] = ()
) -> Build:
    """A build of one more source partition, called as the build; some of the base are left out."""
    gone = set(without)
    kept = [p for p in base.build.partitions if p.name not in gone]
    own = SourcePartition(name=build_id, build_id=build_id, files=(), ledger=ledger(rows))
    files = [f for f in base.build.files if f.partition not in gone]
    new = data_file(Path(base.root), build_id, rows, build_id)
    partitions = (*kept, own)
    return base.build.model_copy(
        update={
            "build_id": build_id,
            "files": (*files, new),
            "partitions": partitions,
            "ledger": Ledger.total(p.ledger for p in partitions),
            "transform_of": base.build.transform_of or base.build.build_id,
            "base": base.version,
        }
    )


def whole(root: Path) -> DatasetVersion:
    """The first version: one build with one source partition, both called first."""
    made = build(root, "first", 10)
    file = made.files[0].model_copy(update={"partition": "first"})
    own = SourcePartition(name="first", build_id="first", files=(), ledger=made.ledger)
    made = made.model_copy(update={"files": (file,), "partitions": (own,)})
    publish(str(root), made, SCHEMA, "{}")
    return DatasetVersion.open(str(root))

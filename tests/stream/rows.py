"""Write files whose every value follows from its row_id, and make streams that read them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.checksums import (
    FINGERPRINTS,
    compute_checksums,
    compute_footer_checksum,
    read_footer_bytes,
)
from headrace.lake.data_file import DataFile
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import ModelInput

COLUMNS = Columns(
    {
        "numeric": ModelInput("float32", (2,), ("a", "b")),
        "categorical": ModelInput("int32", (1,), ("c",)),
        "label": ModelInput("float32", (), ("label",)),
        "row_id": ModelInput("int64", (), ("row_id",)),
        "tokens": ModelInput("int32", (3,), ("tokens",)),
        "series": ModelInput("float32", (2,), ("series",)),
        "image": ModelInput("uint8", (2, 1, 2), ("image",)),
    }
)


def make_image(row: int) -> np.ndarray:
    return np.array([1, row % 256, row // 256, 255], np.uint8).reshape(2, 1, 2)


def write_files(
    root: Path,
    layout: list[list[int]],
    first: int = 0,
    *,
    checksums: bool = True,
    fingerprints: bool = True,
    plain: bool = False,
) -> tuple[DataFile, ...]:
    """Write files of the given row groups; every value of a row follows from its row_id.

    Args:
        root: folder of the files.
        layout: for each file the rows of its row groups.
        first: row_id of the first row.
        checksums: recorded in files and index; the first dataset versions had none.
        fingerprints: recorded beside checksums; files of earlier releases had none.
        plain: neither compressed nor encoded, so that a byte of the file is one of a value.
    """
    files = []
    for number, row_groups in enumerate(layout):
        path = root / f"part-{number:03d}.parquet"
        rows = np.arange(first, first + sum(row_groups))
        first += len(rows)
        table = pa.table(
            {
                "row_id": rows,
                "a": rows.astype(np.float32),
                "b": (-rows).astype(np.float32),
                "c": (rows % 1000).astype(np.int32),
                "label": (rows % 2).astype(np.float32),
                "tokens": pa.array([[r, 0, -r] for r in rows], pa.list_(pa.int32())),
                "series": pa.array([[r / 2, r] for r in rows], pa.list_(pa.float32())),
                "image": pa.array([make_image(r).tobytes() for r in rows], pa.binary(4)),
            }
        )
        recorded = compute_checksums(table, row_groups) if checksums else {}
        if not fingerprints:
            recorded.pop(FINGERPRINTS, None)
        schema = table.schema.with_metadata(recorded or None)
        options = {"compression": "NONE", "use_dictionary": False} if plain else {}
        options["write_page_checksum"] = checksums and not plain  # plain: damage to single values
        with pq.ParquetWriter(path, schema, **options) as writer:
            start = 0
            for size in row_groups:
                writer.write_table(table.slice(start, size), row_group_size=max(size, 1))
                start += size
        file = DataFile(path=path.name, split="train", bytes=0, row_groups=row_groups, content="")
        files.append(reindex_file(file, root, footer=checksums))
    return tuple(files)


def reindex_file(file: DataFile, root: Path, *, footer: bool = True) -> DataFile:
    """Return the file's entry in an index with its present size and footer checksum."""
    path = root / file.path
    footer_checksum = (
        compute_footer_checksum(read_footer_bytes(pa.OSFile(str(path)))) if footer else ""
    )
    return file.model_copy(update={"bytes": path.stat().st_size, "footer": footer_checksum})


def make_stream(root: Path, files: tuple[DataFile, ...], **changes: object) -> SplitStream:
    """Make a stream of one rank, with 8 canonical shards and batches of 32 rows."""
    options = {"rank": 0, "size": 1, "global_batch_size": 32, "canonical_shards": 8}
    options |= {"shuffle": True, "seed": 5, "readers": 2, "block_rows": 40}
    return SplitStream(str(root), files, COLUMNS, **{**options, **changes})


def list_row_ids(batch: dict[str, np.ndarray]) -> list[int]:
    """List the row_ids of the rows that are no padding."""
    return batch["row_id"][batch["weight"] > 0].tolist()

"""Take a person's rows out of predictions: of the newest version, and of all before it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.columns.person_key import PersonKey, find_person_rows
from headrace.errors import DatasetError
from headrace.lake.erase import Erased, erase_from_sidecars, strip_log_statistics
from headrace.lake.predictions import find_newest_predictions, publish_predictions
from headrace.lake.score_record import PredictionFile, ScoredPartition, ScoreRecord
from headrace.lake.storage import (
    explain_storage_errors,
    open_filesystem,
    refuse_ambiguous_root,
    resolve_root,
    write_object,
)
from headrace.lake.walk import find_files, list_folder


def open_erasable_predictions(root: str, key: PersonKey) -> tuple[str, int, ScoreRecord]:
    """Open predictions whose rows can be told by a key: their root, version and record.

    Raises:
        DatasetError: there are no predictions, or they lack a column of the key.
    """
    root = resolve_root(root)
    refuse_ambiguous_root(root)
    newest = find_newest_predictions(root)
    if newest is None:
        raise DatasetError(f"there are no predictions at {root}; run `headrace score` first")
    version, record = newest
    if key.find_columns(record.columns) is None:
        raise DatasetError(
            f"predictions {root} do not have all of the columns {', '.join(key.values)}, so it "
            f"cannot be told whose rows they have: {', '.join(record.columns)}. Remove them, or "
            "erase by other columns"
        )
    return root, version, record


def erase_predictions(root: str, key: PersonKey, build_id: str) -> tuple[int, Erased]:
    """Take a person's rows out of predictions, and remove every earlier version.

    Args:
        root: folder or URL of the predictions.
        key: of the person; its columns are columns of the predictions.
        build_id: of the version that is published, where the newest one has such rows.

    Returns:
        rows that were taken out of the newest version; and what was changed beside it.

    Raises:
        DatasetError: there are no predictions, or they lack a column of the key.
        ConflictError: a job published predictions meanwhile.
    """
    root, version, record = open_erasable_predictions(root, key)
    kept: list[PredictionFile] = []
    removed: dict[tuple[str, str], int] = {}
    with explain_storage_errors(root):
        for number, file in enumerate(record.files):
            rest = _rewrite_file(root, file, key, f"part-{build_id}-erased-{number:04d}.parquet")
            if rest is not file:
                place = (file.source, file.partition)
                gone = file.rows - (rest.rows if rest else 0)
                removed[place] = removed.get(place, 0) + gone
            if rest is not None:
                kept.append(rest)
    if removed:
        published = _update_record(record, version, kept, removed, build_id)
        publish_predictions(root, published, None)
        record = published
    current = {file.path for file in record.files}
    done = _remove_other_files(root, current)
    held = {p.build_id: (p.name,) for p in record.partitions}
    beside = erase_from_sidecars(root, key, held, record.build_id)
    done.rows |= beside.rows
    done.texts += [*beside.texts, *strip_log_statistics(root, current)]
    done.removed += beside.removed
    return sum(removed.values()), done


def _rewrite_file(
    root: str, file: PredictionFile, key: PersonKey, name: str
) -> PredictionFile | None:
    """Write the rows of a file without the person's; return the file itself where it has none, and
    None where nothing is left."""
    filesystem, base = open_filesystem(root)
    with filesystem.open(f"{base}/{file.path}", "rb") as stream:
        parquet = pq.ParquetFile(stream)
        table, size = parquet.read(), parquet.metadata.row_group(0).num_rows
    found = find_person_rows(_add_values(table, file.values), key)
    if not found.any():
        return file
    rest = table.filter(pa.array(~found))
    if not rest.num_rows:
        return None
    folder = file.path.rpartition("/")[0]
    path = f"{folder}/{name}" if folder else name
    sink = pa.BufferOutputStream()
    pq.write_table(rest, sink, row_group_size=size, write_page_checksum=True)
    content = sink.getvalue()
    write_object(root, path, content)
    return file.model_copy(update={"path": path, "rows": rest.num_rows, "bytes": content.size})


def _add_values(table: pa.Table, values: Mapping[str, str | None]) -> pa.Table:
    """Return the rows with the columns that their folder says."""
    for column, value in values.items():
        table = table.append_column(column, pa.repeat(pa.scalar(value, pa.string()), len(table)))
    return table


def _update_record(
    record: ScoreRecord,
    version: int,
    files: list[PredictionFile],
    removed: Mapping[tuple[str, str], int],
    build_id: str,
) -> ScoreRecord:
    partitions: list[ScoredPartition] = []
    for partition in record.partitions:
        gone = removed.get((partition.source, partition.name), 0)
        ledger = partition.ledger
        if gone:
            changes: dict[str, Any] = {
                "scored": ledger.scored - gone,
                "erased": ledger.erased + gone,
            }
            ledger = ledger.model_copy(update=changes)
        partitions.append(partition.model_copy(update={"ledger": ledger}))
    return record.model_copy(
        update={
            "build_id": build_id,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "partitions": tuple(partitions),
            "files": tuple(sorted(files, key=lambda file: file.path)),
            "base": version,
            "given_id": None,
            "drift": (),
        }
    )


def _remove_other_files(root: str, current: set[str]) -> Erased:
    """Remove the files of earlier versions."""
    filesystem, base = open_filesystem(root)
    done = Erased()
    with explain_storage_errors(root):
        for path in find_files(filesystem, base):
            name = path[len(base) + 1 :]
            is_data = name.rpartition("/")[2].startswith("part-") and not name.startswith("_")
            if is_data and name not in current:
                filesystem.rm_file(path)
                done.removed.append(name)
                _remove_empty_folders(filesystem, path.rpartition("/")[0], base)
    return done


def _remove_empty_folders(filesystem: Any, folder: str, base: str) -> None:
    """Remove a folder and those above it that are empty, where folders are real: their names are
    values."""
    while folder != base and filesystem.isdir(folder) and not list_folder(filesystem, folder):
        filesystem.rmdir(folder)
        folder = folder.rpartition("/")[0]

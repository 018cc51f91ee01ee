"""Predictions in the lake: versions of a Delta table, with a record of what was scored by what.

The rules are those of datasets: files are written aside, one commit makes them visible, and what
was read has to be accounted for before it.
"""

import json
import time
from collections import Counter
from contextlib import suppress

import pyarrow as pa
from deltalake import Schema
from deltalake.transaction import AddAction
from pydantic import ValidationError

from headrace.errors import DatasetError, LedgerError
from headrace.formats import PREDICTIONS
from headrace.lake.build import read_sidecar_text, sidecar_folder
from headrace.lake.delta import Commit, check_files, committed_version, publish_files
from headrace.lake.score_record import PredictionFile, ScoreRecord
from headrace.lake.storage import delta_table, open_files, reaching
from headrace.lake.version import newest_table

SCORE_KEY = "headrace.score"
RECORD = "score.json"


def newest_predictions(root: str) -> tuple[int, ScoreRecord] | None:
    """The newest version and its record; None where there is no table yet.

    Raises:
        DatasetError: it is no table of predictions.
    """
    table = newest_table(root)
    if table is None:
        return None
    with reaching(root):
        newest = table.history(1)[0]
    build_id = newest.get(SCORE_KEY)
    if not build_id:
        raise DatasetError(
            f"{root} is a Delta table whose newest commit ({newest.get('operation')}) is not of "
            "`headrace score`; publishing would replace its rows. Choose another --output"
        )
    return int(table.version()), read_record(root, str(build_id))


def read_record(root: str, build_id: str) -> ScoreRecord:
    """What a scoring job recorded.

    Raises:
        DatasetError: it is missing or damaged.
    """
    text = read_sidecar_text(root, build_id, RECORD)
    where = f"{sidecar_folder(root, build_id)}/{RECORD}"
    try:
        return ScoreRecord.model_validate_json(PREDICTIONS.migrated_text(text, where, DatasetError))
    except ValidationError as error:
        raise DatasetError(
            f"{where} is damaged or of another Headrace: "
            f"{error.errors()[0]['msg']} at {error.errors()[0]['loc']}; score with --full into "
            "another --output"
        ) from None


def published_predictions(root: str, given_id: str) -> tuple[int, ScoreRecord] | None:
    """The version that was published under the id that a caller gave, or None."""
    table = newest_table(root)
    if table is None or table.transaction_version(_app_id(given_id)) is None:
        return None
    for commit in table.history():
        build_id = commit.get(SCORE_KEY)
        if build_id and (record := read_record(root, str(build_id))).given_id == given_id:
            return int(commit["version"]), record
    return None


def publish_predictions(root: str, record: ScoreRecord, schema: pa.Schema | None) -> int:
    """Make the record's files the newest version of the predictions at `root`.

    Args:
        root: of the table; the first publish makes it.
        record: of the job; its new files lie below `root` already.
        schema: of the table, partition columns included; that of the table where it is None.

    Returns:
        the new Delta version.

    Raises:
        LedgerError: the ledger does not add up.
        ConflictError: another job was published meanwhile.
        DatasetError: a file is not where it should be, or the commit failed.
        In every case nothing is visible.
    """
    for partition in record.partitions:
        if partition.build_id == record.build_id:
            partition.ledger.check(f"source partition {partition.name or 'the whole table'!r}")
    _check_rows(record)
    with reaching(root):
        added = {f.path: f.bytes for f in record.files if f"-{record.build_id}-" in f.path}
        check_files(root, added, f"predictions {root}")
        _write_record(root, record)
    values = {file.path: file.values for file in record.files}
    if record.base is not None:
        values |= {file.path: file.values for file in version_of(root, record.base)[1].files}
    commit = Commit(
        base=record.base,
        key=SCORE_KEY,
        build_id=record.build_id,
        app_id=_app_id(record.given_id or record.build_id),
        schema=delta_table(root).schema() if schema is None else Schema.from_arrow(schema),
        partition_by=record.partition_by,
        values_of=lambda path: values.get(path, {}),
    )
    files = {file.path: _add(file) for file in record.files}
    version = publish_files(root, files, commit, f"predictions {root}", "job")
    found = delta_table(root, version).get_add_actions(flatten=True)["path"].to_pylist()
    if {str(path) for path in found} != {file.path for file in record.files}:
        raise DatasetError(
            f"predictions {root} version {version}: the commit lists other files than the job "
            "recorded, a defect of Headrace; do not use this version"
        )
    return version


def discard_predictions(root: str, build_id: str) -> None:
    """Remove what a failed job left below `root`, unless it was committed after all."""
    files, path = open_files(root)
    with reaching(root):
        if not files.exists(path) or committed_version(root, SCORE_KEY, build_id) is not None:
            return
        for found in files.find(path):
            if f"part-{build_id}-" in str(found).rpartition("/")[2]:
                with suppress(FileNotFoundError):
                    files.rm_file(found)
        sidecar = f"{path}/_headrace/{build_id}"
        if files.exists(sidecar):
            files.rm(sidecar, recursive=True)


def version_of(root: str, version: int | None = None) -> tuple[int, ScoreRecord]:
    """A version of predictions and its record; the newest by default.

    Raises:
        DatasetError: there is none.
    """
    if version is None:
        newest = newest_predictions(root)
        if newest is None:
            raise DatasetError(f"there are no predictions at {root}; run `headrace score` first")
        return newest
    table = delta_table(root)
    build_id = next((c.get(SCORE_KEY) for c in table.history() if c["version"] == version), None)
    if not build_id:
        raise DatasetError(f"predictions {root} have no version {version}")
    return version, read_record(root, str(build_id))


def _check_rows(record: ScoreRecord) -> None:
    """Rows in the files are rows in the ledger."""
    rows: Counter[tuple[str, str]] = Counter()
    for file in record.files:
        rows[file.source, file.partition] += file.rows
    for partition in record.partitions:
        found = rows[partition.source, partition.name]
        if found != partition.ledger.scored:
            raise LedgerError(
                f"source partition {partition.name!r} has {found:,} predictions in files and "
                f"{partition.ledger.scored:,} in the ledger; nothing was published"
            )


def _write_record(root: str, record: ScoreRecord) -> None:
    files, path = open_files(sidecar_folder(root, record.build_id))
    files.makedirs(path, exist_ok=True)
    with files.open(f"{path}/{RECORD}", "wb") as stream:
        stream.write(record.model_dump_json(indent=1).encode())


def _add(file: PredictionFile) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.bytes,
        partition_values=dict(file.values),
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _app_id(build_id: str) -> str:
    return f"headrace-score:{build_id}"

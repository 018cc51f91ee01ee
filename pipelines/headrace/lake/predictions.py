"""Publish and open versions of predictions: a Delta table, with a record of each scoring job.

The rules are those of datasets: files are written first, one commit makes them visible, and before
it every row that was read must be accounted for. Computing predictions is left to `score/`.
"""

from collections import Counter
from contextlib import suppress

import pyarrow as pa
from deltalake import Schema
from pydantic import ValidationError

from headrace.errors import DatasetError, LedgerError
from headrace.formats import PREDICTIONS, describe_invalid
from headrace.lake.build import (
    check_has_sums,
    locate_sidecar,
    read_sidecar_text,
    remove_sidecar,
    write_sidecar_files,
)
from headrace.lake.delta import (
    Commit,
    check_file_sizes,
    find_committed_version,
    format_app_id,
    make_add_action,
    publish_files,
)
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import (
    explain_storage_errors,
    open_delta_table,
    open_filesystem,
)
from headrace.lake.version import list_commits, open_newest_table
from headrace.lake.walk import find_files

SCORE_KEY = "headrace.score"
RECORD_FILE = "score.json"
_APP = "headrace-score"  # in the application id of commits


def find_newest_predictions(root: str) -> tuple[int, ScoreRecord] | None:
    """Find the newest version and its record; None where there is no table yet.

    Raises:
        DatasetError: the table does not hold predictions.
    """
    table = open_newest_table(root)
    if table is None:
        return None
    newest = list_commits(root, table, 1)[0]
    build_id = newest.get(SCORE_KEY)
    if not build_id:
        raise DatasetError(
            f"{root} is a Delta table whose newest commit ({newest.get('operation')}) is not of "
            "`headrace score`; publishing would replace its rows. Choose another --output"
        )
    return int(table.version()), read_score_record(root, str(build_id))


def read_score_record(root: str, build_id: str) -> ScoreRecord:
    """Read what a scoring job recorded.

    Raises:
        DatasetError: the record is missing or damaged.
    """
    text = read_sidecar_text(root, build_id, RECORD_FILE)
    where = f"{locate_sidecar(root, build_id)}/{RECORD_FILE}"
    try:
        record = ScoreRecord.model_validate_json(
            PREDICTIONS.migrate_text(text, where, DatasetError)
        )
        check_has_sums(root, build_id, PREDICTIONS.parse_version(text) == PREDICTIONS.current)
        return record
    except ValidationError as error:
        raise DatasetError(
            f"{where} is damaged or of another Headrace: {describe_invalid(error)}; score with "
            "--full into another --output"
        ) from None


def find_published_predictions(root: str, idempotency_id: str) -> tuple[int, ScoreRecord] | None:
    """Find the version that was published under a caller's id; None where there is none."""
    table = open_newest_table(root)
    if table is None or table.transaction_version(format_app_id(_APP, idempotency_id)) is None:
        return None
    for commit in list_commits(root, table):
        build_id = commit.get(SCORE_KEY)
        if (
            build_id
            and (record := read_score_record(root, str(build_id))).given_id == idempotency_id
        ):
            return int(commit["version"]), record
    return None


def publish_predictions(root: str, record: ScoreRecord, schema: pa.Schema | None) -> int:
    """Make the record's files the newest version of the predictions at `root`.

    Where it raises, nothing of the job is visible.

    Args:
        root: the table's folder or URL; the first publish creates the table.
        record: record of the job; its new files are below `root` already.
        schema: schema of the table, partition columns included; None to take the table's own.

    Returns:
        The new Delta version.

    Raises:
        LedgerError: the ledger does not add up.
        ConflictError: another job was published since this one began.
        DatasetError: a file is not where it should be, or the commit failed.
    """
    for partition in record.partitions:
        if partition.build_id == record.build_id:
            label = f"source partition {partition.name or 'the whole table'!r}"
            partition.ledger.check_balance(label)
    _check_row_counts(record)
    with explain_storage_errors(root):
        new_files = {f.path: f.bytes for f in record.files if f"-{record.build_id}-" in f.path}
        check_file_sizes(root, new_files, f"predictions {root}")
        write_sidecar_files(root, record.build_id, {RECORD_FILE: record.model_dump_json(indent=1)})
    values = {file.path: file.values for file in record.files}
    if record.base is not None:
        values |= {file.path: file.values for file in open_predictions(root, record.base)[1].files}
    commit = Commit(
        base=record.base,
        key=SCORE_KEY,
        build_id=record.build_id,
        app_id=format_app_id(_APP, record.given_id or record.build_id),
        schema=open_delta_table(root).schema() if schema is None else Schema.from_arrow(schema),
        partition_by=record.partition_by,
        partition_values=lambda path: values.get(path, {}),
    )
    files = {
        file.path: make_add_action(
            file.path, file.bytes, rows=file.rows, partition_values=dict(file.values)
        )
        for file in record.files
    }
    version = publish_files(root, files, commit, f"predictions {root}", "job")
    committed = open_delta_table(root, version).get_add_actions(flatten=True)["path"].to_pylist()
    if {str(path) for path in committed} != {file.path for file in record.files}:
        raise DatasetError(
            f"predictions {root} version {version}: the commit lists other files than the job "
            "recorded, a defect of Headrace; do not use this version"
        )
    return version


def discard_predictions(root: str, build_id: str) -> None:
    """Remove what a failed job left below `root`, unless it was committed after all."""
    filesystem, path = open_filesystem(root)
    with explain_storage_errors(root):
        if not filesystem.exists(path):
            return
        if find_committed_version(root, SCORE_KEY, build_id) is not None:
            return
        for file in find_files(filesystem, path):
            if f"part-{build_id}-" in str(file).rpartition("/")[2]:
                with suppress(FileNotFoundError):
                    filesystem.rm_file(file)
        remove_sidecar(root, build_id)


def open_predictions(root: str, version: int | None = None) -> tuple[int, ScoreRecord]:
    """Open a version of predictions, by default the newest, and return it with its record.

    Raises:
        DatasetError: there is no such version.
    """
    if version is None:
        newest = find_newest_predictions(root)
        if newest is None:
            raise DatasetError(f"there are no predictions at {root}; run `headrace score` first")
        return newest
    table = open_delta_table(root)
    build_id = next(
        (c.get(SCORE_KEY) for c in list_commits(root, table) if c["version"] == version), None
    )
    if not build_id:
        raise DatasetError(f"predictions {root} have no version {version}")
    return version, read_score_record(root, str(build_id))


def _check_row_counts(record: ScoreRecord) -> None:
    """Check for every source partition that its files have as many rows as its ledger.

    Raises:
        LedgerError: they differ.
    """
    rows: Counter[tuple[str, str]] = Counter()
    for file in record.files:
        rows[file.source, file.partition] += file.rows
    for partition in record.partitions:
        predictions = rows[partition.source, partition.name]
        if predictions != partition.ledger.scored:
            raise LedgerError(
                f"source partition {partition.name!r} has {predictions:,} predictions in files and "
                f"{partition.ledger.scored:,} in the ledger; nothing was published"
            )

"""Publish and open versions of predictions: a Delta table, with a record of each scoring job.

The rules are those of datasets: files are written first, one commit makes them visible, and before
it every row that was read must be accounted for. Computing predictions is left to `score/`.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa
from deltalake import Schema
from pydantic import ValidationError

from headrace.errors import DatasetError, LedgerError, RemovedError
from headrace.formats import FIRST_PREDICTIONS_WITH_SUMS, PREDICTIONS, describe_invalid
from headrace.lake.delta import (
    Commit,
    check_file_sizes,
    find_noted_version,
    format_app_id,
    is_committed,
    make_add_action,
    publish_files,
)
from headrace.lake.manifest import ManifestRef
from headrace.lake.newest_table import open_newest_table
from headrace.lake.record_lists import ListReader, make_lazy_lists, store_lists
from headrace.lake.score_record import LIST_NAMES, LISTS, ScoreLists, ScoreRecord
from headrace.lake.sidecar import (
    check_has_sums,
    locate_sidecar,
    read_sidecar_text,
    remove_sidecar,
    write_sidecar_files,
)
from headrace.lake.storage import (
    explain_storage_errors,
    open_delta_table,
    open_filesystem,
)
from headrace.lake.version import list_commits, read_commit
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
    newest = read_commit(root, int(table.version())) or {}
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
        has_sums = (PREDICTIONS.parse_version(text) or 0) >= FIRST_PREDICTIONS_WITH_SUMS
        check_has_sums(root, build_id, has_sums)
        return attach_score_lists(root, record)
    except ValidationError as error:
        raise DatasetError(
            f"{where} is damaged or of another Headrace: {describe_invalid(error)}; score with "
            "--full into another --output"
        ) from None


def attach_score_lists(
    root: str, record: ScoreRecord, known: Mapping[str, bytes] | None = None
) -> ScoreRecord:
    """Return a record whose lists are read from its manifests when they are asked for.

    Args:
        root: folder or URL of the predictions.
        record: as it says itself.
        known: name of a manifest -> content that needs not be read.
    """
    if record.lists is None:
        return record
    where = f"predictions {root}: {locate_sidecar(root, record.build_id)}/{RECORD_FILE}"
    reader = ListReader(root, record.lists, LISTS, record.build_id, where, known or {})
    return record.model_copy(update=make_lazy_lists(reader))


def find_published_predictions(root: str, idempotency_id: str) -> tuple[int, ScoreRecord] | None:
    """Find the version that was published under a caller's id; None where there is none."""
    noted = find_noted_version(root, format_app_id(_APP, idempotency_id))
    if noted is None:
        return None
    if record := _read_record_of(root, read_commit(root, noted), idempotency_id):
        return noted, record
    table = open_newest_table(root)  # an older Headrace did not note which version it was
    for commit in list_commits(root, table) if table is not None and noted == 1 else []:
        if record := _read_record_of(root, commit, idempotency_id):
            return int(commit["version"]), record
    raise DatasetError(
        f"predictions {root}: a job was published as {idempotency_id!r}, and its version was "
        "removed by `headrace vacuum`; choose another --build-id"
    )


def _read_record_of(
    root: str, commit: Mapping[str, Any] | None, idempotency_id: str
) -> ScoreRecord | None:
    """Read the record of a commit where it can be read and has a caller's id."""
    build_id = (commit or {}).get(SCORE_KEY)
    if not build_id:
        return None
    try:
        record = read_score_record(root, str(build_id))
    except RemovedError:
        return None
    return record if record.given_id == idempotency_id else None


def publish_predictions(
    root: str, record: ScoreRecord, schema: pa.Schema | None, like: ScoreRecord | None = None
) -> int:
    """Make the record's files the newest version of the predictions at `root`.

    Where it raises, nothing of the job is visible.

    Args:
        root: the table's folder or URL; the first publish creates the table.
        record: record of the job; its new files are below `root` already.
        schema: schema of the table, partition columns included; None to take the table's own.
        like: record of the base, as it was read; its manifests are used again as far as the lists
            agree. None where nothing of it may be in this one's.

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
        manifests = _write_record(root, record, like)
        check_file_sizes(root, {ref.path: ref.bytes for ref in manifests}, f"predictions {root}")
    values = {file.path: file.values for file in record.files}
    if record.base is not None:
        before = like or open_predictions(root, record.base)[1]
        values |= {file.path: file.values for file in before.files}
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
        if is_committed(root, SCORE_KEY, build_id, RECORD_FILE):
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
        RemovedError: its log was removed, by `headrace vacuum`.
    """
    if version is None:
        newest = find_newest_predictions(root)
        if newest is None:
            raise DatasetError(f"there are no predictions at {root}; run `headrace score` first")
        return newest
    build_id = (read_commit(root, version) or {}).get(SCORE_KEY)
    if not build_id:
        table = open_newest_table(root)
        oldest = min((c["version"] for c in list_commits(root, table)), default=0) if table else 0
        if 0 <= version < oldest:
            raise RemovedError(
                f"predictions {root}: version {version} was removed since, by `headrace vacuum`: "
                f"the oldest that its log has is {oldest}"
            )
        raise DatasetError(f"predictions {root} have no version {version}")
    return version, read_score_record(root, str(build_id))


def _write_record(root: str, record: ScoreRecord, like: ScoreRecord | None) -> list[ManifestRef]:
    """Write a record and its manifests; return all manifests that it names."""
    stored, manifests = store_lists(root, record, like, LISTS, record.build_id)
    lists = None
    if stored is not None:
        summary = {"ledger": record.ledger, "processed": record.processed_ledger}
        lists = ScoreLists.model_validate(stored.model_dump() | summary)
    text = record.model_copy(update={"lists": lists}).model_dump_json(
        indent=1, exclude={*LIST_NAMES} if lists is not None else {"lists"}
    )
    write_sidecar_files(root, record.build_id, {**manifests, RECORD_FILE: text})
    return [ref for refs in stored.manifests.values() for ref in refs] if stored else []


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

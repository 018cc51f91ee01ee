"""Score a table: read, predict, measure drift, account for every row, commit."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.errors import InvalidTextError, LakeError, LedgerError
from headrace.features.stored_texts import TextFolder
from headrace.lake.damage import explain_damage
from headrace.lake.drift import ColumnDrift, describe_drift, join_drift
from headrace.lake.predictions import publish_predictions
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import refuse_unseen_file
from headrace.lake.transform_file import check_transform_digest
from headrace.progress import Progress
from headrace.score.attempt import ScoreAttempt
from headrace.score.files import PredictionLayout
from headrace.score.monitor import Reference, measure_drift
from headrace.score.network import pack_folder
from headrace.score.predicting import ScoreOptions
from headrace.score.record import build_record, build_removal_record
from headrace.score.road import refuse_other_road
from headrace.score.score_jobs import ModelFiles, RowsPlan, ScoreJobs
from headrace.score.table import (
    build_table_schema,
    choose_partition_columns,
    name_folder,
    refuse_other_columns,
)
from headrace.score.task_results import TaskResults
from headrace.source.changed_files import refuse_changed_partitions
from headrace.source.quarantine.in_tasks import remove_other_files
from headrace.source.quarantine.writer import get_quarantine_path, locate_quarantine
from headrace.tracking.model import TEXTS
from headrace.transform.spec import TransformSpec

Published = tuple[int, ScoreRecord]
"""The version, and what was recorded of it."""


@dataclass(frozen=True)
class _Predicted:
    """Rows whose predictions are written.

    Attributes:
        rows: what was read.
        results: what the tasks reported, added up.
        schema: of the table of predictions.
        partition_by: its partition columns.
    """

    rows: RowsPlan
    results: TaskResults
    schema: pa.Schema
    partition_by: tuple[str, ...]


def score_rows(
    attempt: ScoreAttempt, jobs: ScoreJobs[Any], files: Callable[[str, str], str]
) -> Published:
    """Score the rows that the plan reads, and publish the predictions.

    Args:
        attempt: the job.
        jobs: read, predict and write the rows.
        files: local path of one of the model's files, downloaded below a folder.

    Raises:
        as `run.score`.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-score-") as folder:
        transform, texts = files("transform", folder), None
        text = _read_text(transform)
        spec = _read_transform(attempt, text)
        if spec.stored_texts:
            texts = files(TEXTS, folder)
            spec = _read_transform(attempt, text, texts)
        refuse_other_road(attempt, spec)
        text = _read_text(files("reference", folder))
        with explain_damage(f"model {attempt.model.uri}: reference.json"):
            reference = Reference.from_json(json.loads(text))
        packed_file = f"{folder}/headrace-model-{attempt.build_id}.zip"
        # Models of an older Headrace have the network in the SavedModel that takes raw rows.
        pack_folder(
            files(attempt.model.metadata.get("network", "saved_model"), folder), packed_file
        )
        model = ModelFiles(packed_file, transform, texts)
        predicted = _predict_rows(attempt, jobs, spec, reference, model)
        drift = measure_drift(reference, predicted.results, spec.label, attempt.recipe.score)
        _report_drift(attempt, drift)
        attempt.report(Progress("checking the ledger and committing"))
        # The model's file stays until Spark has nothing to do any more: an executor that joins
        # late asks for it, whatever its task is.
        quarantine = _keep_rejected(attempt, jobs, predicted)
    record = build_record(
        attempt,
        predicted.rows,
        predicted.results,
        drift=drift,
        schema=predicted.schema,
        partition_by=predicted.partition_by,
        quarantine=quarantine,
    )
    main = attempt.reading.source.tables[attempt.reading.source.main]
    # A file that is new to a partition changes it, so the next job scores that partition again.
    refuse_changed_partitions(attempt.plan.source, main, attempt.plan, new_files=False)
    base = attempt.base[1] if attempt.base else None
    return publish_predictions(attempt.root, record, predicted.schema, base), record


def publish_removal(attempt: ScoreAttempt) -> Published:
    """Publish the predictions without those of source partitions that are gone."""
    record = build_removal_record(attempt)
    base = attempt.base[1] if attempt.base else None
    return publish_predictions(attempt.root, record, None, base), record


def _predict_rows(
    attempt: ScoreAttempt,
    jobs: ScoreJobs[Any],
    spec: TransformSpec,
    reference: Reference,
    model: ModelFiles,
) -> _Predicted:
    """Read the rows and have the tasks predict and write them.

    Where a task meets a text that is no UTF-8, all start again with a check of its column.
    """
    attempt.report(Progress("reading tables"))
    invalid: set[str] = set()
    while True:
        rows = jobs.plan_rows(spec, invalid)
        for remark in rows.raw.list_remarks():
            attempt.report(Progress(remark))
        try:
            return _predict_planned_rows(attempt, jobs, rows, spec, reference, model)
        except InvalidTextError as error:
            columns = json.loads(str(error))
            if invalid.issuperset(columns):  # they are checked already, so this is a defect
                raise
            invalid |= {*columns}
            named = ", ".join(columns)
            text = f"{named} has texts that are no UTF-8; their rows go to quarantine"
            attempt.report(Progress(text))
        finally:
            jobs.forget_rows(rows)


def _predict_planned_rows(
    attempt: ScoreAttempt,
    jobs: ScoreJobs[Any],
    rows: RowsPlan,
    spec: TransformSpec,
    reference: Reference,
    model: ModelFiles,
) -> _Predicted:
    base = attempt.base[1] if attempt.base else None
    by = choose_partition_columns(attempt.plan, attempt.root, base)
    schema = build_table_schema(
        rows.schema, rows.table.stored, attempt.written, by, spec.label, attempt.recipe.name
    )
    refuse_other_columns(schema, attempt.root, base)
    options = _build_options(attempt, rows, spec, reference, schema, by, model.network)
    count = f"{rows.raw.rows_read:,} rows"
    attempt.report(Progress(f"scoring {count} with {attempt.model.uri}{jobs.where}"))
    results = jobs.predict_rows(rows, options, model)
    if results.files:
        refuse_unseen_file(attempt.root, results.files[0].path)
    return _Predicted(rows, results, schema, by)


def _build_options(
    attempt: ScoreAttempt,
    rows: RowsPlan,
    spec: TransformSpec,
    reference: Reference,
    schema: pa.Schema,
    by: tuple[str, ...],
    packed_file: str,
) -> ScoreOptions:
    """Build what the tasks are told."""
    index = rows.raw.partition_index
    values = tuple(dict(attempt.plan.values[name]) for name in index.names)
    output = PredictionLayout(
        root=attempt.root,
        build_id=attempt.build_id,
        names=index.names,
        values=values,
        folders=tuple(map(name_folder, values)),
        schema=pa.schema([field for field in schema if field.name not in by]),
        rows_per_file=attempt.recipe.score.rows_per_file,
    )
    return ScoreOptions(
        output=output,
        spec_json=spec.to_json(),
        text_files=bool(spec.stored_texts),
        model=Path(packed_file).name,
        partition_index=index,
        partition_columns=tuple(rows.table.partition_columns),
        written=tuple(name for name in attempt.written if name not in by),
        constants={
            "model_version": attempt.model.version,
            "dataset_version": attempt.model.metadata["dataset_version"],
            "scored_at": int(attempt.now.timestamp() * 1e6),
        },
        threshold=float(attempt.model.metadata.get("threshold", 0.5)),
        batch_rows=attempt.recipe.score.batch_rows,
        axes=reference.axes,
        prediction_axis=reference.prediction_axis,
        checks=tuple(check.name for check in rows.checks),
        late=rows.late,
        logged_values=_list_logged_values(attempt, rows),
    )


def _list_logged_values(
    attempt: ScoreAttempt, rows: RowsPlan
) -> dict[str, Mapping[str, str | None]]:
    """List the values that a log has for the files that tasks read; none of a table without."""
    listing = attempt.plan.listing
    if rows.late is None or listing is None or not listing.is_snapshot:
        return {}
    paths = {file.path: listing.find_path(file.path) for file in rows.late.files.values()}
    return {path: listing.get_values(name) for path, name in paths.items() if name is not None}


def _report_drift(attempt: ScoreAttempt, drift: tuple[ColumnDrift, ...]) -> None:
    """Report drift, or refuse it.

    Raises:
        LakeError: rows drifted, and the recipe wants no predictions of them.
    """
    lines = describe_drift(drift)
    if not lines:
        return
    drifted = join_drift(lines, 5)
    if attempt.recipe.score.on_drift == "fail":
        raise LakeError(
            f"rows differ from those that {attempt.model.uri} was trained on: {drifted}. Nothing "
            "was published; look at the source, raise the limits in `score`, or train again"
        )
    attempt.report(Progress(f"rows drifted from those of training: {drifted}"))


def _keep_rejected(
    attempt: ScoreAttempt, jobs: ScoreJobs[Any], predicted: _Predicted
) -> str | None:
    """Keep the rejected rows, and return their folder relative to the root; None where none is.

    Raises:
        LedgerError: not all of them could be kept.
    """
    rows, results = predicted.rows, predicted.results
    rejected = sum(n for (_, bucket), n in results.buckets.items() if bucket)
    if not rejected:
        return None
    folder = get_quarantine_path(attempt.build_id)
    if rows.late:
        remove_other_files(
            locate_quarantine(attempt.root, attempt.build_id), results.quarantine_files
        )
        if results.quarantined_rows != rejected:
            raise LedgerError(
                f"{results.quarantined_rows:,} rows are in the quarantine and {rejected:,} were "
                "rejected; nothing was published. Run the command again"
            )
        return folder
    attempt.report(Progress(f"keeping {rejected:,} rejected rows"))
    jobs.write_rejected(rows, rejected)
    return folder


def _read_transform(
    attempt: ScoreAttempt, text: str, texts_folder: str | None = None
) -> TransformSpec:
    """Read the model's transform, which has to be the one that it was trained on.

    Args:
        attempt: the job.
        text: the transform's JSON.
        texts_folder: with its vocabularies in files.

    Raises:
        DamagedError: a number in it is another one: rows would be scaled otherwise.
    """
    where = f"model {attempt.model.uri}: its transform.json"
    with explain_damage(where):
        check_transform_digest(text, attempt.model.metadata["transform_digest"], where)
        model = f"model {attempt.model.uri}"
        files = TextFolder(texts_folder, model) if texts_folder else None
        return TransformSpec.from_json(text, where, files)


def _read_text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")

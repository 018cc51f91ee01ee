"""Score a table: read, predict, measure drift, account for every row, commit."""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import InvalidTextError, LakeError, LedgerError
from headrace.features.stored_texts import TextFolder
from headrace.lake.damage import explain_damage
from headrace.lake.drift import ColumnDrift, describe_drift
from headrace.lake.predictions import publish_predictions
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import refuse_unseen_file
from headrace.lake.transform_file import check_transform_digest
from headrace.progress import Progress
from headrace.score.attempt import ScoreAttempt
from headrace.score.files import PredictionLayout
from headrace.score.monitor import Reference, measure_drift
from headrace.score.network import pack_folder
from headrace.score.predicting import RESULTS_DDL, ScoreOptions, build_scorer
from headrace.score.reading import RowsToScore, read_rows_to_score
from headrace.score.record import build_record, build_removal_record
from headrace.score.road import refuse_other_road
from headrace.score.session import configure_session
from headrace.score.table import (
    build_table_schema,
    choose_partition_columns,
    name_folder,
    refuse_other_columns,
)
from headrace.score.task_results import TaskResults
from headrace.source.changed_files import refuse_changed_partitions
from headrace.source.internal_columns import with_safe_names
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.quarantine.in_tasks import remove_other_files
from headrace.source.quarantine.writer import get_quarantine_path, locate_quarantine
from headrace.source.spark_errors import explain_spark_errors
from headrace.spark_engine.find_engine import find_engine
from headrace.tracking.model import TEXTS
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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

    rows: RowsToScore
    results: TaskResults
    schema: pa.Schema
    partition_by: tuple[str, ...]


def score_rows(
    attempt: ScoreAttempt, spark: "SparkSession", files: Callable[[str, str], str]
) -> Published:
    """Score the rows that the plan reads, and publish the predictions.

    Args:
        attempt: the job.
        spark: the session.
        files: local path of one of the model's files, downloaded below a folder.

    Raises:
        as `run.score`.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-score-") as folder:
        text = _read_text(files("transform", folder))
        spec = _read_transform(attempt, text)
        if spec.stored_texts:
            spec = _read_transform(attempt, text, files(TEXTS, folder))
        refuse_other_road(attempt, spec)
        text = _read_text(files("reference", folder))
        with explain_damage(f"model {attempt.model.uri}: reference.json"):
            reference = Reference.from_json(json.loads(text))
        packed_file = f"{folder}/headrace-model-{attempt.build_id}.zip"
        # Models of an older Headrace have the network in the SavedModel that takes raw rows.
        pack_folder(
            files(attempt.model.metadata.get("network", "saved_model"), folder), packed_file
        )
        predicted = _predict_rows(attempt, spark, spec, reference, packed_file)
        drift = measure_drift(reference, predicted.results, spec.label, attempt.recipe.score)
        _report_drift(attempt, drift)
        attempt.report(Progress("checking the ledger and committing"))
        # The model's file stays until Spark has nothing to do any more: an executor that joins
        # late asks for it, whatever its task is.
        quarantine = _keep_rejected(attempt, predicted)
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
    spark: "SparkSession",
    spec: TransformSpec,
    reference: Reference,
    packed_file: str,
) -> _Predicted:
    """Read the rows and have the tasks predict and write them.

    Where a task meets a text that is no UTF-8, all start again with a check of its column.
    """
    attempt.report(Progress("reading tables"))
    configure_session(spark, spec, attempt.recipe)
    invalid: set[str] = set()
    while True:
        try:
            return _predict_checked_rows(attempt, spark, spec, reference, packed_file, invalid)
        except InvalidTextError as error:
            columns = json.loads(str(error))
            if invalid.issuperset(columns):  # they are checked already, so this is a defect
                raise
            invalid |= {*columns}
            named = ", ".join(columns)
            text = f"{named} has texts that are no UTF-8; their rows go to quarantine"
            attempt.report(Progress(text))


def _predict_checked_rows(
    attempt: ScoreAttempt,
    spark: "SparkSession",
    spec: TransformSpec,
    reference: Reference,
    packed_file: str,
    invalid: set[str],
) -> _Predicted:
    reading = attempt.reading
    rows = read_rows_to_score(spark, reading, attempt.plan, spec, attempt.written, invalid)
    for remark in rows.raw.list_remarks():
        attempt.report(Progress(remark))
    try:
        base = attempt.base[1] if attempt.base else None
        by = choose_partition_columns(attempt.plan, attempt.root, base)
        schema = build_table_schema(
            rows.checked.schema,
            rows.raw.main.stored,
            attempt.written,
            by,
            spec.label,
            attempt.recipe.name,
        )
        refuse_other_columns(schema, attempt.root, base)
        scoring = _build_options(attempt, rows, spec, reference, schema, by, packed_file)
        engine = find_engine(spark)
        for file in [packed_file, *_list_text_files(spec)]:
            engine.send_file(file)
        shared = engine.share(scoring)
        attempt.report(Progress(f"scoring {rows.raw.rows_read:,} rows with {attempt.model.uri}"))
        results = TaskResults()
        try:
            with explain_spark_errors(f"scoring {attempt.plan.source}"):
                scorer = build_scorer(shared, rows.frame.columns)
                reports = with_safe_names(rows.frame).mapInArrow(scorer, RESULTS_DDL)
                for row in reports.collect():
                    results.add_bytes(bytes(row["results"]))
        finally:
            shared.unpersist()
        if results.files:
            refuse_unseen_file(attempt.root, results.files[0].path)
        return _Predicted(rows, results, schema, by)
    finally:
        rows.raw.unpersist()


def _build_options(
    attempt: ScoreAttempt,
    rows: RowsToScore,
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
        partition_columns=tuple(rows.raw.main.partition_columns),
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
        checks=tuple(check.name for check in rows.checked.checks),
        late=rows.late,
        logged_values=_list_logged_values(attempt, rows),
    )


def _list_logged_values(
    attempt: ScoreAttempt, rows: RowsToScore
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
    drifted = "; ".join(lines[:5])
    if attempt.recipe.score.on_drift == "fail":
        raise LakeError(
            f"rows differ from those that {attempt.model.uri} was trained on: {drifted}. Nothing "
            "was published; look at the source, raise the limits in `score`, or train again"
        )
    attempt.report(Progress(f"rows drifted from those of training: {drifted}"))


def _keep_rejected(attempt: ScoreAttempt, predicted: _Predicted) -> str | None:
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
    with explain_spark_errors(f"scoring {attempt.plan.source}"):
        write_quarantine(
            rows.checked,
            rows.raw.main,
            root=attempt.root,
            build_id=attempt.build_id,
            expected=rejected,
        )
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


def _list_text_files(spec: TransformSpec) -> list[str]:
    """List the local files of a transform's vocabularies, each once."""
    return sorted({t.files.locate_file(t.file) for t in spec.stored_texts if t.files})


def _read_text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")

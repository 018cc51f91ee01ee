"""Run the score stage: a table of raw rows and a registered model in, predictions out."""

import os
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.errors import DatasetError, ModelError
from headrace.lake.predictions import (
    discard_predictions,
    find_newest_predictions,
    find_published_predictions,
)
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import refuse_ambiguous_root, resolve_root
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.score.attempt import ScoreAttempt
from headrace.score.job import Published, publish_removal, score_rows
from headrace.score.local.jobs import LocalJobs
from headrace.score.local.start import start_workers
from headrace.score.plan import make_plan
from headrace.score.reading import list_written_columns, replace_main_table
from headrace.score.session import warm_up_workers
from headrace.score.spark_jobs import SparkJobs
from headrace.score.table import normalize_table_name, refuse_overlapping_tables
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.workers import Workers
from headrace.source.spark_errors import explain_lost_server
from headrace.spark_catalog import check_registration, register_table
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_session import spark_session
from headrace.tracking.model import ModelVersion, download_model_file, find_model
from headrace.tracking.registry import find_champion
from headrace.tracking.store import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Scored:
    """The result of a scoring job.

    Attributes:
        root: of the predictions.
        version: of their Delta table.
        record: what was scored, and by which model.
        published: whether this job published it.
        why: what was done and why; human-readable.
        seconds: time of every step.
    """

    root: str
    version: int
    record: ScoreRecord
    published: bool
    why: str
    seconds: dict[str, float]

    @property
    def quarantine(self) -> str | None:
        """Return the folder of the rows that broke the contract; None where there are none."""
        return f"{self.root}/{self.record.quarantine}" if self.record.quarantine else None


def score(
    recipe: Recipe,
    *,
    table: str,
    output: str,
    workdir: str,
    report: Report,
    model_uri: str | None = None,
    full: bool = False,
    idempotency_id: str | None = None,
) -> Scored:
    """Score the source partitions of a table that are new or changed.

    Args:
        recipe: how the main table is read and joined; score, increments, spark and tracking.
        table: to score, in place of the recipe's main table: a folder, a URL, or a name in Spark's
            catalog.
        output: folder or URL of the predictions, a Delta table.
        workdir: local folder for Spark's scratch files.
        report: told of progress.
        model_uri: the champion of the recipe's model by default.
        full: score everything, scored before or not.
        idempotency_id: publish once under this id, however often it is run.

    Raises:
        ModelError: there is no champion, no such model, or it predicts nonsense.
        LakeError: the table does not fit the model, or drifted and `score.on_drift` is fail.
        LedgerError: a row is unaccounted for.
        ConflictError: another job published predictions meanwhile.
        In every case nothing is published, and the files of this job are removed; but for a
        LakeError of a catalog that fails once the predictions are published, which says so.
    """
    root = resolve_root(output)
    refuse_ambiguous_root(root)
    if recipe.score.catalog_table is None:
        return _score(recipe, table, root, workdir, report, model_uri, full, idempotency_id)
    spark = _start_spark(recipe, workdir, report)
    registration = (spark, "score.catalog_table", recipe.score.catalog_table)
    is_registered = check_registration(*registration, root)
    scored = _score(recipe, table, root, workdir, report, model_uri, full, idempotency_id)
    if not is_registered:
        register_table(*registration, root)
        report(Progress(f"registered as {recipe.score.catalog_table} in Spark's catalog"))
    return scored


def _score(
    recipe: Recipe,
    table: str,
    root: str,
    workdir: str,
    report: Report,
    model_uri: str | None,
    full: bool,
    idempotency_id: str | None,
) -> Scored:
    """Score what is new or changed; where nothing is, do nothing."""
    began = time.monotonic()
    written = list_written_columns(recipe)
    if idempotency_id and (done := find_published_predictions(root, idempotency_id)):
        return Scored(
            root, *done, published=False, why=f"published as {idempotency_id} before", seconds={}
        )
    newest = find_newest_predictions(root)
    base = newest[1] if newest else None
    reading = replace_main_table(recipe, table)
    main = reading.source.tables[reading.source.main]
    source = redact_text(normalize_table_name(main.path) if main.path else str(main.table))
    refuse_overlapping_tables(source, base)
    report(Progress("listing the table"))
    plan = make_plan(reading, source, base, full=full)
    if plan.is_up_to_date and newest:
        seconds = {"total": round(time.monotonic() - began, 2)}
        return Scored(root, *newest, published=False, why=plan.reason, seconds=seconds)
    store = Store.from_recipe(recipe, workdir, os.environ)
    with ExitStack() as stack:
        workers = start_workers(reading, plan, report)
        if workers is not None:
            stack.enter_context(workers)
        report(Progress("finding the model"))
        model = _find_model(store, model_uri)  # before Spark starts: there may be none
        attempt = ScoreAttempt(
            recipe=recipe,
            reading=reading,
            plan=plan,
            root=root,
            base=newest,
            model=model,
            written=written,
            report=report,
            idempotency_id=idempotency_id,
            now=datetime.now(UTC),
            build_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
        )

        def download(name: str, folder: str) -> str:
            return download_model_file(store, model, name, folder)

        version, record = _discard_on_failure(
            attempt, lambda: _publish(attempt, workers, workdir, download)
        )
    seconds = {"total": round(time.monotonic() - began, 2)}
    return Scored(root, version, record, True, plan.reason, seconds)


def _publish(
    attempt: ScoreAttempt,
    workers: Workers | None,
    workdir: str,
    download: Callable[[str, str], str],
) -> Published:
    """Score in processes of this machine, or where Spark is needed, with it; and publish."""
    if not attempt.plan.processed:
        return publish_removal(attempt)
    if workers is not None:
        try:
            return score_rows(attempt, LocalJobs(attempt, workers), download)
        except NeedsSparkError as error:
            attempt.report(Progress(f"Spark is needed: {error}"))
            discard_predictions(attempt.root, attempt.build_id)
        finally:
            workers.stop()  # before files of a job that failed are removed
    spark = _start_spark(attempt.recipe, workdir, attempt.report)
    warm_up_workers(spark)
    with (
        explain_lost_server(f"scoring {attempt.plan.source}"),
        find_engine(spark).cancel_on_failure(f"headrace-{attempt.build_id}"),
    ):
        return score_rows(attempt, SparkJobs(attempt, spark), download)


def _start_spark(recipe: Recipe, workdir: str, report: Report) -> "SparkSession":
    """Start the session of the job, or use the one that runs."""
    return spark_session(
        recipe.spark,
        app_name=f"headrace score {recipe.name}",
        scratch=f"{workdir}/spark",
        report=report,
    )


def _find_model(store: Store, uri: str | None) -> ModelVersion:
    """Find the model of a URI, or the champion."""
    if uri:
        return find_model(store, uri)
    champion = find_champion(store)
    if champion is None:
        raise ModelError(
            f"model {store.registered_model} in {store.redacted_uri} has no champion to score "
            "with; run `headrace evaluate` and `headrace promote`, or name a version with --model"
        )
    return champion


def _discard_on_failure(attempt: ScoreAttempt, work: Callable[[], Published]) -> Published:
    """Do the work; where it fails, remove the files of the job."""
    try:
        return work()
    except BaseException:
        with suppress(DatasetError):  # a store that is gone
            discard_predictions(attempt.root, attempt.build_id)
        raise

"""The score stage: a table of raw rows and a registered model in, predictions in the lake out."""

import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.errors import DatasetError, ModelError
from headrace.lake.predictions import (
    discard_predictions,
    newest_predictions,
    published_predictions,
)
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import absolute_root
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.score.job import Job, Published
from headrace.score.plan import make_plan
from headrace.score.reading import table_to_score, written_columns
from headrace.score.session import warm_up
from headrace.score.table import one_name, refuse_tables_within
from headrace.spark_session import spark_session
from headrace.tracking.model import ModelVersion, find_model, model_file
from headrace.tracking.registry import champion_of
from headrace.tracking.store import Store


@dataclass(frozen=True)
class Scored:
    """What a scoring job leaves.

    Attributes:
        root: of the predictions.
        version: of their Delta table.
        record: what was scored by what.
        published: whether this job made it.
        why: what was done, for people.
        seconds: time a step.
    """

    root: str
    version: int
    record: ScoreRecord
    published: bool
    why: str
    seconds: dict[str, float]

    @property
    def quarantine(self) -> str | None:
        """Folder of the rows that broke the contract; None where there are none."""
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
    given_id: str | None = None,
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
        given_id: publish once under this id, however often it is run.

    Raises:
        ModelError: there is no champion, no such model, or it predicts nonsense.
        LakeError: the table does not fit the model, or drifted and `score.on_drift` is fail.
        LedgerError: a row is unaccounted for.
        ConflictError: another job published predictions meanwhile.
        In every case nothing is published, and the files of this job are removed.
    """
    began = time.monotonic()
    root = absolute_root(output)
    written = written_columns(recipe)
    if given_id and (done := published_predictions(root, given_id)):
        return Scored(
            root, *done, published=False, why=f"published as {given_id} before", seconds={}
        )
    newest = newest_predictions(root)
    base = newest[1] if newest else None
    reading = table_to_score(recipe, table)
    main = reading.source.tables[reading.source.main]
    source = redact_text(one_name(main.path) if main.path else str(main.table))
    refuse_tables_within(source, base)
    report(Progress("listing the table"))
    plan = make_plan(reading, source, base, full=full)
    if plan.nothing and newest:
        seconds = {"total": round(time.monotonic() - began, 2)}
        return Scored(root, *newest, published=False, why=plan.why, seconds=seconds)
    store = Store.of(recipe, workdir, os.environ)
    spark = None
    if plan.process:
        report(Progress("starting Spark"))
        spark = spark_session(
            recipe.spark, app_name=f"headrace score {recipe.name}", scratch=f"{workdir}/spark"
        )
        warm_up(spark)
    report(Progress("finding the model"))
    model = _model(store, model_uri)
    job = Job(
        recipe=recipe,
        reading=reading,
        plan=plan,
        root=root,
        base=newest,
        model=model,
        written=written,
        report=report,
        given_id=given_id,
        now=datetime.now(UTC),
        build_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}",
    )

    def work() -> Published:
        if spark is None:
            return job.run_without()
        return job.run(spark, lambda name, folder: model_file(store, model, name, folder))

    version, record = _discarded_on_failure(job, work)
    seconds = {"total": round(time.monotonic() - began, 2)}
    return Scored(root, version, record, True, plan.why, seconds)


def _model(store: Store, uri: str | None) -> ModelVersion:
    if uri:
        return find_model(store, uri)
    champion = champion_of(store)
    if champion is None:
        raise ModelError(
            f"model {store.registered_model} in {store.shown} has no champion to score with; run "
            "`headrace evaluate` and `headrace promote`, or name a version with --model"
        )
    return champion


def _discarded_on_failure(job: Job, work: Callable[[], Published]) -> Published:
    try:
        return work()
    except BaseException:
        with suppress(DatasetError):  # a store that is gone
            discard_predictions(job.root, job.build_id)
        raise

"""The prepare stage: raw tables in, one committed dataset version out, or nothing.

Where the dataset has a version already, only source partitions that changed are processed, and what
they replace is removed in the same commit (`plan.py`); where nothing changed, nothing is done.
What a build does with the rows it processes is in `building.py`.
"""

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.errors import ConflictError, DamagedError, DatasetError, RemovedError
from headrace.lake.build import sidecar_folder
from headrace.lake.commit import discard, published_version, require_ours
from headrace.lake.data_file import SPLITS
from headrace.lake.storage import absolute_root, open_files, reaching
from headrace.lake.version import DatasetVersion, newest_version
from headrace.prepare.attempt import Attempt, Clock, ContactError, DriftedError
from headrace.prepare.build import build_rows
from headrace.prepare.plan import Plan, make_plan
from headrace.prepare.publish import publish_rows, publish_without
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.source.partition_pruning import can_prune, folders_left_out
from headrace.source.read import read_raw
from headrace.spark_session import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Prepared:
    """What a prepare run leaves.

    Attributes:
        dataset: the newest version, opened.
        seconds: time a step.
        published: whether it was made by this run.
        why: what was done, for people.
    """

    dataset: DatasetVersion
    seconds: dict[str, float]
    published: bool = True
    why: str = ""

    @property
    def report(self) -> str:
        """Path of the build's data report, an HTML page."""
        return f"{self._folder}/report.html"

    @property
    def quarantine(self) -> str | None:
        """Folder of the rejected rows, as Parquet; None where there are none."""
        return f"{self._folder}/quarantine" if self.dataset.build.quarantine else None

    @property
    def _folder(self) -> str:
        return sidecar_folder(self.dataset.root, self.dataset.build.build_id)


@dataclass(frozen=True)
class Asked:
    """How a build is asked for.

    Attributes:
        full: process every source partition, changed or not.
        refit: and fit the transform again.
        given_id: publish once under this id, however often it is run.
        retry_conflicts: how often to begin again where another build was published meanwhile.
    """

    full: bool = False
    refit: bool = False
    given_id: str | None = None
    retry_conflicts: int = 0


def prepare(
    recipe: Recipe, *, workdir: str, report: Report, asked: Asked | None = None
) -> Prepared:
    """Run the stage.

    Args:
        recipe: source, clean, label, split, derive, features, dataset, increments and spark are
            read.
        workdir: local folder for Spark's log and scratch files.
        report: told of progress.
        asked: how; by default what changed is processed.

    Raises:
        LakeError: the lake does not fit the recipe, breaks a rule that must hold, or leaves
            nothing to train on; or its rows drifted and `increments.on_drift` is fail.
        LedgerError: a row is unaccounted for.
        ConflictError: another build was committed meanwhile.
        MachineError: Spark cannot start.
        In every case nothing is published and the files of this build are removed.
    """
    asked = asked or Asked()
    root = absolute_root(recipe.dataset.path)
    _check_root(root)
    for attempt in range(asked.retry_conflicts + 1):
        try:
            return _prepare_once(recipe, root, workdir, report, asked)
        except ConflictError:
            done = _published(root, asked)
            if done:
                return done
            if attempt == asked.retry_conflicts:
                raise
            report(Progress("another build was published meanwhile; starting again"))
    raise AssertionError("unreachable")


def _prepare_once(
    recipe: Recipe, root: str, workdir: str, report: Report, asked: Asked
) -> Prepared:
    if done := _published(root, asked):
        return done
    clock = Clock()
    version = newest_version(root)
    require_ours(root)
    base = _opened(root, version, report)
    report(Progress("listing the lake"))
    spark = leave_out = None
    if can_prune(recipe):  # Spark alone knows what the condition means
        spark = _spark(recipe, workdir, report)
        clock.lap("start_spark")
        leave_out = partial(folders_left_out, spark, recipe)
    plan = make_plan(recipe, base, full=asked.full, refit=asked.refit, leave_out=leave_out)
    clock.lap("plan")
    if plan.nothing:
        assert base is not None
        return Prepared(base, clock.seconds, published=False, why=plan.why)
    now = datetime.now(UTC)
    build_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    attempt = Attempt(recipe, root, build_id, asked.given_id, version, now, clock, report)
    if version is not None:
        report(Progress(plan.why))
    return _discarded_on_failure(root, build_id, lambda: _built(attempt, plan, workdir, spark))


def _built(attempt: Attempt, plan: Plan, workdir: str, started: "SparkSession | None") -> Prepared:
    clock, report, recipe = attempt.clock, attempt.report, attempt.recipe
    if not plan.process:
        published = publish_without(attempt, plan)
        clock.lap("commit")
        return _prepared(attempt, plan, published)
    spark = started or _spark(recipe, workdir, report)
    clock.lap("start_spark")
    while True:
        report(Progress("reading tables"))
        raw = read_raw(spark, recipe, plan)
        clock.lap("read")
        try:
            rows = build_rows(attempt, plan, raw)
            published = publish_rows(attempt, plan, raw, rows)
            clock.lap("commit")
            return _prepared(attempt, plan, published)
        except ContactError as error:
            names = ", ".join(error.names[:3])
            report(
                Progress(f"keys of {len(error.names)} more source partitions were met ({names})")
            )
            plan = plan.with_more(error.names)
        except DriftedError as error:
            report(Progress(f"fitting again, because rows drifted: {error}"))
            plan = plan.refitted(f"rows drifted ({error})")
        finally:
            raw.release()
        discard(attempt.root, attempt.build_id)


def _spark(recipe: Recipe, workdir: str, report: Report) -> "SparkSession":
    report(Progress("starting Spark"))
    return spark_session(
        recipe.spark, app_name=f"headrace prepare {recipe.name}", scratch=f"{workdir}/spark"
    )


def _prepared(attempt: Attempt, plan: Plan, version: int) -> Prepared:
    dataset = DatasetVersion.open(attempt.root, version)
    return Prepared(dataset, attempt.clock.seconds, why=plan.why)


def _discarded_on_failure(root: str, build_id: str, work: "Callable[[], Prepared]") -> Prepared:
    try:
        return work()
    except BaseException:
        with suppress(DatasetError):  # a store that is gone; vacuum finds what is left
            discard(root, build_id)
        raise


def _published(root: str, asked: Asked) -> Prepared | None:
    """The version that was published under the given id before."""
    if asked.given_id is None:
        return None
    version = published_version(root, asked.given_id)
    if version is None:
        return None
    why = f"published as {asked.given_id} before"
    return Prepared(DatasetVersion.open(root, version), {}, published=False, why=why)


def _opened(root: str, version: int | None, report: Report) -> DatasetVersion | None:
    if version is None:
        return None
    try:
        return DatasetVersion.open(root, version)
    except (RemovedError, DamagedError) as error:
        report(
            Progress(f"everything is processed, because the newest version is of no use: {error}")
        )
        return None


def _check_root(root: str) -> None:
    """Refuse a folder that holds something else, or cannot be reached, before any work is done."""
    files, path = open_files(root)
    with reaching(root):
        _check_folder(root, files, path)


def _check_folder(root: str, files: Any, path: str) -> None:
    if files.exists(path) and not files.isdir(path):
        raise DatasetError(f"dataset.path {root} is a file, expected a folder")
    if files.isdir(path) and files.ls(path) and not files.isdir(f"{path}/_delta_log"):
        names = {str(p).rstrip("/").rpartition("/")[2] for p in files.ls(path, detail=False)}
        ours = {"_headrace", *(f"split={s}" for s in SPLITS)}  # a first build that died
        if names - ours:
            raise DatasetError(
                f"dataset.path {root} holds {', '.join(sorted(names - ours)[:3])}, which is no "
                "dataset of Headrace; choose another folder"
            )

"""Run the prepare stage: raw tables in, one committed dataset version out, or nothing.

Where the dataset has a version already, only source partitions that changed are processed, and what
they replace is removed in the same commit (`plan.py`); where nothing changed, nothing is done.
What a build does with the rows it processes is in `build.py`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.columns.person_key import PersonKey
from headrace.errors import ConflictError, DamagedError, DatasetError, RemovedError
from headrace.lake.commit import discard_build, find_published_version, refuse_foreign_table
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import resolve_root
from headrace.lake.version import DatasetVersion, find_newest_version
from headrace.prepare.attempt import (
    Attempt,
    StepTimer,
    make_build_id,
)
from headrace.prepare.background_job import name_jobs
from headrace.prepare.build import BuildResult, build_rows
from headrace.prepare.dataset_root import check_root
from headrace.prepare.erase import plan_erasure
from headrace.prepare.local.build import LocalBuild, build_without_spark
from headrace.prepare.lookups import choose_concerned_partitions, record_lookups
from headrace.prepare.plan import Plan, make_plan
from headrace.prepare.publish import publish_retained, publish_rows
from headrace.prepare.revise_plan import revise_plan
from headrace.prepare.spark_jobs import SparkJobs
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.source.first_look import refuse_certain_mistakes
from headrace.source.keys import KEY_DEFINITION
from headrace.source.listed_columns import refuse_missing_columns
from headrace.source.listed_types import refuse_other_literals
from headrace.source.listing import Listing
from headrace.source.partition_pruning import can_prune, find_pruned_folders
from headrace.source.quarantine.writer import locate_quarantine
from headrace.source.read import read_raw
from headrace.source.spark_errors import explain_lost_server
from headrace.spark_catalog import check_registration, register_table
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_session import spark_session

_TABLE_KEY = "dataset.catalog_table"
# Files that a JVM which compiles little reads and writes in seconds; compressed, perhaps.
_SHORT_BYTES = 4 * 2**20

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Prepared:
    """The result of a prepare run.

    Attributes:
        dataset: the newest version, opened.
        seconds: time of every step.
        published: whether this run published it.
        why: what was done and why, for people.
    """

    dataset: DatasetVersion
    seconds: dict[str, float]
    published: bool = True
    why: str = ""

    @property
    def report(self) -> str:
        """Return the path of the build's data report, an HTML page."""
        folder = locate_sidecar(self.dataset.root, self.dataset.build.build_id)
        return f"{folder}/report.html"

    @property
    def quarantine(self) -> str | None:
        """Return the folder of the rejected rows, as Parquet; None where there are none."""
        build = self.dataset.build
        return locate_quarantine(self.dataset.root, build.build_id) if build.quarantine else None


@dataclass(frozen=True)
class BuildRequest:
    """A request for a build.

    Attributes:
        full: process every source partition, changed or not.
        refit: fit the transform again, on every source partition.
        idempotency_id: publish once under this id, however often it is run.
        retry_conflicts: how often to start again where another build was published meanwhile.
        erase: a person whose rows no version has any more from this one on.
    """

    full: bool = False
    refit: bool = False
    idempotency_id: str | None = None
    retry_conflicts: int = 0
    erase: PersonKey | None = None


def prepare(
    recipe: Recipe,
    *,
    workdir: str,
    report: Report,
    request: BuildRequest | None = None,
    wait_for: Callable[[], object] = lambda: None,
) -> Prepared:
    """Prepare a dataset version by a recipe.

    Args:
        recipe: source, clean, label, split, derive, features, dataset, increments and spark are
            read.
        workdir: local folder for Spark's log and scratch files.
        report: told of progress.
        request: by default what changed is processed.
        wait_for: waits for what the caller does meanwhile; called before Spark reads a row, and
            without Spark before anything is published. What it raises ends the build.

    Raises:
        LakeError: the lake does not fit the recipe, breaks a rule that must hold, or leaves
            nothing to train on; or its rows drifted and `increments.on_drift` is fail.
        LedgerError: a row is unaccounted for.
        ConflictError: another build was committed meanwhile.
        MachineError: Spark cannot start.
        In every case nothing is published and the files of this build are removed; but for a
        LakeError of a catalog that fails once the version is published, which says so.
    """
    request = request or BuildRequest()
    root = resolve_root(recipe.dataset.path)
    check_root(root)
    if recipe.dataset.catalog_table is None:
        return _prepare(recipe, root, workdir, report, request, wait_for)
    if _find_published(root, request) is None:
        refuse_certain_mistakes(recipe)
    registration = (_start_spark(recipe, workdir, report), _TABLE_KEY, recipe.dataset.catalog_table)
    is_registered = check_registration(*registration, root)
    prepared = _prepare(recipe, root, workdir, report, request, wait_for)
    if not is_registered:
        register_table(*registration, root)
        report(Progress(f"registered as {recipe.dataset.catalog_table} in Spark's catalog"))
    return prepared


def _prepare(
    recipe: Recipe,
    root: str,
    workdir: str,
    report: Report,
    request: BuildRequest,
    wait_for: Callable[[], object],
) -> Prepared:
    """Prepare a version, again where another build was published meanwhile."""
    for attempt in range(request.retry_conflicts + 1):
        try:
            return _prepare_once(recipe, root, workdir, report, request, wait_for)
        except ConflictError:
            done = _find_published(root, request)
            if done:
                return done
            if attempt == request.retry_conflicts:
                raise
            report(Progress("another build was published meanwhile; starting again"))
    raise AssertionError("unreachable")


def _prepare_once(
    recipe: Recipe,
    root: str,
    workdir: str,
    report: Report,
    request: BuildRequest,
    wait_for: Callable[[], object],
) -> Prepared:
    """Plan a build and run it; where nothing changed, do nothing."""
    if done := _find_published(root, request):
        return done
    timer = StepTimer()
    version = find_newest_version(root)
    refuse_foreign_table(root)
    base = _open_base(root, version, report)
    report(Progress("listing the lake"))
    spark: SparkSession | None = None
    suspicions: dict[str, None] = {}

    def refuse_mistakes(listings: Mapping[str, Listing | None]) -> None:
        for problem in refuse_missing_columns(recipe, listings):
            if str(problem) not in suspicions:
                report(Progress(f"suspected: {problem}"))
            suspicions[str(problem)] = None

    def find_pruned(listing: Listing) -> frozenset[str]:
        nonlocal spark
        refuse_mistakes({recipe.source.main: listing})
        spark = _start_spark(recipe, workdir, report)
        timer.record_step("start_spark")
        return find_pruned_folders(spark, recipe, listing)

    plan = make_plan(
        recipe,
        base,
        full=request.full,
        refit=request.refit,
        # Spark alone knows what the condition means.
        find_pruned=find_pruned if can_prune(recipe) else None,
    )
    now = datetime.now(UTC)
    if request.erase is not None:
        spark = spark or _start_spark(recipe, workdir, report)
        report(Progress("looking for the person's rows"))
        plan = plan_erasure(spark, recipe, plan, request.erase, now)
    timer.record_step("plan")
    if plan.is_up_to_date and request.erase is None:
        assert base is not None
        return Prepared(base, timer.seconds, published=False, why=plan.why)
    refuse_mistakes({recipe.source.main: plan.listing, **plan.lookups})
    refuse_other_literals(recipe, plan.listing, plan.lookups)
    build_id = make_build_id(now)
    attempt = Attempt(recipe, root, build_id, request.idempotency_id, version, now, timer, report)
    if version is not None:
        report(Progress(plan.why))
    return _discard_on_failure(
        root, build_id, lambda: _run_attempt(attempt, plan, workdir, spark, wait_for)
    )


def _run_attempt(
    attempt: Attempt,
    plan: Plan,
    workdir: str,
    started: "SparkSession | None",
    wait_for: Callable[[], object],
) -> Prepared:
    """Build until an outcome can be published: rows may need another plan than the first."""
    timer, report, recipe = attempt.timer, attempt.report, attempt.recipe
    spark = started
    if spark is None and plan.processed:
        outcome = build_without_spark(attempt, plan, f"{workdir}/prepare")
        if isinstance(outcome, LocalBuild):
            wait_for()  # it takes as long as reading these rows
            return _publish_built(attempt, outcome)
        plan = outcome
    digests: dict[str, pa.Table] = {}
    if plan.changed_lookups and plan.retained:
        spark = spark or _start_spark(recipe, workdir, report)
        timer.record_step("start_spark")
        plan, digests = choose_concerned_partitions(spark, attempt, plan)
        report(Progress(plan.why))
        timer.record_step("plan")
    if not plan.processed:
        wait_for()
        published = publish_retained(attempt, plan, record_lookups(attempt, plan, (), digests))
        timer.record_step("commit")
        return _open_prepared(attempt, plan, published)
    spark = spark or _start_spark(recipe, workdir, report, plan)
    wait_for()
    timer.record_step("start_spark")
    with (
        explain_lost_server(f"recipe {recipe.name!r}"),
        find_engine(spark).cancel_on_failure(name_jobs(attempt.build_id)),
    ):
        return _build_until_published(attempt, plan, spark, digests)


def _publish_built(attempt: Attempt, built: LocalBuild) -> Prepared:
    """Publish what was built without Spark."""
    plan, followed = built.plan, record_lookups(attempt, built.plan)
    published = publish_rows(attempt, plan, built.raw, built.result, followed)
    attempt.timer.record_step("commit")
    return _open_prepared(attempt, plan, published)


def _build_until_published(
    attempt: Attempt, plan: Plan, spark: "SparkSession", digests: "dict[str, pa.Table]"
) -> Prepared:
    timer, report, recipe = attempt.timer, attempt.report, attempt.recipe
    while True:
        report(Progress("reading tables"))
        follow = plan.partitioning != "table"
        raw = read_raw(spark, recipe, plan, follow=follow, erased=plan.erased)
        for remark in [*raw.list_remarks(), *_describe_definition(plan)]:
            report(Progress(remark))
        timer.record_step("read")
        try:
            outcome = build_rows(attempt, plan, raw, SparkJobs(attempt, plan, raw))
            if isinstance(outcome, BuildResult):
                followed = record_lookups(attempt, plan, raw.lookups, digests)
                published = publish_rows(attempt, plan, raw, outcome, followed)
                timer.record_step("commit")
                return _open_prepared(attempt, plan, published)
        finally:
            raw.unpersist()
        plan = revise_plan(plan, outcome, report)
        discard_build(attempt.root, attempt.build_id)


def _describe_definition(plan: Plan) -> list[str]:
    """Return what to say where a build that fits again compares keys otherwise than its base."""
    base = plan.base
    if base is None or not plan.refit or base.build.key_definition == KEY_DEFINITION:
        return []
    return [
        f"version {base.version} compares keys by definition {base.build.key_definition}, this "
        f"build by {KEY_DEFINITION} (docs/lakes.md): rows whose keys differ in more than the older "
        "one saw are no duplicates any more, and -0.0 is in the split of 0.0"
    ]


def _start_spark(
    recipe: Recipe, workdir: str, report: Report, plan: Plan | None = None
) -> "SparkSession":
    """Start the session of the stage, or use the one that runs.

    Args:
        recipe, workdir, report: of the stage.
        plan: all that it will read; None where that is not known.
    """
    size = plan.count_bytes({join.table for join in recipe.source.joins}) if plan else None
    return spark_session(
        recipe.spark,
        app_name=f"headrace prepare {recipe.name}",
        scratch=f"{workdir}/spark",
        report=report,
        is_short=size is not None and size < _SHORT_BYTES,
    )


def _open_prepared(attempt: Attempt, plan: Plan, version: int) -> Prepared:
    """Open the version that was published."""
    dataset = DatasetVersion.open(attempt.root, version)
    return Prepared(dataset, attempt.timer.seconds, why=plan.why)


def _discard_on_failure(root: str, build_id: str, work: "Callable[[], Prepared]") -> Prepared:
    """Do the work; where it fails, remove the files of the build."""
    try:
        return work()
    except BaseException:
        with suppress(DatasetError):  # a store that is gone; vacuum finds what is left
            discard_build(root, build_id)
        raise


def _find_published(root: str, request: BuildRequest) -> Prepared | None:
    """Find the version that was published under the given id before."""
    if request.idempotency_id is None:
        return None
    version = find_published_version(root, request.idempotency_id)
    if version is None:
        return None
    why = f"published as {request.idempotency_id} before"
    return Prepared(DatasetVersion.open(root, version), {}, published=False, why=why)


def _open_base(root: str, version: int | None, report: Report) -> DatasetVersion | None:
    """Open the newest version; None where there is none that can be read."""
    if version is None:
        return None
    try:
        return DatasetVersion.open(root, version)
    except (RemovedError, DamagedError) as error:
        report(
            Progress(f"everything is processed, because the newest version cannot be used: {error}")
        )
        return None

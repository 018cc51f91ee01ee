"""The prepare stage: raw tables in, one committed dataset version out, or nothing.

Two jobs: the first reads the lake, fits the transform and counts every bucket; the second
transforms and writes what the first kept. Where rows were rejected, they are read once more with
all their columns. The ledger is checked in between the written files and the commit.
"""

import math
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import fsspec

import pipelines
from pipelines.errors import DatasetError
from pipelines.lake.build import Build, sidecar_folder
from pipelines.lake.commit import discard, publish, require_ours
from pipelines.lake.files import SPLITS
from pipelines.lake.ledger import Ledger
from pipelines.lake.profile import Profile, RawColumnProfile, RuleCount
from pipelines.lake.version import DatasetVersion, absolute_root
from pipelines.prepare.explain import explained
from pipelines.prepare.fit import Fitted, fit
from pipelines.prepare.gather import Gathering, gathered
from pipelines.prepare.late import Late, keeps_order, late_columns, late_files
from pipelines.prepare.names import FILE, POSITION
from pipelines.prepare.profiling import axes_of
from pipelines.prepare.quarantine import write_quarantine
from pipelines.prepare.read import Raw, read_raw, unfitted_of
from pipelines.prepare.report import report_html
from pipelines.prepare.rules import Checked, check_rows
from pipelines.prepare.tag import Buckets, tag_rows, with_labels
from pipelines.prepare.verdict import refuse_bad_labels, refuse_no_train_rows, refuse_violations
from pipelines.prepare.windows import add_windows
from pipelines.prepare.write import Writing, Written, file_schema, write_files
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.recipe.redact import redact
from pipelines.spark_session import spark_session
from pipelines.transform.fit import Unfitted, class_weights
from pipelines.transform.variables import LABEL

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

UNSEEN_CLASS = "label class is not in the train split"
_Result = TypeVar("_Result")
EXCLUDED = "where of the main table"


@dataclass(frozen=True)
class Prepared:
    """What a prepare run leaves.

    Attributes:
        dataset: the new version, opened.
        seconds: time a step.
    """

    dataset: DatasetVersion
    seconds: dict[str, float]

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


def prepare(recipe: Recipe, *, workdir: str, report: Report) -> Prepared:
    """Run the stage.

    Args:
        recipe: source, clean, label, split, derive, features, dataset and spark are read.
        workdir: local folder for Spark's log and scratch files.
        report: told of progress.

    Raises:
        LakeError: the lake does not fit the recipe, breaks a rule that must hold, or leaves
            nothing to train on.
        LedgerError: a row is unaccounted for.
        ConflictError: another build was committed meanwhile.
        MachineError: Spark cannot start.
        In every case nothing is published and the files of this build are removed.
    """
    clock = _Clock()
    root = absolute_root(recipe.dataset.path)
    _check_root(root)
    require_ours(root)
    report(Progress("starting Spark"))
    spark = spark_session(
        recipe.spark, app_name=f"headrace prepare {recipe.name}", scratch=f"{workdir}/spark"
    )
    clock.lap("start_spark")
    report(Progress("reading tables"))
    raw = read_raw(spark, recipe)
    now = datetime.now(UTC)
    build_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    try:
        clock.lap("read")
        return _build(_Attempt(recipe, root, build_id, now, clock, report), raw)
    except BaseException:
        discard(root, build_id)
        raise
    finally:
        raw.release()


@dataclass(frozen=True)
class _Attempt:
    recipe: Recipe
    root: str
    build_id: str
    now: datetime
    clock: "_Clock"
    report: Report


def _build(attempt: _Attempt, raw: Raw) -> Prepared:
    from pyspark import StorageLevel

    recipe, root, build_id = attempt.recipe, attempt.root, attempt.build_id
    clock, report = attempt.clock, attempt.report
    report(Progress(f"fitting on {raw.read:,} rows"))
    with explained(f"recipe {recipe.name!r}"):
        checked, unfitted, tagged, late = _tagged(recipe, raw)
        targets = max(1, math.ceil(raw.read / recipe.dataset.rows_per_file))
        shared = tagged.sparkSession.sparkContext.broadcast(late) if late else None
        gathering = Gathering(unfitted, len(checked.checks), targets, recipe.split.seed, shared)
        blobs = gathered(tagged, gathering).persist(StorageLevel.DISK_ONLY)
    try:
        with explained(f"recipe {recipe.name!r}"):
            fitted = fit(blobs, unfitted)
        buckets = _named(fitted, checked)
        refuse_violations(checked.checks, fitted.counts, raw.read)
        refuse_no_train_rows(buckets, recipe)
        refuse_bad_labels(fitted.statistics[LABEL], recipe)
        clock.lap("fit")
        kept = sum(buckets.get(split, 0) for split in SPLITS)
        report(Progress(f"writing {kept:,} rows"))
        weights = {}
        if recipe.label.class_weight is not None:
            weights = class_weights(recipe.label, fitted.statistics[LABEL])
        axes = axes_of(fitted.spec, unfitted, fitted.statistics)
        writing = Writing(root, build_id, recipe.dataset.rows_per_row_group, axes, weights)
        takes_out = [c.name for c in checked.checks if c.on_violation == "quarantine"]
        rejected = sum(buckets.get(name, 0) for name in takes_out)
        if rejected:
            report(Progress(f"writing {kept:,} rows, keeping {rejected:,} rejected ones"))
        with _Beside(tagged, build_id) as beside, explained(f"recipe {recipe.name!r}"):
            keeping = beside.start(
                lambda: (
                    write_quarantine(
                        checked, raw.main, root=root, build_id=build_id, expected=rejected
                    )
                    if rejected
                    else None
                )
            )
            written = write_files(blobs, fitted.spec, writing)
            quarantine = keeping.result()
        clock.lap("write")
    finally:
        blobs.unpersist()
        if shared:
            shared.unpersist()
    report(Progress("checking the ledger and committing"))
    build = Build(
        build_id=build_id,
        created_at=attempt.now.isoformat(timespec="seconds"),
        headrace_version=pipelines.__version__,
        recipe=redact(recipe.resolved()),
        sources=redact(raw.sources),
        ledger=_ledger(raw, checked, buckets, fitted.counts.duplicates, written),
        files=tuple(written.files),
        label_kind=recipe.label.kind,
        transform_digest=fitted.spec.digest(),
        quarantine=f"_headrace/{build_id}/quarantine" if quarantine else None,
    )
    profile = _profile(unfitted, checked, fitted, written)
    texts = {
        "profile.json": profile.model_dump_json(),
        "report.html": report_html(recipe.name, build, profile),
    }
    schema = file_schema(fitted.spec)
    version = publish(root, build, schema, fitted.spec.to_json(), texts)
    clock.lap("commit")
    return Prepared(DatasetVersion.open(root, version), clock.seconds)


class _Beside:
    """A second Spark job at the same time: each fills the cores that the other leaves idle.

    Where the block fails, the second job is cancelled.
    """

    def __init__(self, frame: "DataFrame", build_id: str) -> None:
        self._context = frame.sparkSession.sparkContext
        self._tag = f"headrace-{build_id}"
        self._pool = ThreadPoolExecutor(1)

    def start(self, work: "Callable[[], _Result]") -> "Future[_Result]":
        def tagged() -> "_Result":
            self._context.addJobTag(self._tag)
            return work()

        return self._pool.submit(tagged)

    def __enter__(self) -> "_Beside":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._context.cancelJobsWithTag(self._tag)
        self._pool.shutdown()


def _tagged(recipe: Recipe, raw: Raw) -> "tuple[Checked, Unfitted, DataFrame, Late | None]":
    """The checked rows (for the quarantine), what is to be fitted, and the rows for the tasks."""
    windows = recipe.source.windows
    if not windows:
        rows = with_labels(raw.rows, recipe)
        checked = check_rows(rows, recipe, raw.main)
        unfitted = unfitted_of(recipe, rows)
        late = _late(raw, checked, unfitted)
        if late:
            tagged = tag_rows(checked, recipe, unfitted.raw, late.columns)
            if keeps_order(tagged):
                return checked, unfitted, tagged, late
        return checked, unfitted, tag_rows(checked, recipe, unfitted.raw), None
    # Rules look at single rows; what they reject is in no window.
    checked = check_rows(raw.rows.drop(FILE, POSITION), recipe, raw.main)
    excluded = checked.any_of("quarantine", "drop")
    rows = checked.rows
    if excluded is not None:
        rows = rows.withColumn("__headrace_excluded", excluded)
    rows = add_windows(rows, windows, "__headrace_excluded" if excluded is not None else None)
    rows = with_labels(rows, recipe)
    unfitted = unfitted_of(recipe, rows)
    tagged = tag_rows(Checked(rows, checked.checks), recipe, unfitted.raw)
    return checked, unfitted, tagged, None


def _late(raw: Raw, checked: Checked, unfitted: Unfitted) -> Late | None:
    columns = late_columns(raw.main, checked.checks, unfitted.raw)
    files = late_files(raw.main) if columns else None
    return Late(raw.main.name, columns, files) if files else None


def _named(fitted: Fitted, checked: Checked) -> dict[str, int]:
    """Rows a bucket, by name."""
    names = Buckets(checked.checks).names
    return {names[position]: rows for position, rows in fitted.counts.buckets.items()}


def _ledger(
    raw: Raw, checked: Checked, buckets: dict[str, int], duplicates: int, written: Written
) -> Ledger:
    taken = {
        action: {c.name: buckets.get(c.name, 0) for c in checked.checks if c.on_violation == action}
        for action in ("quarantine", "drop")
    }
    filtered = {n: buckets.get(n, 0) for n in Buckets(()).filters[:1]}
    filtered |= {n: buckets[n] for n in Buckets(()).filters[1:] if buckets.get(n)}
    if raw.excluded:
        filtered[EXCLUDED] = raw.excluded
    if written.unseen:
        filtered[UNSEEN_CLASS] = written.unseen
    return Ledger(
        read=raw.read,
        published={s: sum(f.rows for f in written.files if f.split == s) for s in SPLITS},
        quarantined=taken["quarantine"],
        duplicates=duplicates,
        filtered=filtered | taken["drop"],
    )


def _profile(unfitted: Unfitted, checked: Checked, fitted: Fitted, written: Written) -> Profile:
    nulls = fitted.counts.nulls
    columns = tuple(
        RawColumnProfile(
            name=name,
            kind=kind,
            missing={split: nulls[name, i] for i, split in enumerate(SPLITS)},
        )
        for name, kind in unfitted.raw.items()
    )
    rules = tuple(
        RuleCount(
            name=check.name,
            on_violation=check.on_violation,
            rows=fitted.counts.violations[i],
            examples=tuple(fitted.counts.examples.get(i, ())),
        )
        for i, check in enumerate(checked.checks)
    )
    return Profile(columns=columns, distributions=written.profiling.distributions(), rules=rules)


def _check_root(root: str) -> None:
    """Refuse a folder that holds something else before any work is done."""
    files, path = fsspec.url_to_fs(root)
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


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 2)
        self._last = now

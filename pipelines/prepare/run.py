"""The prepare stage: raw tables in, one committed dataset version out, or nothing.

Two passes over the lake: one fits the transform and counts every bucket, one transforms and
writes. The ledger is checked in between the written files and the commit.
"""

import math
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import fsspec

import pipelines
from pipelines.errors import DatasetError, LakeError
from pipelines.lake.build import Build
from pipelines.lake.commit import discard, publish, require_ours
from pipelines.lake.files import SPLITS, DataFile
from pipelines.lake.ledger import Ledger
from pipelines.lake.version import DatasetVersion, absolute_root
from pipelines.prepare.explain import explained
from pipelines.prepare.read import Raw, read_raw
from pipelines.prepare.tag import BUCKET, DUPLICATE, LABEL_MISSING, tag_rows
from pipelines.prepare.write import file_schema, write_files
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.recipe.redact import redact
from pipelines.spark_session import spark_session
from pipelines.transform.spark import Fitted, fit


@dataclass(frozen=True)
class Prepared:
    """What a prepare run leaves.

    Attributes:
        dataset: the new version, opened.
        seconds: time a step.
    """

    dataset: DatasetVersion
    seconds: dict[str, float]


def prepare(recipe: Recipe, *, workdir: str, report: Report) -> Prepared:
    """Run the stage.

    Args:
        recipe: source, clean, label, split, derive, features, dataset and spark are read.
        workdir: local folder for Spark's log and scratch files.
        report: told of progress.

    Raises:
        LakeError: the lake does not fit the recipe, or leaves nothing to train on.
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
    clock.lap("read")

    report(Progress(f"fitting on {raw.read:,} rows"))
    columns = list(raw.unfitted.raw)
    partitions = max(1, math.ceil(raw.read / recipe.dataset.rows_per_file))
    with explained(f"recipe {recipe.name!r}"):
        tagged = tag_rows(raw.rows, recipe, columns, partitions)
        fitted = fit(tagged, raw.unfitted, bucket=BUCKET, train="train", kept=set(SPLITS))
    _check_splits(fitted.buckets, recipe)
    clock.lap("fit")

    now = datetime.now(UTC)
    build_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    kept = sum(fitted.buckets.get(split, 0) for split in SPLITS)
    report(Progress(f"writing {kept:,} rows"))
    try:
        with explained(f"recipe {recipe.name!r}"):
            files, positive = write_files(
                tagged,
                fitted.spec,
                root=root,
                build_id=build_id,
                rows_per_row_group=recipe.dataset.rows_per_row_group,
            )
        clock.lap("write")
        _check_labels(positive, files, recipe)
        report(Progress("checking the ledger and committing"))
        build = Build(
            build_id=build_id,
            created_at=now.isoformat(timespec="seconds"),
            headrace_version=pipelines.__version__,
            recipe=redact(recipe.resolved()),
            sources=redact(raw.sources),
            ledger=_ledger(raw, fitted, files),
            files=tuple(files),
            label_kind=recipe.label.kind,
            transform_digest=fitted.spec.digest(),
        )
        version = publish(root, build, file_schema(fitted.spec), fitted.spec.to_json())
    except BaseException:
        discard(root, build_id)
        raise
    clock.lap("commit")
    return Prepared(DatasetVersion.open(root, version), clock.seconds)


def _ledger(raw: Raw, fitted: Fitted, files: list[DataFile]) -> Ledger:
    return Ledger(
        read=raw.read,
        published={s: sum(f.rows for f in files if f.split == s) for s in SPLITS},
        quarantined={},
        duplicates=fitted.buckets.get(DUPLICATE, 0),
        filtered={LABEL_MISSING: fitted.buckets.get(LABEL_MISSING, 0)},
    )


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


def _check_splits(buckets: dict[str, int], recipe: Recipe) -> None:
    if buckets.get("train"):
        return
    lost = ", ".join(f"{name}: {rows:,}" for name, rows in sorted(buckets.items()))
    raise LakeError(
        f"no row is left to train on, nothing was published; rows went to {lost or 'nowhere'}. "
        f"Check label.expression ({recipe.label.expression}) and split.key "
        f"({', '.join(recipe.split.key)}: all rows with one key share a split)"
    )


def _check_labels(positive: dict[str, int], files: list[DataFile], recipe: Recipe) -> None:
    rows = sum(f.rows for f in files if f.split == "train")
    if positive["train"] in (0, rows):
        raise LakeError(
            f"every label of the train split is {'true' if positive['train'] else 'false'} "
            f"({rows:,} rows); there is nothing to learn and nothing was published. "
            f"Check label.expression ({recipe.label.expression})"
        )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 2)
        self._last = now

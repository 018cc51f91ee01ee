"""Run the jobs of a build in processes of this machine, without Spark.

The tasks are Spark's, in the order in which Spark would run them, and so are the files, byte for
byte: what a row's bucket is and where it goes follows from its values alone. What differs is how
rows come to the tasks: they read all columns of their files themselves, and compute on Arrow what
Spark computes of keys, casts and labels.
"""

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from headrace.columns.statistics import TextCounts
from headrace.columns.values import RawKind
from headrace.errors import LedgerError
from headrace.guard import remove_at_end
from headrace.lake.version import DatasetVersion
from headrace.prepare.assign import Buckets
from headrace.prepare.attempt import Attempt
from headrace.prepare.build_jobs import BuildJobs
from headrace.prepare.clean import RowPlan
from headrace.prepare.compatibility import (
    resolve_fit_inputs,
    resolve_passthrough,
    resolve_stored_columns,
)
from headrace.prepare.first_job import plan_rows_per_file
from headrace.prepare.local.assign import RowAssigner, make_assigner
from headrace.prepare.local.blob_store import KeptBlob, remove_files
from headrace.prepare.local.tasks import (
    Given,
    MapTask,
    MergeTask,
    ReduceTask,
    WriteTask,
)
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.arrow_blobs import ROWS
from headrace.prepare.shuffle.dedup_across_partitions import (
    can_span_partitions,
    locate_duplicates,
)
from headrace.prepare.shuffle.join_keys import locate_join_keys
from headrace.prepare.shuffle.merge_statistics import Fitted, MergePlan, assemble_fitted
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.write.job import WriteOptions, Written, assemble_written
from headrace.source.keys import KEY_DEFINITION
from headrace.source.late_materialization import LateColumns, choose_late_columns
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.quarantine import (
    Rejected,
    list_quarantine_types,
    plan_quarantine,
)
from headrace.source.local.row_parts import divide_files
from headrace.source.local.table import LocalTable
from headrace.source.local.workers import Workers, deal_groups
from headrace.source.quarantine.writer import locate_quarantine
from headrace.source.types import SMALL_KINDS
from headrace.transform.spec import TransformSpec

_LEAST_ROWS, _MOST_ROWS = 65_536, 1 << 20
_FILES_PER_TASK = 8


class LocalJobs(BuildJobs):
    """The jobs of a build of rows that this machine reads by itself."""

    _rows: RowPlan
    _assigner: RowAssigner
    _options: ShuffleOptions
    _kept: list[KeptBlob]

    def __init__(
        self, attempt: Attempt, plan: Plan, table: LocalTable, workers: Workers, scratch: str
    ) -> None:
        """
        Args:
            attempt, plan: of the build.
            table: the main table.
            workers: run the tasks.
            scratch: local folder, for what tasks leave for others.

        Raises:
            NeedsSparkError: the plan wants what only Spark does.
        """
        self._attempt, self._plan, self._table, self._workers = attempt, plan, table, workers
        self._folder: str | None = None
        self._scratch = scratch
        self._rejected: list[Rejected] = []
        if plan.erased:
            raise NeedsSparkError("rows of persons are left out")
        if plan.invalid_texts:
            raise NeedsSparkError("texts are no UTF-8")
        if plan.retained and can_span_partitions(attempt.recipe, plan.partitions):
            raise NeedsSparkError("keys are compared with those of published rows")

    def plan_rows(
        self,
        spec: TransformSpec | None,
        reused_version: DatasetVersion | None,
        retained: DatasetVersion | None,
    ) -> RowPlan:
        recipe, schema = self._attempt.recipe, self._table.raw.schema
        if reused_version and reused_version.build.key_definition != KEY_DEFINITION:
            raise NeedsSparkError("the version compares keys by an older definition")
        if spec is not None and spec.rules is None:
            raise NeedsSparkError("the version's transform leaves rules to Spark")
        fit_inputs = resolve_fit_inputs(recipe, schema, spec)
        passthrough = resolve_passthrough(recipe, schema, reused_version)
        carried: dict[str, RawKind] = {**passthrough, **fit_inputs.raw}
        if odd := sorted(name for name, kind in carried.items() if kind not in SMALL_KINDS):
            raise NeedsSparkError(f"column {odd[0]} has lists or images")
        columns = self._table.columns
        boundaries = reused_version.build.time_boundaries if reused_version else None
        late = choose_late_columns(columns, (), carried)
        self._assigner = make_assigner(recipe, columns, late, carried, boundaries)
        self._late = LateColumns(columns.name, late, self._table.files) if late else None
        self._columns = list_quarantine_types(columns) if self._assigner.checks else {}
        self._rows = RowPlan(
            checks=self._assigner.checks,
            fit_inputs=fit_inputs,
            passthrough=passthrough,
            stored=resolve_stored_columns(recipe, schema, fit_inputs.raw, retained),
            boundaries=boundaries,
        )
        return self._rows

    def start_shuffle(self) -> Partitioner:
        attempt, raw, rows = self._attempt, self._table.raw, self._rows
        counts, rows_per_file, row_bytes = plan_rows_per_file(attempt, raw, rows.fit_inputs)
        self._options = ShuffleOptions(
            fit_inputs=rows.fit_inputs,
            checks=len(rows.checks),
            partitioner=Partitioner.for_rows(counts, rows_per_file, row_bytes=row_bytes),
            seed=attempt.recipe.split.seed,
            partition_index=raw.partition_index,
            duplicates_folder=locate_duplicates(attempt.root, attempt.build_id),
            join_keys_folder=locate_join_keys(attempt.root, attempt.build_id),
            collect_statistics=self._plan.reused_version is None,
            late=Given(self._late) if self._late else None,
            passthrough=tuple(rows.passthrough),
        )
        if self._options.partitioner.targets_per_bucket > 1:
            raise NeedsSparkError("rows are too many for one round of shuffling")
        if self._workers.are_separate:
            Path(self._scratch).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = tempfile.mkdtemp(prefix="blobs-", dir=self._scratch)
            remove_at_end(self._folder)
        return self._options.partitioner

    def merge_statistics(self, spec: TransformSpec | None) -> Fitted:
        read = self._read_rows()
        self._kept = self._reduce_rows(read)
        remove_files(read)
        small = sorted((b for b in self._kept if b[0] != ROWS), key=lambda blob: blob[1])
        self._kept = [blob for blob in self._kept if blob[0] == ROWS]
        plan = MergePlan.from_inputs(self._rows.fit_inputs, spec)
        by_name: dict[str, list[KeptBlob]] = defaultdict(list)
        for blob in small:
            by_name[blob[1]].append(blob)
        tasks = [
            MergeTask(plan, group) for group in deal_groups(list(by_name.values()), self._count(4))
        ]
        results = [blob for part in self._workers.run(tasks) for blob in part]

        def refuse_many_texts(key: str) -> TextCounts:
            raise NeedsSparkError(f"{key} has more distinct texts than are counted in memory")

        return assemble_fitted(results, self._rows.fit_inputs, spec, refuse_many_texts)

    def _count(self, each: int) -> int:
        """Return how many tasks to make, so many for each process."""
        return each * self._workers.count if self._workers.are_separate else 1

    def _read_rows(self) -> list[KeptBlob]:
        """Run the tasks that read and partition rows; keep those that are rejected."""
        names = Buckets(self._rows.checks).names
        quarantined = tuple(
            names.index(c.name) for c in self._rows.checks if c.on_violation == "quarantine"
        )
        total = self._table.raw.rows_read
        rows = int(np.clip(total // self._count(4), _LEAST_ROWS, _MOST_ROWS))
        tasks = [
            MapTask(
                self._table.columns.name, parts, self._options, self._assigner, quarantined,
                self._folder, self._table.csv,
            )
            for parts in divide_files(self._table, rows)
        ]  # fmt: skip
        blobs: list[KeptBlob] = []
        for kept, rejected in self._workers.run(tasks):
            blobs += kept
            self._rejected += rejected
        return blobs

    def _reduce_rows(self, blobs: list[KeptBlob]) -> list[KeptBlob]:
        partitioner = self._options.partitioner
        whole = partitioner.fits_one_task(self._workers.count, large=False)
        per_group = partitioner.targets_per_group if whole else 1
        by_group: dict[int, list[KeptBlob]] = defaultdict(list)
        for blob in blobs:
            by_group[blob[2] // per_group].append(blob)
        groups = [by_group[group] for group in sorted(by_group)]
        count = max(self._count(4), len(groups) // _FILES_PER_TASK)
        tasks = [
            ReduceTask(self._options, whole, part, self._folder)
            for part in deal_groups(groups, count)
        ]
        return [blob for part in self._workers.run(tasks) for blob in part]

    def find_needed_partitions(self, fitted: Fitted) -> tuple[str, ...]:
        return ()

    def write_rows(self, spec: TransformSpec, options: WriteOptions, rejected: int) -> Written:
        by_target: dict[int, list[KeptBlob]] = defaultdict(list)
        for blob in self._kept:
            by_target[blob[2]].append(blob)
        targets = [by_target[target] for target in sorted(by_target)]
        count = max(self._count(4), len(targets) // _FILES_PER_TASK)
        text, files = spec.to_json(), spec.text_files
        tasks: list[Any] = [
            WriteTask(options, text, files, part) for part in deal_groups(targets, count)
        ]
        quarantine = plan_quarantine(
            self._table,
            self._columns,
            [check.name for check in self._rows.checks],
            locate_quarantine(self._attempt.root, self._attempt.build_id),
            self._rejected,
            self._workers.count,
        )
        results = self._workers.run([*quarantine, *tasks])
        written = sum(results[: len(quarantine)])
        if written != rejected:
            raise LedgerError(
                f"{written:,} rows were written to the quarantine and {rejected:,} were rejected "
                "when they were counted. Nothing was published; run the build again"
            )
        blobs = [blob for part in results[len(quarantine) :] for blob in part]
        return assemble_written(blobs, options)

    def forget_rows(self) -> None:
        self._kept = []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

"""Score in processes of this machine, without Spark.

A file's columns are read as Spark's tasks read them: those of which SQL would have to make
something else at first, the others late, by the row's position.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from headrace.errors import InvalidTextError, LedgerError
from headrace.score.attempt import ScoreAttempt
from headrace.score.contract import (
    check_kinds,
    find_as_read,
    get_arrow_types,
    list_contract,
    refuse_other_types,
)
from headrace.score.local.tasks import RowReader, ScoreTask
from headrace.score.predicting import ScoreOptions
from headrace.score.reading import list_rules
from headrace.score.score_jobs import ModelFiles, RowsPlan, ScoreJobs
from headrace.score.task_results import TaskResults
from headrace.source.late_materialization import LateColumns, choose_late_columns
from headrace.source.local.checks import ContractChecks
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.quarantine import Rejected, list_quarantine_types, plan_quarantine
from headrace.source.local.row_parts import divide_files
from headrace.source.local.table import LocalTable, open_local_table
from headrace.source.local.workers import Workers
from headrace.source.quarantine.writer import locate_quarantine
from headrace.source.types import SMALL_KINDS
from headrace.transform.spec import TransformSpec

_LEAST_ROWS, _MOST_ROWS, _TASKS_PER_PROCESS = 65_536, 1 << 20, 4


@dataclass(frozen=True, kw_only=True)
class LocalRows(RowsPlan):
    """Rows that this machine reads by itself.

    Attributes:
        files: the main table's.
        reader: of its rows.
        quarantine_types: its columns -> type in Arrow, where rejected rows are read once more.
    """

    files: LocalTable
    reader: RowReader
    quarantine_types: dict[str, pa.DataType]


class LocalJobs(ScoreJobs[LocalRows]):
    """The jobs that score rows in processes of this machine."""

    where = " without Spark"

    def __init__(self, attempt: ScoreAttempt, workers: Workers) -> None:
        """
        Args:
            attempt: the job.
            workers: run the tasks.
        """
        self._attempt, self._workers = attempt, workers
        self._rejected: list[Rejected] = []

    def plan_rows(self, spec: TransformSpec, invalid_texts: Collection[str]) -> LocalRows:
        """Plan how the rows are read; see `ScoreJobs`.

        Raises:
            NeedsSparkError: only Spark reads or checks them right.
        """
        recipe, plan, written = self._attempt.reading, self._attempt.plan, self._attempt.written
        if invalid_texts:
            raise NeedsSparkError("texts are no UTF-8")
        if list_rules(recipe, spec):
            raise NeedsSparkError("rules are checked")
        if odd := sorted(column.name for column in spec.raw if column.kind not in SMALL_KINDS):
            raise NeedsSparkError(f"column {odd[0]} has lists or images")
        clean = recipe.clean.model_copy(update={"rules": []})
        recipe = recipe.model_copy(update={"clean": clean})
        files = open_local_table(recipe, plan, list_contract(spec, written))
        table = files.columns
        refuse_other_types(files.raw.schema, spec, table.name)
        kinds = check_kinds(table.schema, spec, table.name)
        contract = ContractChecks.from_table(recipe, table)
        checks = contract.list_checks()
        as_read = find_as_read(table.schema, written)
        late = choose_late_columns(table, checks, {**as_read, **kinds})
        early = {name: kind for name, kind in kinds.items() if name not in late}
        not_late = [name for name in written if name not in late or name not in as_read]
        names = dict.fromkeys([*early, *not_late, *contract.casts])
        reader = RowReader(
            table=table.name,
            stored={name: table.stored.get_arrow_type(name) for name in names},
            contract=contract,
            kinds=early,
            written=get_arrow_types(table.schema, not_late),
            csv=files.csv,
        )
        return LocalRows(
            raw=files.raw,
            table=table,
            schema=table.schema,
            checks=checks,
            late=LateColumns(table.name, late, files.files) if late else None,
            rules_left_out=tuple(dict.fromkeys(rule.name for rule in spec.left_out)),
            files=files,
            reader=reader,
            quarantine_types=list_quarantine_types(table) if checks and not late else {},
        )

    def predict_rows(
        self, rows: LocalRows, options: ScoreOptions, files: ModelFiles
    ) -> TaskResults:
        """Predict the rows in tasks of whole row groups; see `ScoreJobs`.

        Raises:
            NeedsSparkError: a value is among those of which only Spark knows what they are.
        """
        tasks = _TASKS_PER_PROCESS * self._workers.count
        count = int(np.clip(rows.raw.rows_read // tasks, _LEAST_ROWS, _MOST_ROWS))
        options = replace(options, spec_json="")
        results = TaskResults()
        try:
            reports = self._workers.run(
                [
                    ScoreTask(number, parts, rows.reader, options, files)
                    for number, parts in enumerate(divide_files(rows.files, count))
                ]
            )
        except InvalidTextError as error:
            named = ", ".join(json.loads(str(error)))
            raise NeedsSparkError(f"{named} has texts that are no UTF-8") from None
        for report, rejected in reports:
            results.add(report)
            self._rejected += rejected
        return results

    def write_rejected(self, rows: LocalRows, rejected: int) -> None:
        attempt = self._attempt
        tasks = plan_quarantine(
            rows.files,
            rows.quarantine_types,
            [check.name for check in rows.checks],
            locate_quarantine(attempt.root, attempt.build_id),
            self._rejected,
            self._workers.count,
        )
        written = sum(self._workers.run(tasks))
        if written != rejected:
            raise LedgerError(
                f"{written:,} rows were written to the quarantine and {rejected:,} were rejected; "
                "nothing was published. Run the command again"
            )

    def forget_rows(self, rows: LocalRows) -> None:
        """Do nothing: nothing is kept of them."""

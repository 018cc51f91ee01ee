"""The tasks of a scoring job without Spark: what one process does at a time.

They run the function that Spark's tasks run, on rows that they read themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.columns.values import RawKind
from headrace.features.stored_texts import TextFolder
from headrace.score.network import load_network
from headrace.score.predicting import ScoreOptions, score_batches
from headrace.score.score_jobs import ModelFiles
from headrace.score.task_results import TaskResults
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, name_output_copy
from headrace.source.local.casts import convert_to_kind, join_problems
from headrace.source.local.checks import ContractChecks
from headrace.source.local.csv_files import CsvSettings
from headrace.source.local.quarantine import Rejected, find_rejected
from headrace.source.local.row_parts import FilePart, StoredRows, read_part
from headrace.transform.arrow import ArrowTransform, load_transform


@dataclass(frozen=True)
class RowReader:
    """How rows of files become rows to score; sent to every task.

    Attributes:
        table: the main table's name, for messages.
        stored: columns that are read -> type in Arrow, as they are stored.
        contract: casts of them, and their checks.
        kinds: the model's raw columns among them -> kind.
        written: those that are written beside the predictions -> type in Arrow.
        csv: how lines are read, where files are CSV and not Parquet.
    """

    table: str
    stored: Mapping[str, pa.DataType]
    contract: ContractChecks
    kinds: Mapping[str, RawKind]
    written: Mapping[str, pa.DataType]
    csv: CsvSettings | None

    def list_names(self) -> list[str]:
        """Return the names of the columns of `read_batches`, in their order."""
        problems = [PROBLEMS] if self.contract.list_checks() else []
        written = map(name_output_copy, self.written)
        return [*self.kinds, *written, FILE, POSITION, *problems, BUCKET]

    def read_batches(self, part: FilePart) -> Iterator[pa.RecordBatch]:
        """Read the rows of a part, with what `score.reading` selects of Spark's rows.

        Raises:
            NeedsSparkError: a value is among those of which only Spark knows what they are.
        """
        for read in read_part(self.table, part, self.stored, self.csv):
            yield self._make_batch(read, part.number)

    def _make_batch(self, read: StoredRows, file: int) -> pa.RecordBatch:
        rows = read.rows
        checked = self.contract.check_rows(read.columns, rows)
        columns = [convert_to_kind(checked.columns[n], kind) for n, kind in self.kinds.items()]
        columns += [checked.columns[name].cast(kind) for name, kind in self.written.items()]
        columns.append(pa.array(np.full(rows, file, np.int64)))
        columns.append(pa.array(np.arange(read.first, read.first + rows, dtype=np.int64)))
        if checked.lost:
            columns.append(join_problems(checked.reasons, rows))
        bucket = np.zeros(rows, np.int32)
        for position, lost in reversed([*enumerate(checked.lost)]):  # the first that is broken
            bucket[lost] = 1 + position
        return pa.RecordBatch.from_arrays([*columns, pa.array(bucket)], names=self.list_names())


@dataclass(frozen=True)
class ScoreTask:
    """Read parts of files, predict their rows, and write the predictions.

    Attributes:
        number: in the files' names.
        parts: in the order of files and of rows in them.
        reader: of rows.
        options: of all tasks; the transform is in a file.
        model: its files.
    """

    number: int
    parts: tuple[FilePart, ...]
    reader: RowReader
    options: ScoreOptions
    model: ModelFiles

    def run(self) -> tuple[TaskResults, list[Rejected]]:
        """Return what became of the rows; and the rejected ones, where others write them."""
        transform = _load_transform(self.model.transform, self.model.texts)
        rejected: list[Rejected] = []
        checks = range(1, 1 + len(self.options.checks))

        def read_batches() -> Iterator[pa.RecordBatch]:
            for part in self.parts:
                for batch in self.reader.read_batches(part):
                    if not self.options.late and checks:
                        rejected.extend(find_rejected(batch, checks))
                    yield batch

        results = score_batches(
            read_batches(),
            self.reader.list_names(),
            self.options,
            f"{self.number:05d}-0",
            transform,
            lambda: load_network(self.model.network, transform.spec, 1),
        )
        return results, rejected


@lru_cache(maxsize=1)
def _load_transform(path: str, texts: str | None) -> ArrowTransform:
    """Load a transform once in a process."""
    files = TextFolder(texts, "the model's files") if texts else None
    return load_transform(Path(path).read_text(encoding="utf-8"), files)

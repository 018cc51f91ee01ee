"""Write the files of a quarantine: where they lie, their names, and their last two columns.

Both ways to fill a quarantine write through this module: by a query of its own (`by_query.py`), and
by the tasks that met the rows (`in_tasks.py`). Files go through fsspec from inside the tasks, as
the dataset's files do: to the same store, with the same credentials, whatever file systems Spark
itself knows.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import (
    explain_storage_errors,
    make_private_folder,
    open_filesystem,
    open_private,
)
from headrace.source.internal_columns import REASONS, RULES
from headrace.source.problems import split_rules_and_reasons

FOLDER = "quarantine"
"""Name of the folder in the one of a build."""


def locate_quarantine(root: str, build_id: str) -> str:
    """Return the folder or URL of a build's rejected rows; they lie beside the build's other files,
    so that a commit shows both or neither."""
    return f"{locate_sidecar(root, build_id)}/{FOLDER}"


def get_quarantine_path(build_id: str) -> str:
    """Return the same folder as builds and records name it: relative to the root."""
    return locate_quarantine("", build_id).lstrip("/")


def name_file(task: str, number: int | None = None) -> str:
    """Return the name of a file.

    Args:
        task: says which task writes it, and where attempts must not meet, which attempt.
        number: counts the task's files; None where it writes one.
    """
    return f"part-{task}.parquet" if number is None else f"part-{task}-{number:04d}.parquet"


def add_reasons(rows: pa.Table, problems: Sequence[str | None], checks: Sequence[str]) -> pa.Table:
    """Add the rules that rows violate, and the reasons: two lists of texts of the same length.

    Args:
        rows: rejected rows, all their columns as they were read.
        problems: PROBLEMS of each row.
        checks: names of all checks, by their position.
    """
    rules, reasons = split_rules_and_reasons(problems, checks)
    return rows.append_column(RULES, rules).append_column(REASONS, reasons)


class QuarantineFile:
    """One Parquet file of rejected rows, begun with the first of them; a context manager.

    Attributes:
        name: of the file.
        rows: that were written; where there are none, there is no file.
    """

    def __init__(self, folder: str, name: str) -> None:
        """
        Args:
            folder: of the quarantine; made where it is missing.
            name: of the file in it; one that is there is replaced.
        """
        self.name, self.rows = name, 0
        self._folder = folder
        self._stream: Any = None
        self._exit = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "QuarantineFile":
        return self

    def write_rows(self, rows: pa.Table) -> None:
        """Write rows, all of one schema.

        Raises:
            UnreachableError: the store refused, or did not answer.
        """
        with explain_storage_errors(self._folder):
            if self._writer is None:
                files, path = open_filesystem(self._folder)
                make_private_folder(files, path)
                self._stream = self._exit.enter_context(open_private(files, f"{path}/{self.name}"))
                self._writer = pq.ParquetWriter(self._stream, rows.schema, write_page_checksum=True)
            self._writer.write_table(rows)
        self.rows += rows.num_rows

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            with explain_storage_errors(self._folder):
                self._writer.close()
                self._exit.close()

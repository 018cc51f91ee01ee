"""Say what a scoring job asks of those who read, predict and write its rows.

They are Spark's tasks (`spark_jobs.py`), or processes of this machine (`local/`). Both run the same
kernels, and predict the same, bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from headrace.score.predicting import ScoreOptions
from headrace.score.task_results import TaskResults
from headrace.source.late_materialization import LateColumns
from headrace.source.raw_schema import RawSchema
from headrace.source.read import ReadRows
from headrace.source.rules import Check
from headrace.source.tables import TableColumns
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True, kw_only=True)
class RowsPlan:
    """What is known of the rows before one is predicted.

    Attributes:
        raw: counts and source partitions.
        table: the main table.
        schema: of the rows, as they are written.
        checks: of the rows, in the order of their buckets.
        late: columns that the tasks read themselves.
        rules_left_out: rules of the recipe that cannot be applied.
    """

    raw: ReadRows
    table: TableColumns
    schema: RawSchema
    checks: tuple[Check, ...]
    late: LateColumns | None
    rules_left_out: tuple[str, ...]


_Rows = TypeVar("_Rows", bound=RowsPlan)


@dataclass(frozen=True)
class ModelFiles:
    """Files of a model on this machine.

    Attributes:
        network: the SavedModel, packed into one file.
        transform: `transform.json`.
        texts: folder of the vocabularies that lie beside it; None where there are none.
    """

    network: str
    transform: str
    texts: str | None


class ScoreJobs(ABC, Generic[_Rows]):
    """The jobs that score rows, in the order in which they are called."""

    where: str
    """What is said of where rows are scored, behind the rows and the model."""

    @abstractmethod
    def plan_rows(self, spec: TransformSpec, invalid_texts: Collection[str]) -> _Rows:
        """Plan how the rows are read and checked.

        Args:
            spec: the model's transform.
            invalid_texts: columns with texts that are no UTF-8, whose rows are quarantined.

        Raises:
            LakeError: the table does not fit the model, or cannot be read.
        """

    @abstractmethod
    def predict_rows(self, rows: _Rows, options: ScoreOptions, files: ModelFiles) -> TaskResults:
        """Predict the rows and write the predictions; return what became of the rows.

        Raises:
            InvalidTextError: rows have texts that are no UTF-8.
        """

    @abstractmethod
    def write_rejected(self, rows: _Rows, rejected: int) -> None:
        """Write rejected rows to the quarantine, where `predict_rows` could not.

        Args:
            rows: of `plan_rows`.
            rejected: how many there are.
        """

    @abstractmethod
    def forget_rows(self, rows: _Rows) -> None:
        """Free what was kept of the rows."""

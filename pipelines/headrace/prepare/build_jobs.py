"""Say what a build asks of those who read, fit and write its rows.

They are Spark's tasks (`spark_jobs.py`), or processes of this machine (`local/`). Both run the same
kernels, and make the same files.
"""

from abc import ABC, abstractmethod

from headrace.lake.version import DatasetVersion
from headrace.prepare.clean import RowPlan
from headrace.prepare.shuffle.merge_statistics import Fitted
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.write.job import WriteOptions, Written
from headrace.transform.spec import TransformSpec


class BuildJobs(ABC):
    """The jobs of one build, in the order in which they are called."""

    @abstractmethod
    def plan_rows(
        self,
        spec: TransformSpec | None,
        reused_version: DatasetVersion | None,
        retained: DatasetVersion | None,
    ) -> RowPlan:
        """Plan what becomes of the rows: their labels, checks and buckets.

        Args:
            spec: the transform that rows are added to; None where it is fitted.
            reused_version: the version that has it.
            retained: the version whose rows stay as they are, beside these; None where there is
                none.

        Raises:
            LakeError: as `clean.clean_rows`.
        """

    @abstractmethod
    def start_shuffle(self) -> Partitioner:
        """Plan the first job; return how it partitions rows."""

    @abstractmethod
    def merge_statistics(self, spec: TransformSpec | None) -> Fitted:
        """Run the first job: bring rows of a key together, count them, and fit the transform.

        Args:
            spec: the transform where it is fitted already; then rows are counted only.

        Raises:
            LakeError: a feature cannot be fitted on these values.
            InvalidTextError: rows have texts that are no UTF-8.
        """

    @abstractmethod
    def find_needed_partitions(self, fitted: Fitted) -> tuple[str, ...]:
        """Find the retained partitions that share a key with the rows that are read."""

    @abstractmethod
    def write_rows(self, spec: TransformSpec, options: WriteOptions, rejected: int) -> Written:
        """Run the second job: transform and write the rows; and those that go to quarantine.

        Args:
            spec: the fitted transform.
            options: where and how.
            rejected: rows that go to quarantine.
        """

    @abstractmethod
    def forget_rows(self) -> None:
        """Free what the first job kept for the second; called once, whatever happened."""

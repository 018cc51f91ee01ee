"""Run the jobs of a build on Spark.

There are two: the first reads the lake, fits the transform and counts every bucket; the second
transforms and writes the rows that the first cached. Where rows were rejected, they are read once
more with all their columns, at the same time as the second job.
"""

from typing import TYPE_CHECKING

from headrace.lake.version import DatasetVersion
from headrace.lake.vocabulary_files import SidecarVocabularyFiles
from headrace.prepare.attempt import Attempt
from headrace.prepare.background_job import BackgroundJob
from headrace.prepare.build_jobs import BuildJobs
from headrace.prepare.clean import CleanRows, clean_rows
from headrace.prepare.first_job import find_needed_partitions, start_shuffle
from headrace.prepare.plan import Plan
from headrace.prepare.shuffle.merge_statistics import Fitted, merge_statistics
from headrace.prepare.shuffle.options import ShuffleOptions
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.probe_keys import HashedPartitions
from headrace.prepare.write.job import WriteOptions, Written, write_files
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.read import RawRows
from headrace.source.spark_errors import explain_spark_errors
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkJobs(BuildJobs):
    """The jobs of a build of rows that Spark reads."""

    _clean: CleanRows
    _options: ShuffleOptions
    _blobs: "DataFrame"
    _hashed: HashedPartitions | None

    def __init__(self, attempt: Attempt, plan: Plan, raw: RawRows) -> None:
        self._attempt, self._plan, self._raw = attempt, plan, raw
        self._what = f"recipe {attempt.recipe.name!r}"

    def plan_rows(
        self,
        spec: TransformSpec | None,
        reused_version: DatasetVersion | None,
        retained: DatasetVersion | None,
    ) -> CleanRows:
        attempt, texts = self._attempt, self._plan.invalid_texts
        with explain_spark_errors(self._what):
            self._clean = clean_rows(
                attempt.recipe, self._raw, spec, reused_version, attempt.started_at, texts, retained
            )
        return self._clean

    def start_shuffle(self) -> Partitioner:
        with explain_spark_errors(self._what):
            self._options, self._blobs, self._hashed = start_shuffle(
                self._attempt, self._plan, self._raw, self._clean
            )
        return self._options.partitioner

    def merge_statistics(self, spec: TransformSpec | None) -> Fitted:
        files = SidecarVocabularyFiles(self._attempt.root, self._attempt.build_id)
        with explain_spark_errors(self._what):
            return merge_statistics(self._blobs, self._clean.fit_inputs, files, spec)

    def find_needed_partitions(self, fitted: Fitted) -> tuple[str, ...]:
        return find_needed_partitions(self._attempt, self._plan, self._hashed, fitted, self._blobs)

    def write_rows(self, spec: TransformSpec, options: WriteOptions, rejected: int) -> Written:
        attempt = self._attempt

        def quarantine_rejected() -> None:
            if rejected:
                write_quarantine(
                    self._clean.checked,
                    self._raw.main,
                    root=attempt.root,
                    build_id=attempt.build_id,
                    expected=rejected,
                )

        # In the background: each job fills the cores that the other leaves idle.
        with (
            BackgroundJob(self._clean.rows, attempt.build_id) as background,
            explain_spark_errors(self._what),
        ):
            quarantine_job = background.start(quarantine_rejected)
            written = write_files(self._blobs, spec, options)
            quarantine_job.result()
        return written

    def forget_rows(self) -> None:
        find_engine(self._blobs.sparkSession).unpersist(self._blobs)
        if self._options.late:
            self._options.late.unpersist()

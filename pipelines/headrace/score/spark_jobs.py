"""Score on Spark: it reads and checks the rows, its tasks predict them."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from headrace.score.attempt import ScoreAttempt
from headrace.score.predicting import RESULTS_DDL, ScoreOptions, build_scorer
from headrace.score.reading import RowsToScore, read_rows_to_score
from headrace.score.score_jobs import ModelFiles, ScoreJobs
from headrace.score.session import configure_session
from headrace.score.task_results import TaskResults
from headrace.source.internal_columns import with_safe_names
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.spark_errors import explain_spark_errors
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SparkJobs(ScoreJobs[RowsToScore]):
    """The jobs that score rows on Spark."""

    where = ""

    def __init__(self, attempt: ScoreAttempt, spark: "SparkSession") -> None:
        self._attempt, self._spark = attempt, spark
        self._text_files: list[str] = []

    def plan_rows(self, spec: TransformSpec, invalid_texts: Collection[str]) -> RowsToScore:
        attempt = self._attempt
        configure_session(self._spark, spec, attempt.recipe)
        self._text_files = _list_text_files(spec)
        return read_rows_to_score(
            self._spark, attempt.reading, attempt.plan, spec, attempt.written, invalid_texts
        )

    def predict_rows(
        self, rows: RowsToScore, options: ScoreOptions, files: ModelFiles
    ) -> TaskResults:
        engine = find_engine(self._spark)
        for file in [files.network, *self._text_files]:
            engine.send_file(file)
        shared = engine.share(options)
        results = TaskResults()
        try:
            with explain_spark_errors(f"scoring {self._attempt.plan.source}"):
                scorer = build_scorer(shared, rows.frame.columns)
                reports = with_safe_names(rows.frame).mapInArrow(scorer, RESULTS_DDL)
                for row in reports.collect():
                    results.add_bytes(bytes(row["results"]))
        finally:
            shared.unpersist()
        return results

    def write_rejected(self, rows: RowsToScore, rejected: int) -> None:
        attempt = self._attempt
        with explain_spark_errors(f"scoring {attempt.plan.source}"):
            write_quarantine(
                rows.checked,
                rows.raw.main,
                root=attempt.root,
                build_id=attempt.build_id,
                expected=rejected,
            )

    def forget_rows(self, rows: RowsToScore) -> None:
        rows.raw.unpersist()


def _list_text_files(spec: TransformSpec) -> list[str]:
    """List the local files of a transform's vocabularies, each once."""
    return sorted({t.files.locate_file(t.file) for t in spec.stored_texts if t.files})

"""What a scoring job does: read, predict, look at drift, account for every row, commit."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

import headrace
from headrace.errors import LakeError, LedgerError
from headrace.lake.drift import ColumnDrift, drift_lines
from headrace.lake.predictions import publish_predictions
from headrace.lake.score_record import (
    PredictionFile,
    ScoredPartition,
    ScoreLedger,
    ScoreRecord,
)
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.redaction import redact_recipe
from headrace.score.files import Output
from headrace.score.monitor import Reference, drift_of
from headrace.score.network import packed
from headrace.score.plan import ScorePlan, partition_values
from headrace.score.predicting import DDL, Found, Scoring, scorer
from headrace.score.reading import ToScore, about_many_rows, rows_to_score
from headrace.score.session import tuned
from headrace.score.table import (
    folder_of,
    partition_columns,
    refuse_other_columns,
    table_schema,
)
from headrace.source.listing import list_table, same_files
from headrace.source.quarantine.by_query import write_quarantine
from headrace.source.quarantine.in_tasks import keep_only
from headrace.source.spark_errors import explained
from headrace.tracking.model import ModelVersion
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Published = tuple[int, ScoreRecord]
"""The version, and what was recorded of it."""


@dataclass(frozen=True)
class Job:
    """One scoring job, from its plan to the commit.

    Attributes:
        recipe: of the model.
        reading: the same with the table to score as its main one.
        plan: what is read.
        root: of the predictions.
        base: their newest version and its record; None for the first.
        model: that scores.
        written: columns that are written as they are.
        report: told of progress.
        given_id: under which it is published once.
        now, build_id: of this job.
    """

    recipe: Recipe
    reading: Recipe
    plan: ScorePlan
    root: str
    base: tuple[int, ScoreRecord] | None
    model: ModelVersion
    written: list[str]
    report: Report
    given_id: str | None
    now: datetime
    build_id: str

    def run(self, spark: "SparkSession", files: Callable[[str, str], str]) -> Published:
        """Score, and publish.

        Args:
            spark: the session.
            files: local path of one of the model's files, downloaded below a folder.

        Raises:
            as `run.score`.
        """
        with tempfile.TemporaryDirectory(prefix="headrace-score-") as folder:
            spec = TransformSpec.from_json(_text(files("transform", folder)))
            reference = Reference.of(json.loads(_text(files("reference", folder))))
            packed_file = f"{folder}/headrace-model-{self.build_id}.zip"
            # Models of an older Headrace have the network in the SavedModel that takes raw rows.
            packed(files(self.model.facts.get("network", "saved_model"), folder), packed_file)
            found, rows, schema, by = self._score(spark, spec, reference, packed_file)
            drift = drift_of(reference, found, spec.label, self.recipe.score)
            self._look_at(drift)
            self.report(Progress("checking the ledger and committing"))
            # The model's file stays until Spark has nothing to do any more: an executor that joins
            # late asks for it, whatever its task is.
            quarantine = self._quarantined(rows, found)
        record = self._record(rows, found, drift, schema, by, quarantine)
        self._refuse_changed_files()
        return publish_predictions(self.root, record, schema), record

    def run_without(self) -> Published:
        """Nothing to score: the predictions of source partitions that are gone go as well."""
        assert self.base is not None
        version, before = self.base
        stay = {(p.source, p.name) for p in self.plan.stay}
        record = before.model_copy(
            update={
                "build_id": self.build_id,
                "created_at": self.now.isoformat(timespec="seconds"),
                "headrace_version": headrace.__version__,
                "partitions": self.plan.stay,
                "files": tuple(f for f in before.files if (f.source, f.partition) in stay),
                "drift": (),
                "quarantine": None,
                "base": version,
                "given_id": self.given_id,
            }
        )
        return publish_predictions(self.root, record, None), record

    def _score(
        self, spark: "SparkSession", spec: TransformSpec, reference: Reference, packed_file: str
    ) -> tuple[Found, ToScore, pa.Schema, tuple[str, ...]]:
        self.report(Progress("reading tables"))
        tuned(spark, spec, self.recipe)
        rows = rows_to_score(spark, self.reading, self.plan, spec, self.written)
        try:
            base = self.base[1] if self.base else None
            by = partition_columns(self.plan, self.root, base)
            schema = table_schema(
                rows.checked.rows,
                rows.raw.main.everything,
                self.written,
                by,
                spec.label,
                self.recipe.name,
            )
            refuse_other_columns(schema, self.root, base)
            scoring = self._scoring(rows, spec, reference, schema, by, packed_file)
            context = spark.sparkContext
            context.addFile(packed_file)
            shared = context.broadcast(scoring)
            self.report(Progress(f"scoring {rows.raw.rows_read:,} rows with {self.model.uri}"))
            safe = rows.frame.toDF(*(f"c{i}" for i in range(len(rows.frame.columns))))
            found = Found()
            try:
                with explained(f"scoring {self.plan.source}"):
                    made = safe.mapInArrow(scorer(shared, rows.frame.columns), DDL)
                    for row in made.collect():
                        found.add_bytes(bytes(row["found"]))
            finally:
                shared.unpersist()
            return found, rows, schema, by
        finally:
            rows.raw.release()

    def _scoring(
        self,
        rows: ToScore,
        spec: TransformSpec,
        reference: Reference,
        schema: pa.Schema,
        by: tuple[str, ...],
        packed_file: str,
    ) -> Scoring:
        places = rows.raw.places
        values = tuple(partition_values(name, self.plan.by) for name in places.names)
        output = Output(
            root=self.root,
            build_id=self.build_id,
            names=places.names,
            values=values,
            folders=tuple(map(folder_of, values)),
            schema=pa.schema([field for field in schema if field.name not in by]),
            rows_per_file=self.recipe.score.rows_per_file,
        )
        return Scoring(
            output=output,
            spec_json=spec.to_json(),
            model=Path(packed_file).name,
            places=places,
            partition_columns=tuple(rows.raw.main.partition_columns),
            written=tuple(name for name in self.written if name not in by),
            constants={
                "model_version": self.model.version,
                "dataset_version": self.model.facts["dataset_version"],
                "scored_at": int(self.now.timestamp() * 1e6),
            },
            threshold=float(self.model.facts.get("threshold", 0.5)),
            batch_rows=self.recipe.score.batch_rows,
            axes=reference.axes,
            prediction_axis=reference.prediction_axis,
            checks=tuple(check.name for check in rows.checked.checks),
            late=rows.late,
        )

    def _look_at(self, drift: tuple[ColumnDrift, ...]) -> None:
        """
        Raises:
            LakeError: rows drifted, and the recipe wants no predictions of them.
        """
        lines = drift_lines(drift)
        if not lines:
            return
        shown = "; ".join(lines[:5])
        if self.recipe.score.on_drift == "fail":
            raise LakeError(
                f"rows differ from those that {self.model.uri} was trained on: {shown}. Nothing "
                "was published; look at the source, raise the limits in `score`, or train again"
            )
        self.report(Progress(f"rows drifted from those of training: {shown}"))

    def _quarantined(self, rows: ToScore, found: Found) -> str | None:
        rejected = sum(n for (_, bucket), n in found.buckets.items() if bucket)
        if not rejected:
            return None
        folder = f"_headrace/{self.build_id}/quarantine"
        if rows.late:
            keep_only(f"{self.root}/{folder}", found.quarantine_files)
            if found.kept_aside != rejected:
                raise LedgerError(
                    f"{found.kept_aside:,} rows are in the quarantine and {rejected:,} were "
                    "rejected; nothing was published. Run the command again"
                )
            return folder
        self.report(Progress(f"keeping {rejected:,} rejected rows"))
        with explained(f"scoring {self.plan.source}"):
            write_quarantine(
                rows.checked,
                rows.raw.main,
                root=self.root,
                build_id=self.build_id,
                expected=rejected,
            )
        return folder

    def _record(
        self,
        rows: ToScore,
        found: Found,
        drift: tuple[ColumnDrift, ...],
        schema: pa.Schema,
        by: tuple[str, ...],
        quarantine: str | None,
    ) -> ScoreRecord:
        names = rows.raw.places.names
        checks = [check.name for check in rows.checked.checks]
        partitions = list(self.plan.stay)
        by_position: dict[int, dict[int, int]] = defaultdict(dict)
        for (position, bucket), count in found.buckets.items():
            by_position[position][bucket] = count
        for position, name in enumerate(names):
            buckets = by_position[position]
            ledger = ScoreLedger(
                read=rows.raw.read[name],
                scored=buckets.get(0, 0),
                quarantined={checks[b - 1]: n for b, n in sorted(buckets.items()) if b},
                filtered=rows.raw.excluded[name],
            )
            partitions.append(
                ScoredPartition(
                    source=self.plan.source,
                    name=name,
                    build_id=self.build_id,
                    model=self.model.uri,
                    files=self.plan.partitions[name],
                    ledger=ledger,
                )
            )
        stay = {(p.source, p.name) for p in self.plan.stay}
        before = self.base[1].files if self.base else ()
        new = [file.model_copy(update={"source": self.plan.source}) for file in found.files]
        files: list[PredictionFile] = [f for f in before if (f.source, f.partition) in stay] + new
        facts = self.model.facts
        return ScoreRecord(
            build_id=self.build_id,
            created_at=self.now.isoformat(timespec="seconds"),
            headrace_version=headrace.__version__,
            recipe=redact_recipe(self.recipe.resolved()),
            source=self.plan.source,
            model=self.model.uri,
            run_id=self.model.run_id,
            dataset={
                "root": facts["dataset_root"],
                "version": facts["dataset_version"],
                "digest": facts["dataset_digest"],
            },
            threshold=facts.get("threshold"),
            columns={field.name: str(field.type) for field in schema},
            partition_by=by,
            partitions=tuple(sorted(partitions, key=lambda p: (p.source, p.name))),
            files=tuple(sorted(files, key=lambda f: f.path)),
            drift=drift,
            rules_left_out=(*about_many_rows(self.recipe), *rows.rules_left_out),
            quarantine=quarantine,
            base=self.base[0] if self.base else None,
            given_id=self.given_id,
        )

    def _refuse_changed_files(self) -> None:
        """What was read is what was listed, or nothing is published."""
        if self.plan.listing is None:
            return
        main = self.reading.source.tables[self.reading.source.main]
        before = {f.path: f for name in self.plan.process for f in self.plan.partitions[name]}
        now = list_table(main, self.plan.listing.files)
        there = {p: f for p, f in now.files.items() if p in before} if now else {}
        if not same_files(there.values(), before.values()):
            raise LakeError(
                f"files of table {self.plan.source} changed while they were read, so the "
                "predictions are of neither state. Nothing was published; run the command again"
            )


def _text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")

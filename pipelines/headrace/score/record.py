"""Build the record of a scoring job: what became of its source partitions, and all files."""

from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa

import headrace
from headrace.lake.drift import ColumnDrift
from headrace.lake.file_columns import FileColumns
from headrace.lake.score_record import PredictionFile, ScoredPartition, ScoreLedger, ScoreRecord
from headrace.lake.snapshot import Snapshot
from headrace.redaction import redact_recipe, redact_value
from headrace.score.attempt import ScoreAttempt
from headrace.score.reading import list_rules_about_many_rows
from headrace.score.score_jobs import RowsPlan
from headrace.score.task_results import TaskResults


def build_record(
    attempt: ScoreAttempt,
    rows: RowsPlan,
    results: TaskResults,
    *,
    drift: tuple[ColumnDrift, ...],
    schema: pa.Schema,
    partition_by: tuple[str, ...],
    quarantine: str | None,
) -> ScoreRecord:
    """Build the record of rows that were scored, with those of earlier jobs that stay.

    Args:
        attempt: the job.
        rows: what was read.
        results: what the tasks reported, added up.
        drift: of the rows, measured.
        schema: of the table of predictions.
        partition_by: its partition columns.
        quarantine: folder of the rejected rows, relative to the root; None where there are none.
    """
    names = rows.raw.partition_index.names
    checks = [check.name for check in rows.checks]
    partitions = list(attempt.plan.unaffected)
    by_position: dict[int, dict[int, int]] = defaultdict(dict)
    for (position, bucket), count in results.buckets.items():
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
                source=attempt.plan.source,
                name=name,
                build_id=attempt.build_id,
                model=attempt.model.uri,
                files=attempt.plan.partitions[name],
                ledger=ledger,
            )
        )
    stay = {(p.source, p.name) for p in attempt.plan.unaffected}
    before = attempt.base[1].files if attempt.base else ()
    new = [file.model_copy(update={"source": attempt.plan.source}) for file in results.files]
    files: list[PredictionFile] = [f for f in before if (f.source, f.partition) in stay] + new
    metadata = attempt.model.metadata
    return ScoreRecord(
        build_id=attempt.build_id,
        created_at=attempt.now.isoformat(timespec="seconds"),
        headrace_version=headrace.__version__,
        recipe=redact_recipe(attempt.recipe.dump_resolved()),
        source=attempt.plan.source,
        model=attempt.model.uri,
        run_id=attempt.model.run_id,
        dataset={
            "root": metadata["dataset_root"],
            "version": metadata["dataset_version"],
            "digest": metadata["dataset_digest"],
        },
        threshold=metadata.get("threshold"),
        columns={field.name: str(field.type) for field in schema},
        partition_by=partition_by,
        partitions=tuple(sorted(partitions, key=lambda p: (p.source, p.name))),
        files=tuple(sorted(files, key=lambda f: f.path)),
        drift=drift,
        rules_left_out=(*list_rules_about_many_rows(attempt.recipe), *rows.rules_left_out),
        quarantine=quarantine,
        base=attempt.base[0] if attempt.base else None,
        given_id=attempt.idempotency_id,
        file_columns=_list_file_columns(attempt, partitions),
        snapshots=_list_snapshots(attempt),
        sources=redact_value(rows.raw.sources),
    )


def build_removal_record(attempt: ScoreAttempt) -> ScoreRecord:
    """Build the record of a job that scores nothing: the predictions of source partitions that are
    gone go as well."""
    assert attempt.base is not None
    version, before = attempt.base
    stay = {(p.source, p.name) for p in attempt.plan.unaffected}
    return before.model_copy(
        update={
            "build_id": attempt.build_id,
            "created_at": attempt.now.isoformat(timespec="seconds"),
            "headrace_version": headrace.__version__,
            "partitions": attempt.plan.unaffected,
            "files": tuple(f for f in before.files if (f.source, f.partition) in stay),
            "drift": (),
            "quarantine": None,
            "base": version,
            "given_id": attempt.idempotency_id,
            "file_columns": _list_file_columns(attempt, attempt.plan.unaffected),
            "snapshots": _list_snapshots(attempt),
        }
    )


def _list_snapshots(attempt: ScoreAttempt) -> dict[str, Snapshot]:
    return attempt.plan.list_snapshots(attempt.base[1].snapshots if attempt.base else {})


def _list_file_columns(
    attempt: ScoreAttempt, partitions: Iterable[ScoredPartition]
) -> dict[str, FileColumns]:
    """Return the columns of the files of partitions, by the digest that the files name."""
    known = dict(attempt.base[1].file_columns) if attempt.base else {}
    known |= attempt.plan.listing.schemas if attempt.plan.listing else {}
    used = {file.columns for partition in partitions for file in partition.files}
    return {digest: columns for digest, columns in known.items() if digest in used}

"""Publish nights of a dataset or of predictions by hand: small files, real commits, no Spark."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake import DatasetVersion, Ledger, publish_build
from headrace.lake.build import Build
from headrace.lake.predictions import find_newest_predictions, publish_predictions
from headrace.lake.score_record import PredictionFile, ScoredPartition, ScoreLedger, ScoreRecord
from headrace.lake.source_partition import SourceFile, SourcePartition
from tests.lake.building import SCHEMA, make_build, make_ledger, write_data_file

PREDICTION_SCHEMA = pa.schema([("prediction", pa.float64()), ("day", pa.string())])


def make_id(night: int) -> str:
    """Return the id of a night's build or job, like those of real ones."""
    return f"20260101T{night:06d}-{night:08x}"


def make_source_files(name: str, number: int = 3) -> tuple[SourceFile, ...]:
    """Make what a build lists of a source partition."""
    return tuple(
        SourceFile(
            path=f"{name}/part-{i:05d}.parquet", bytes=9, changed="1", rows=1, columns="ab12"
        )
        for i in range(number)
    )


def make_night(root: Path, night: int, base: DatasetVersion | None, *, without: int = -1) -> Build:
    """Make the build of a night: a new source partition of three files, named by the night; another
    one goes."""
    name, gone = f"day={night:04d}", f"day={without:04d}"
    build_id = make_id(night)
    old = base.build if base else None
    file = write_data_file(root, build_id, 5, name)
    ledger = make_ledger(5)
    partition = SourcePartition(
        name=name, build_id=build_id, files=make_source_files(name), ledger=ledger
    )
    partitions = (*(p for p in (old.partitions if old else ()) if p.name != gone), partition)
    changes = {
        "partitions": partitions,
        "files": (*(f for f in (old.files if old else ()) if f.partition != gone), file),
        "ledger": Ledger.merge_ledgers(p.ledger for p in partitions),
        "file_columns": {"ab12": (("row_id", "int64"),)},
        "base": base.version if base else None,
    }
    if old is None:
        first = make_build(root, build_id, 5)
        (root / first.files[0].path).unlink()  # that of a whole table
        return first.model_copy(update=changes)
    return old.model_copy(
        update=changes
        | {"build_id": build_id, "transform_of": old.transform_of or old.build_id, "given_id": None}
    )


def publish_night(root: Path, night: int, *, without: int = -1, given_id: str = "") -> None:
    """Publish a night on the newest version."""
    base = DatasetVersion.open(str(root)) if (root / "_delta_log").exists() else None
    build = make_night(root, night, base, without=without)
    build = build.model_copy(update={"given_id": given_id or None})
    publish_build(str(root), build, SCHEMA, "{}", like=base.build if base else None)


def score_night(root: Path, night: int, *, given_id: str = "") -> ScoreRecord:
    """Publish a night's predictions on the newest ones: of a new day."""
    newest = find_newest_predictions(str(root))
    old = newest[1] if newest else None
    day, job = f"{night:04d}", make_id(night)
    path = f"day={day}/part-{job}-7-0000.parquet"
    (root / path).parent.mkdir(parents=True, exist_ok=True)

    pq.write_table(pa.table({"prediction": [0.5] * 4}), root / path)
    file = PredictionFile(
        path=path, partition=f"day={day}", source="visits", values={"day": day}, rows=4,
        bytes=(root / path).stat().st_size,
    )  # fmt: skip
    partition = ScoredPartition(
        source="visits", name=f"day={day}", build_id=job, model="models:/m/1",
        files=make_source_files(f"day={day}"),
        ledger=ScoreLedger(read=4, scored=4, quarantined={}, filtered=0),
    )  # fmt: skip
    record = ScoreRecord(
        build_id=job, created_at="", headrace_version="0", recipe={"name": "by_hand"},
        source="visits", model="models:/m/1", run_id="r", dataset={}, threshold=None,
        columns={"prediction": "double"}, partition_by=("day",),
        partitions=(*(old.partitions if old else ()), partition),
        files=(*(old.files if old else ()), file), file_columns={"ab12": (("x", "double"),)},
        base=newest[0] if newest else None, given_id=given_id or None,
    )  # fmt: skip
    publish_predictions(str(root), record, PREDICTION_SCHEMA, old)
    return record

"""Scoring on Spark: what is read is scored once, or kept aside with the reason, or nothing is."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import ConflictError, DatasetError, LakeError, ModelError, RecipeError
from headrace.lake.predictions import open_predictions
from headrace.score import job as score_job
from headrace.score.run import Scored
from tests.prepare.daily import day_of, remove_day, write_day
from tests.score.scored import lake_with_model, read_predictions, score_events

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def trained(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    assert lake_with_model(folder) == "models:/daily/1"
    return folder


@pytest.fixture
def workdir(trained: Path) -> Path:
    """The lake as it was, and no predictions."""
    for name in ("scores", "other"):
        shutil.rmtree(trained / name, ignore_errors=True)
    for folder in (trained / "lake" / "events").iterdir():
        shutil.rmtree(folder)
    for day in (1, 2, 3):
        write_day(trained, day)
    return trained


def names(done: Scored) -> set[str]:
    """Source partitions that the job read."""
    record = done.record
    return {p.name for p in record.partitions if p.build_id == record.build_id}


def test_every_row_is_scored_once_or_quarantined(workdir: Path) -> None:
    done = score_events(workdir)
    ledger = done.record.ledger
    assert (ledger.read, ledger.scored, ledger.filtered) == (450, 441, 0)
    assert ledger.quarantined == {"range(x)": 9}
    frame = read_predictions(done)
    raw = pd.concat([day_of(day).to_pandas().assign(day=day) for day in (1, 2, 3)])
    expected = raw[raw["x"] >= 0].sort_values("event", ignore_index=True)
    assert frame["event"].tolist() == expected["event"].tolist()
    assert frame["day"].tolist() == expected["day"].tolist()  # the partition column
    assert frame["place"].where(frame["place"].notna(), None).tolist() == (
        expected["place"].where(expected["place"].notna(), None).tolist()
    )
    assert list(frame.columns) == [
        "event", "place", "prediction", "probability", "model_version", "dataset_version",
        "scored_at", "day",
    ]  # fmt: skip
    threshold = done.record.threshold
    assert threshold not in (None, 0.5)
    assert (frame["prediction"] == (frame["probability"] >= threshold)).all()
    assert set(frame["model_version"]) == {1}
    assert set(frame["dataset_version"]) == {0}
    assert len(set(frame["scored_at"])) == 1
    folders = {path.name for path in Path(done.root).iterdir() if not path.name.startswith("_")}
    assert folders == {"day=1", "day=2", "day=3"} or folders == {"day=01", "day=02", "day=03"}
    rejected = pq.read_table(done.quarantine).to_pandas()
    assert len(rejected) == 9
    assert set(rejected["quarantine_rules"].map(tuple)) == {("range(x)",)}
    assert rejected["quarantine_reasons"].iloc[0][0].startswith("x: '-")


def test_the_same_in_spark_in_pyfunc_and_in_training(spark, workdir: Path) -> None:
    """Every row of the test split, to 1e-5."""
    import keras
    import mlflow
    import pyspark.sql.functions as F

    from headrace.lake import DatasetVersion
    from headrace.models.predict import Predictor
    from headrace.transform.arrow import stack_inputs
    from headrace.transform.spec import TransformSpec

    frame = read_predictions(score_events(workdir))
    keys = spark.createDataFrame(frame[["event"]]).withColumn("row_id", F.xxhash64("event"))
    frame = frame.merge(keys.toPandas(), on="event")

    dataset = DatasetVersion.open(str(workdir / "dataset"))
    spec = TransformSpec.from_json(dataset.transform_json)
    names = [c for item in spec.inputs.values() for c in item.columns]
    test = dataset.read_columns("test", ["row_id", *names])
    inputs = stack_inputs({n: test[n].to_numpy() for n in names}, spec)
    mlflow.set_tracking_uri(f"sqlite:///{workdir}/mlflow/mlflow.db")
    file = mlflow.artifacts.download_artifacts("models:/daily/1/artifacts/model.keras")
    network = keras.saving.load_model(file, compile=False)
    in_training = pd.DataFrame(
        {"row_id": test["row_id"].to_numpy(), "expected": Predictor(network).predict_inputs(inputs)}
    )
    both = in_training.merge(frame, on="row_id")
    assert len(both) == len(in_training) == dataset.count_rows("test") > 60
    assert np.abs(both["expected"] - both["probability"]).max() < 1e-5

    raw = pd.concat([day_of(day).to_pandas() for day in (1, 2, 3)])
    places = pq.read_table(workdir / "lake" / "places").to_pandas()
    raw = raw.merge(places, on="place", how="left").set_index("event")
    served = mlflow.pyfunc.load_model("models:/daily/1").predict(raw.loc[frame["event"]])
    assert np.abs(served["probability"].to_numpy() - frame["probability"]).max() < 1e-5
    assert (served["prediction"].to_numpy() == frame["prediction"]).all()


def test_only_what_is_new_or_changed_is_scored(workdir: Path) -> None:
    first = score_events(workdir)
    again = score_events(workdir)
    assert (again.published, again.version, again.why) == (False, 0, "nothing changed")
    write_day(workdir, 4)
    grown = score_events(workdir)
    assert names(grown) == {"day=04"}
    assert grown.why == "source partitions: 1 new"
    write_day(workdir, 2, day_of(2, rows=20))
    changed = score_events(workdir)
    assert names(changed) == {"day=02"}
    frame = read_predictions(changed)
    before = read_predictions(first)
    assert len(frame) == 147 * 3 + 17
    assert not frame["event"].duplicated().any()
    unchanged = frame.merge(before, on=["event", "probability", "scored_at"])
    assert len(unchanged) == 147 * 2  # days 1 and 3 as they were
    remove_day(workdir, 1)
    shrunk = score_events(workdir)
    assert shrunk.record.processed_ledger.read == 0
    assert len(read_predictions(shrunk)) == 147 * 2 + 17
    # Older versions can still be read.
    assert len(read_predictions(first)) == 441


def test_everything_again_when_asked(workdir: Path) -> None:
    first = score_events(workdir)
    again = score_events(workdir, full=True)
    assert (again.published, again.version) == (True, 1)
    assert names(again) == {"day=01", "day=02", "day=03"}
    one, other = read_predictions(first), read_predictions(again)
    pd.testing.assert_frame_equal(one.drop(columns="scored_at"), other.drop(columns="scored_at"))


def test_published_once_under_an_id(workdir: Path) -> None:
    first = score_events(workdir, idempotency_id="nightly-1")
    write_day(workdir, 4)
    retried = score_events(workdir, idempotency_id="nightly-1")
    assert (retried.published, retried.version) == (False, first.version)
    assert score_events(workdir, idempotency_id="nightly-2").version == 1


def test_two_tables_share_the_predictions(workdir: Path) -> None:
    shutil.copytree(workdir / "lake" / "events" / "day=01", workdir / "lake" / "late" / "day=07")
    first = score_events(workdir)
    both = score_events(workdir, table=str(workdir / "lake" / "late"))
    assert both.version == 1
    assert len(read_predictions(both)) == len(read_predictions(first)) + 147
    assert not score_events(workdir).published
    shutil.rmtree(workdir / "lake" / "late")


def test_drift_is_in_the_record_and_may_fail_the_job(workdir: Path) -> None:
    quiet = score_events(workdir)
    assert not [d.name for d in quiet.record.drift if d.has_drifted]
    assert {"x", "height", "place", "prediction"} <= {d.name for d in quiet.record.drift}
    rows = day_of(4, rows=300)
    shifted = rows.set_column(2, "x", pa.array(np.full(300, 500.0)))
    write_day(workdir, 4, shifted)
    with pytest.raises(LakeError, match=r"rows differ .* models:/daily/1 .*x: population"):
        score_events(workdir, "score.on_drift=fail")
    assert open_predictions(str(workdir / "scores"))[0] == 0
    assert not list((workdir / "scores").glob("day=*4/*"))
    reported = score_events(workdir)
    assert "x" in {d.name for d in reported.record.drift if d.has_drifted}


def test_a_table_that_does_not_fit_the_model(workdir: Path) -> None:
    for day in (1, 2, 3):
        write_day(workdir, day, day_of(day).drop_columns(["x"]))
    with pytest.raises(LakeError, match=r"column 'x' is missing \(needed by the model\)"):
        score_events(workdir)
    texts = [day_of(day).set_column(2, "x", pa.array(["?"] * 150)) for day in (1, 2, 3)]
    for day, table in zip((1, 2, 3), texts, strict=True):
        write_day(workdir, day, table)
    with pytest.raises(LakeError, match=r"'x' has type string, expected boolean or integer or"):
        score_events(workdir)
    assert not (workdir / "scores").exists()


def test_the_label_is_not_asked_for(workdir: Path) -> None:
    for day in (1, 2, 3):
        write_day(workdir, day, day_of(day).drop_columns(["y", "at"]))
    done = score_events(
        workdir,
        "clean.rules=[{kind: range, column: x, min: 0}, {kind: not_null, columns: [y]}, "
        "{kind: unique, columns: [event]}]",
    )
    assert done.record.ledger.scored == 441
    assert done.record.rules_left_out == ("unique(event)",)
    with pytest.raises(LakeError, match=r"rules\.1 is .*'at > 0'}, it was not there"):
        score_events(
            workdir,
            "clean.rules=[{kind: range, column: x, min: 0}, {kind: expr, expression: at > 0}]",
            full=True,
        )


def test_a_declared_type_quarantines_what_does_not_cast(workdir: Path) -> None:
    for day in (1, 2, 3):
        rows = day_of(day)
        texts = pa.array([str(v) if n else "n/a" for n, v in enumerate(rows["x"].to_pylist())])
        write_day(workdir, day, rows.set_column(2, "x", texts))
    done = score_events(workdir, "source.tables.events.columns={x: real}")
    assert done.record.ledger.quarantined == {"x is real": 3, "range(x)": 6}
    assert done.record.ledger.scored == 441


def test_rows_that_the_table_leaves_out_are_counted(workdir: Path) -> None:
    done = score_events(workdir, "source.tables.events.where=event % 2 = 0")
    ledger = done.record.ledger
    assert ledger.read == 450
    assert ledger.filtered == 225
    assert ledger.scored + sum(ledger.quarantined.values()) == 225


def test_another_job_meanwhile_is_a_conflict(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_events(workdir)
    write_day(workdir, 4)
    real = score_job.publish_predictions

    def late(*arguments):  # type: ignore[no-untyped-def]
        monkeypatch.setattr(score_job, "publish_predictions", real)
        score_events(workdir)
        return real(*arguments)

    monkeypatch.setattr(score_job, "publish_predictions", late)
    with pytest.raises(ConflictError, match="Another job was published since"):
        score_events(workdir)
    version, record = open_predictions(str(workdir / "scores"))
    assert version == 1
    assert record.ledger.scored == 588
    ours = {path.name for path in (workdir / "scores").rglob("*.parquet")}
    assert ours >= {Path(f.path).name for f in record.files}
    assert len([n for n in ours if record.build_id in n]) == 1  # and of the loser nothing is left


def test_a_file_that_changes_while_it_is_read(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = score_job.measure_drift

    def changing(*arguments):  # type: ignore[no-untyped-def]
        write_day(workdir, 2, day_of(2, rows=30))
        return real(*arguments)

    monkeypatch.setattr(score_job, "measure_drift", changing)
    with pytest.raises(LakeError, match=r"day=02/part-0.parquet changed while the table was read"):
        score_events(workdir)
    assert not list((workdir / "scores").rglob("*.parquet"))


def test_what_cannot_be_scored_says_why(workdir: Path) -> None:
    with pytest.raises(ModelError, match=r"no champion to score with.*headrace promote"):
        score_events(workdir, model_uri=None)
    with pytest.raises(RecipeError, match=r"score\.key: there is no key"):
        score_events(workdir, "clean.dedup=null")
    with pytest.raises(RecipeError, match="prediction would have the name of a predicted column"):
        table = day_of(1).append_column("prediction", pa.array([1] * 150))
        write_day(workdir, 1, table)
        score_events(workdir, "score.columns=[prediction]")
    with pytest.raises(DatasetError, match="is not of `headrace score`"):
        score_events(workdir, output="dataset")
    write_day(workdir, 1)
    score_events(workdir)
    with pytest.raises(DatasetError, match="other columns than this job would write: place"):
        score_events(workdir, "score.columns=[]", full=True)
    with pytest.raises(LakeError, match="there is nothing at"):
        score_events(workdir, table=str(workdir / "lake" / "nowhere"), output="other")


def test_partitions_of_any_name(workdir: Path) -> None:
    """Names that a path in a URL would have to encode, and no name at all."""
    names = ("New%20York", "a%3Ab", "Z%C3%BCrich", "__HIVE_DEFAULT_PARTITION__", "100%25")
    events = workdir / "lake" / "towns"
    for number, name in enumerate(names):
        folder = events / f"day={name}"
        folder.mkdir(parents=True)
        pq.write_table(day_of(number + 20), folder / "part-0.parquet")
    table = {"table": str(events)}
    first = score_events(workdir, **table)
    frame = read_predictions(first)
    assert len(frame) == 147 * len(names)
    expected = {"New York", "a:b", "Zürich", None, "100%"}
    assert {None if pd.isna(d) else d for d in frame["day"]} == expected
    assert not score_events(workdir, **table).published
    pq.write_table(day_of(20, rows=33), events / "day=New%20York" / "part-0.parquet")
    shutil.rmtree(events / "day=a%3Ab")
    changed = score_events(workdir, **table)
    frame = read_predictions(changed)
    assert len(frame) == 147 * 3 + 30
    assert not frame["event"].duplicated().any()
    assert (frame["day"] == "New York").sum() == 30
    shutil.rmtree(events)


@pytest.mark.long
def test_a_delta_table_is_scored_by_its_log(workdir: Path) -> None:
    """Its folder holds files of earlier versions; only what commits added is read again."""
    place = workdir / "lake" / "delta"

    def rows_of(day: int | None, first: int) -> pa.Table:
        rows = day_of(first)
        return rows.append_column("day", pa.array([day] * rows.num_rows, pa.int64()))

    write_deltalake(place, rows_of(1, 7), partition_by=["day"])
    write_deltalake(place, rows_of(1, 1), mode="overwrite")
    write_deltalake(place, rows_of(None, 2), mode="append")
    table = {"table": str(place), "output": "delta-scores"}
    first = score_events(workdir, **table)
    assert (first.record.ledger.read, first.record.ledger.scored) == (300, 294)
    expected = {*range(1000, 1150), *range(2000, 2150)}
    rejected = pq.read_table(first.quarantine).to_pandas()
    scored = DeltaTable(first.root).to_pyarrow_table()["event"].to_pylist()
    assert sorted([*scored, *rejected["event"]]) == sorted(expected)
    days = dict(zip(rejected["event"], rejected["day"], strict=True))
    assert {None if pd.isna(d) else d for d in days.values()} == {"1", None}
    DeltaTable(place).optimize.compact()
    assert score_events(workdir, **table).record.processed_ledger.read in (0, 300)
    write_deltalake(place, rows_of(3, 3), mode="append")
    again = score_events(workdir, **table)
    assert again.record.processed_ledger.read == 150
    assert again.record.ledger.scored == 441
    shutil.rmtree(place)
    shutil.rmtree(workdir / "delta-scores")


def test_rules_about_the_label_are_left_out(workdir: Path) -> None:
    for day in (1, 2, 3):  # y is there, and not known yet
        rows = day_of(day)
        write_day(workdir, day, rows.set_column(4, "y", pa.nulls(150, pa.bool_())))
    done = score_events(
        workdir,
        "clean.rules=[{kind: range, column: x, min: 0}, {kind: not_null, columns: [y]}, "
        "{kind: expr, expression: y is not null}, {kind: unique, columns: [event]}]",
    )
    assert done.record.ledger.scored == 441
    assert done.record.rules_left_out == ("unique(event)",)
    write_day(workdir, 4)
    grown = score_events(
        workdir,
        "clean.rules=[{kind: range, column: x, min: 0}, {kind: unique, columns: [event]}]",
    )
    assert names(grown) == {"day=04"}  # and not the whole table


def test_a_table_has_one_name(workdir: Path) -> None:
    score_events(workdir)
    events = workdir / "lake" / "events"
    (workdir / "link").symlink_to(events)
    for other in (f"file://{events}", str(workdir / "lake" / ".." / "lake" / "events"), "link"):
        table = other if "/" in other else str(workdir / other)
        assert not score_events(workdir, table=table).published
    with pytest.raises(DatasetError, match="shares rows with it"):
        score_events(workdir, table=str(events / "day=01"))
    (workdir / "link").unlink()


def test_rejected_rows_keep_the_columns_of_their_folders(workdir: Path) -> None:
    done = score_events(workdir, "increments.by=file", output="other")
    rejected = pq.read_table(done.quarantine).to_pandas()
    assert sorted(rejected["day"].astype(int)) == [1] * 3 + [2] * 3 + [3] * 3
    assert {"event", "at", "x", "place", "y"} < set(rejected.columns)


def test_times_are_written_as_they_were_read(workdir: Path) -> None:
    """Moments, and clock times, which are taken for UTC; microseconds and nulls too."""
    moment = pd.Timestamp("2026-03-29T02:30:00.123456")
    for day in (1, 2, 3):
        rows = day_of(day)
        moments = [None if n % 7 == 0 else moment + pd.Timedelta(days=n) for n in range(len(rows))]
        for name, kind in (("moment", pa.timestamp("us", "UTC")), ("clock", pa.timestamp("us"))):
            rows = rows.append_column(name, pa.array(moments, kind))
        write_day(workdir, day, rows)
    done = score_events(workdir, "score.columns=[moment, clock]")
    frame = read_predictions(done)
    assert len(frame) == 147 * 3
    expected = [
        pd.NaT if event % 1000 % 7 == 0
        else (moment + pd.Timedelta(days=event % 1000)).tz_localize("UTC")
        for event in frame["event"]
    ]  # fmt: skip
    pd.testing.assert_series_equal(
        frame["moment"], pd.Series(expected, name="moment"), check_dtype=False
    )
    assert frame["moment"].equals(frame["clock"].rename("moment"))

"""Every bucket of the ledger at once, on the synthetic lake, whose dirt is known to the row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.examples.synthetic import CATEGORICAL, NUMERIC, TEXT_NUMERIC, ensure_synthetic_lake
from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from headrace.transform.spec import TransformSpec

pytestmark = pytest.mark.spark

ROWS = 40_000


@pytest.fixture(scope="module")
def lake(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "lake"
    ensure_synthetic_lake(spark, str(folder), rows=ROWS, seed=3, days=4, report=ignore_progress)
    return folder


def recipe(lake: Path, out: Path, **changes: Any) -> Any:
    rules = [
        {"kind": "range", "column": "i1", "max": 999_999, "on_violation": "drop", "name": "i1_low"},
        {"kind": "range", "column": "i2", "max": 999_999, "on_violation": "quarantine",
         "name": "i2_low"},
        {"kind": "range", "column": "i3", "max": 999_999, "on_violation": "null", "name": "i3_low"},
        {"kind": "not_null", "columns": ["i4"], "name": "i4_there"},
    ]  # fmt: skip
    tree = {
        "name": "clicks",
        "source": {
            "tables": {
                "clicks": {
                    "path": f"{lake}/clicks", "columns": dict.fromkeys(TEXT_NUMERIC, "real"),
                    "where": "day < '2026-01-04'",
                }
            },
            "main": "clicks",
        },
        "clean": {"dedup": {"key": ["event_id"]}, "rules": rules},
        "label": {"expression": "CASE WHEN c9 IS NOT NULL THEN label = 1 END"},
        "split": {"key": ["event_id"]},
        "features": {
            **{name: {"kind": "standardize"} for name in NUMERIC},
            **{name: {"kind": "vocabulary"} for name in CATEGORICAL if name != "c9"},
        },
        "dataset": {"path": str(out), "rows_per_file": 10_000, "rows_per_row_group": 1000},
        "model": {"kind": "mlp"},
    }  # fmt: skip
    return build_recipe(tree | changes, source="x", workdir=str(out), environment={})


@pytest.fixture(scope="module")
def dataset(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    out = tmp_path_factory.mktemp("out")
    return prepare(recipe(lake, out / "d"), workdir=str(out), report=ignore_progress).dataset


@pytest.fixture(scope="module")
def raw(lake: Path) -> pd.DataFrame:
    return pd.read_parquet(lake / "clicks")


def test_the_lake_has_what_its_manifest_says(lake: Path, raw: pd.DataFrame) -> None:
    manifest = json.loads((lake / "_lake.json").read_text())["made"]
    assert len(raw) == ROWS
    assert manifest["duplicates"] == raw["event_id"].duplicated().sum()
    for name in TEXT_NUMERIC:
        assert manifest["injected"][f"garbage.{name}"] == (raw[name] == "n/a").sum()
    for name in ("i1", "i2", "i3"):
        assert manifest["injected"][f"outlier.{name}"] == (raw[name] >= 1e6).sum()


def test_every_bucket_is_equal_to_the_row(dataset: DatasetVersion, raw: pd.DataFrame) -> None:
    """Worked out with pandas, a bucket after the other."""
    ledger = dataset.build.ledger
    assert ledger.read == ROWS
    rest = raw[raw["day"].astype(str) < "2026-01-04"]
    expected = {"where of the main table": ROWS - len(rest)}
    quarantined = {}
    for name in TEXT_NUMERIC:
        bad = rest[name] == "n/a"
        quarantined[f"{name} is real"] = int(bad.sum())
        rest = rest[~bad]
    for name, rule in {"i2_low": "i2 > 999999", "i4_there": "i4 != i4"}.items():
        bad = rest.eval(rule)
        quarantined[name] = int(bad.sum())
        rest = rest[~bad]
    bad = rest["i1"] > 999_999
    expected["i1_low"] = int(bad.sum())
    rest = rest[~bad]
    unlabelled = rest["c9"].isna()
    expected["label is null"] = int(unlabelled.sum())
    rest = rest[~unlabelled]
    again = rest["event_id"].duplicated()
    assert ledger.quarantined == quarantined
    assert ledger.filtered == expected
    assert ledger.duplicates == int(again.sum())
    assert sum(ledger.published.values()) == int((~again).sum())
    counts = [*quarantined.values(), *expected.values(), ledger.duplicates]
    counts += list(ledger.published.values())
    assert all(count > 0 for count in counts)  # every bucket is exercised


def test_the_statistics_are_those_of_the_published_train_rows(
    dataset: DatasetVersion, raw: pd.DataFrame
) -> None:
    """Independently: float64 moments and counts by pandas on the rows that were published."""
    from pyspark.sql import SparkSession

    from headrace.prepare.split import assign_split
    from headrace.source.raw_schema import RawSchema

    clean = raw[raw["day"].astype(str) < "2026-01-04"].copy()
    for name in TEXT_NUMERIC:
        clean = clean[clean[name] != "n/a"]
        clean[name] = clean[name].astype(float)
    clean = clean[~(clean["i2"] > 999_999) & clean["i4"].notna() & ~(clean["i1"] > 999_999)]
    clean = clean[clean["c9"].notna()].drop_duplicates("event_id")
    clean.loc[clean["i3"] > 999_999, "i3"] = np.nan
    spark = SparkSession.getActiveSession()
    settings = recipe(Path("x"), Path("y"))
    splits = spark.createDataFrame(clean[["event_id"]])
    splits = splits.select(
        "event_id", assign_split(settings, RawSchema.from_frame(splits)).alias("split")
    ).toPandas()
    train = clean.merge(splits, on="event_id").query("split == 0")
    assert len(train) == dataset.build.ledger.published["train"]
    spec = TransformSpec.from_json(dataset.transform_json)
    for feature in spec.features:
        if feature.kind == "scaled":
            values = train[feature.column].astype(float).dropna().to_numpy()
            # kept to a 2**-30 of the spread, see `rounded`
            slack = values.std() * 2**-29
            assert feature.center == pytest.approx(values.mean(), abs=slack), feature.name
            assert feature.scale == pytest.approx(values.std(), rel=1e-8), feature.name
        else:
            counts = train[feature.column].value_counts()
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
            assert list(feature.values) == [word for word, _ in ordered], feature.name


def test_the_profile_counts_the_same_rows(dataset: DatasetVersion) -> None:
    published = dataset.build.ledger.published
    profile = dataset.profile
    for item in profile.distributions:
        for split, rows in published.items():
            assert sum(item.counts[split]) == rows, item.name
    unknown = {d.name: d.unknown for d in profile.distributions if d.kind == "ids"}
    assert all(shares["train"] == 0 for shares in unknown.values())
    assert unknown["c3"]["test"] > 0  # 100,000 values, of which training saw some
    nulls = {c.name: c.missing for c in profile.columns}
    assert nulls["i4"] == {"train": 0, "validation": 0, "test": 0}
    assert nulls["i5"]["train"] == pytest.approx(0.05 * published["train"], rel=0.2)


@pytest.fixture
def counted_reads(spark: object) -> Iterator[None]:
    """Have Hadoop count the bytes of every read: those of several ranges at once it does not."""
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    settings.set("parquet.hadoop.vectored.io.enabled", "false")
    yield
    settings.unset("parquet.hadoop.vectored.io.enabled")


@pytest.mark.classic
@pytest.mark.usefixtures("counted_reads")
@pytest.mark.parametrize("read_with", ["spark", "auto"])
def test_the_lake_is_read_twice_at_most(
    spark: object, lake: Path, tmp_path: Path, raw: pd.DataFrame, read_with: str
) -> None:
    """By Spark's own input metrics: one scan to learn and clean, one for the rejected rows.

    What the tasks read themselves belongs to the first scan, see
    tests/source/test_late_materialization.py.
    """
    before = stages(spark)
    plain = recipe(lake, tmp_path / "d", source={
        "tables": {"clicks": {"path": f"{lake}/clicks",
                              "columns": dict.fromkeys(TEXT_NUMERIC, "real"),
                              "read_with": read_with}},
        "main": "clicks",
    })  # fmt: skip
    prepare(plain, workdir=str(tmp_path), report=ignore_progress)
    new_stages = [stage for number, stage in stages(spark).items() if number not in before]
    lake_bytes = sum(p.stat().st_size for p in (lake / "clicks").rglob("*.parquet"))
    read = sorted(
        s["bytes"] for s in new_stages if s["rows"] >= ROWS and s["bytes"] > lake_bytes / 50
    )
    assert len(read) == 2, read
    whole = 1.1 * lake_bytes
    first = whole if read_with == "spark" else whole / 3
    assert read[0] < first
    assert read[1] < whole


def stages(spark: object) -> dict[int, dict[str, int]]:
    """Stage id -> rows and bytes that its tasks read from files."""
    import time

    time.sleep(1)  # the listener is asynchronous
    store = spark.sparkContext._jsc.sc().statusStore()
    by_id = {}
    for stage in _stage_list(store):
        by_id[stage.stageId()] = {"rows": stage.inputRecords(), "bytes": stage.inputBytes()}
    return by_id


def _stage_list(store: object) -> list:
    from pyspark import SparkContext

    jvm = SparkContext._active_spark_context._jvm
    gateway = SparkContext._active_spark_context._gateway
    empty = gateway.new_array(jvm.double, 0)
    statuses = jvm.java.util.ArrayList()
    sequence = store.stageList(statuses, False, False, empty, jvm.java.util.ArrayList())
    return [sequence.apply(i) for i in range(sequence.size())]


def test_skewed_columns_neither_fail_nor_dominate(spark: object, tmp_path: Path) -> None:
    """One value in 90% of rows, and a column in which every row has its own."""
    rng = np.random.default_rng(0)
    rows = 60_000
    heavy = np.where(rng.random(rows) < 0.9, "same", rng.integers(0, 50, rows).astype(str))
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "heavy": np.where(
                rng.random(rows) < 0.9, "same", rng.integers(0, 50, rows).astype(str)
            ),
            "own": [f"user-{n:08d}" for n in range(rows)],
            "nothing": pd.Series([None] * rows, dtype="object"),
            "y": rng.random(rows) < 0.5,
        }
    )
    (tmp_path / "lake").mkdir()
    frame.astype({"nothing": "string"}).to_parquet(tmp_path / "lake" / "a.parquet")
    tree = {
        "name": "skew",
        "source": {"tables": {"t": {"path": f"{tmp_path}/lake"}}, "main": "t"},
        # a dedup key that is null everywhere must not gather all rows in one task
        "clean": {"dedup": {"key": ["nothing"]}},
        "label": {"expression": "y"},
        "split": {"key": ["id"]},
        "features": {
            "heavy": {"kind": "vocabulary"},
            "own": {"kind": "vocabulary", "min_count": 2, "max_size": 1000},
            "all": {"kind": "vocabulary", "column": "own"},
        },
        "dataset": {"path": f"{tmp_path}/d", "rows_per_file": 8192},
        "model": {"kind": "mlp"},
    }
    dataset = prepare(
        build_recipe(tree, source="x", workdir=str(tmp_path), environment={}),
        workdir=str(tmp_path),
        report=ignore_progress,
    ).dataset
    heavy, own, all_ = TransformSpec.from_json(dataset.transform_json).features
    assert heavy.values[0] == "same"
    assert own.values == ()
    assert len(all_.values) == dataset.count_rows("train")
    assert dataset.build.ledger.duplicates == 0
    sizes = [f.rows for f in dataset.build.files if f.split == "train"]
    assert max(sizes) < 1.2 * min(sizes)

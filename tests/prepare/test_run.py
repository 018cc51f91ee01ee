"""The prepare stage on a small dirty lake that is known by heart."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from headrace.errors import DatasetError, LakeError, LedgerError
from headrace.lake import DatasetVersion
from headrace.prepare import prepare
from headrace.prepare.assign import LABEL_MISSING
from headrace.prepare.dataset_root import check_root
from headrace.prepare.split import assign_split
from headrace.progress import ignore_progress
from headrace.recipe import build_recipe
from headrace.source.raw_schema import RawSchema
from headrace.transform.spec import TransformSpec
from tests import tiny
from tests.prepare.tiny_builds import build_anew, has_published_nothing, read_rows, write_visits

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark", "tiny_lake")]


@pytest.mark.parametrize(
    ("names", "refused"),
    [([], False), (["lost+found", ".DS_Store"], False), (["lost+found", "mine"], True)],
)
def test_a_dataset_may_be_made_in_a_folder_without_other_data(
    tmp_path: Path, names: list[str], refused: bool
) -> None:
    root = tmp_path / "ds"
    for name in ("", *names):
        (root / name).mkdir()
    if refused:
        with pytest.raises(DatasetError, match="holds mine, which is not a dataset of Headrace"):
            check_root(str(root))
    else:
        check_root(str(root))


def test_every_row_is_in_one_bucket(tmp_path: Path) -> None:
    dataset = build_anew(tmp_path)
    ledger = dataset.build.ledger
    assert ledger.read == tiny.ROWS
    assert ledger.filtered == {LABEL_MISSING: tiny.UNLABELLED}
    assert ledger.duplicates == tiny.DUPLICATES
    assert sum(ledger.published.values()) == tiny.ROWS - tiny.UNLABELLED - tiny.DUPLICATES
    rows = read_rows(dataset)
    assert rows["row_id"].is_unique
    assert rows["split"].value_counts().to_dict() == ledger.published
    assert not rows.isna().any().any()


def test_the_transform_is_fitted_on_train_rows_and_applied_to_all(tmp_path: Path) -> None:
    dataset = build_anew(tmp_path)
    spec = TransformSpec.from_json(dataset.transform_json)
    rows = read_rows(dataset)
    train = rows[rows["split"] == "train"]
    assert train["amount"].mean() == pytest.approx(0, abs=1e-6)
    other = rows[rows["split"] != "train"]
    assert abs(other["amount"].mean()) > 1e-3  # fitted on train alone, it cannot be 0 elsewhere
    shop = next(f for f in spec.features if f.name == "shop")
    assert set(shop.values) == set("abcd")
    assert rows["hour"].between(0, 25).all()
    assert rows.drop(columns="split").dtypes.astype(str).to_dict() == {
        "row_id": "int64",
        "amount": "float32",
        "size": "float32",
        "shop": "int32",
        "hour": "int32",
        "note": "int32",
        "label": "float32",
    }


def test_a_day_is_in_one_split_and_stays_there(tmp_path: Path, spark: object) -> None:
    recipe = tiny.tiny_recipe(tmp_path)
    visits = spark.createDataFrame(tiny.visits().to_pandas()).withColumnRenamed("amount", "size")

    def splits(frame: object, partitions: int) -> dict[int, str]:
        split = assign_split(recipe, RawSchema.from_frame(frame)).alias("split")
        tagged = frame.repartition(partitions).select("day", split).toPandas()
        assert (tagged.groupby("day")["split"].nunique() == 1).all()
        return tagged.set_index("day")["split"].to_dict()

    whole = splits(visits, 3)
    assert set(whole.values()) == {0, 1, 2}
    assert splits(visits.repartition(7), 5) == whole
    # fewer rows, and a narrower type: the days that are left do not move
    part = visits.where("day < 30").withColumn("day", visits["day"].cast("int"))
    assert splits(part, 1) == {day: split for day, split in whole.items() if day < 30}


def test_two_builds_give_the_same_dataset(tmp_path: Path) -> None:
    first, second = build_anew(tmp_path), build_anew(tmp_path)
    assert (first.version, second.version) == (0, 1)
    assert first.build.ledger == second.build.ledger
    assert first.digest == second.digest
    assert build_anew(tmp_path, "split.seed=4").digest != first.digest


def test_rows_lie_in_an_order_of_their_own_in_exact_row_groups(tmp_path: Path) -> None:
    dataset = build_anew(tmp_path)
    for file in dataset.build.files:
        metadata = pq.ParquetFile(f"{dataset.root}/{file.path}").metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert tuple(sizes) == file.row_groups
        assert all(rows == 50 for rows in sizes[:-1])
        assert Path(f"{dataset.root}/{file.path}").stat().st_size == file.bytes
    # `hour` follows the lake's order (visit modulo 24): in the files it jumps about
    hours = pd.concat(
        pd.read_parquet(f"{dataset.root}/{f.path}", columns=["hour"], partitioning=None)
        for f in dataset.list_files("train")
    )["hour"]
    spec = TransformSpec.from_json(dataset.transform_json)
    words = next(f for f in spec.features if f.name == "hour").values
    hour = np.array([int(words[i - 2]) for i in hours])
    assert np.mean((hour[1:] - hour[:-1]) % 24 == 1) < 0.15


def test_the_latest_duplicate_is_kept(tmp_path: Path) -> None:
    table = tiny.visits()
    later = table.slice(0, 3).set_column(3, "amount", pa.array([1000.0, None, 3000.0]))
    clock = pa.array([2359] * 3, pa.int64())
    write_visits(tmp_path, pa.concat_tables([table, later.set_column(4, "clock", clock)]))
    dataset = build_anew(tmp_path, "clean.dedup.latest_by=clock")
    assert dataset.build.ledger.duplicates == tiny.DUPLICATES + 3
    amount = next(
        f for f in TransformSpec.from_json(dataset.transform_json).features if f.name == "amount"
    )
    raw = read_rows(dataset)["amount"].astype(np.float64) * amount.scale + amount.center
    assert sum(raw > 900) == 2


def test_the_latest_row_is_told_by_every_digit(tmp_path: Path) -> None:
    """uint64 and decimals beyond what a double can tell apart."""
    folder = tmp_path / "lake" / "events"
    folder.mkdir(parents=True)
    number = np.arange(60)
    base = 1_790_000_000_000_000_000
    table = pa.table(
        {
            "id": number // 2,
            "at": pa.array([base + n for n in number], pa.uint64()),
            "x": pa.array(number.astype(float)),
            "y": number // 2 % 3 == 0,
        }
    )
    pq.write_table(table, folder / "a.parquet")
    tree = {
        "name": "latest",
        "source": {"tables": {"events": {"path": str(folder)}}, "main": "events"},
        "clean": {"dedup": {"key": ["id"], "latest_by": "at"}},
        "label": {"expression": "x", "kind": "regression"},
        "split": {"key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
        "features": {"id": {"kind": "standardize"}},
        "dataset": {"path": str(tmp_path / "dataset")},
        "model": {"kind": "mlp"},
    }
    recipe = build_recipe(tree, source="latest", environment={})
    dataset = prepare(recipe, workdir=str(tmp_path), report=ignore_progress).dataset
    assert dataset.build.ledger.duplicates == 30
    assert sorted(read_rows(dataset)["label"]) == list(range(1, 60, 2))


def test_a_one_to_one_join_wants_one_row_a_key_of_the_main_table_too(
    tmp_path: Path, tiny_lake: Path
) -> None:
    shops = [{"table": "shops", "key": ["shop"], "columns": {"size": "size"}}]
    shops[0]["cardinality"] = "one_to_one"
    with pytest.raises(LakeError) as caught:
        build_anew(tmp_path, f"source.joins={shops}")
    message = str(caught.value)
    assert "table 'visits' has several rows for one key (shop)" in message
    assert "shop='a' has 150 rows; shop='b' has 144 rows; " in message
    assert has_published_nothing(tmp_path)
    rows = tiny.ROWS - tiny.DUPLICATES
    visits = pq.read_table(tiny_lake / "visits").slice(0, rows)
    pq.write_table(visits, tiny_lake / "visits" / "part-0.parquet")
    (tiny_lake / "extra").mkdir()
    extra = visits.select(["visit"]).append_column("size", visits["day"].cast(pa.float64()))
    pq.write_table(extra.slice(7), tiny_lake / "extra" / "part-0.parquet")
    join = {"table": "extra", "key": ["visit"], "columns": {"size": "size"}}
    overrides = [
        f"source.tables.extra={{path: {tiny_lake}/extra}}",
        f"source.joins={[join | {'cardinality': 'one_to_one'}]}",
    ]
    assert build_anew(tmp_path, *overrides).build.ledger.read == rows
    again = pa.concat_tables([visits, visits.slice(0, 3)])  # deduplicated by the join's key
    pq.write_table(again, tiny_lake / "visits" / "part-0.parquet")
    assert build_anew(tmp_path, *overrides).build.ledger.duplicates == 3


def test_rows_without_a_key_are_no_duplicates(tmp_path: Path) -> None:
    table = tiny.visits()
    nameless = table.slice(0, 40).set_column(0, "visit", pa.array([None] * 40, pa.int64()))
    write_visits(tmp_path, pa.concat_tables([table, nameless]))
    dataset = build_anew(tmp_path)
    assert dataset.build.ledger.duplicates == tiny.DUPLICATES
    assert read_rows(dataset)["row_id"].is_unique


def test_without_a_dedup_key_the_order_is_still_a_function_of_the_rows(tmp_path: Path) -> None:
    same = tiny.visits().select(["visit", "day", "shop", "amount", "clock", "note", "late"])
    twice = pa.concat_tables(
        [same, same.set_column(6, "late", same["late"].combine_chunks()[::-1])]
    )
    write_visits(tmp_path, twice)
    first = build_anew(tmp_path, "clean.dedup=null")
    assert first.build.ledger.duplicates == 0
    write_visits(tmp_path, twice.take(pa.array(np.random.default_rng(0).permutation(1200))))
    assert build_anew(tmp_path, "clean.dedup=null").digest == first.digest


def test_raw_columns_may_have_the_names_of_ours(tmp_path: Path) -> None:
    table = tiny.visits()
    names = {"visit": "row_id", "amount": "label", "clock": "split"}
    write_visits(tmp_path, table.rename_columns([names.get(n, n) for n in table.column_names]))
    dataset = build_anew(
        tmp_path,
        "clean.dedup.key=[row_id]",
        "features.amount.column=label",
        "derive.hour.columns=[split]",
    )
    assert dataset.build.ledger.duplicates == tiny.DUPLICATES
    assert abs(read_rows(dataset).query("split == 'train'")["amount"].mean()) < 1e-6


def test_a_delta_table_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "dataset"), pa.table({"precious": [1]}))
    with pytest.raises(DatasetError, match="not a build of Headrace"):
        build_anew(tmp_path)
    assert DeltaTable(str(tmp_path / "dataset")).count() == 1


def test_partitions_prune_what_is_read(tmp_path: Path, tiny_lake: Path) -> None:
    month = pa.array(np.arange(tiny.ROWS) % 3)
    table = tiny.visits().append_column("month", month)
    (tiny_lake / "visits" / "part-0.parquet").unlink()
    pq.write_to_dataset(table, str(tiny_lake / "visits"), partition_cols=["month"])
    dataset = build_anew(tmp_path, "source.tables.visits.partitions=month = 1")
    assert dataset.build.ledger.read == tiny.ROWS // 3


def test_a_ledger_that_does_not_add_up_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headrace.prepare.run as stage

    real = stage.read_raw

    def one_row_more(*arguments: object, **options: object) -> object:
        raw = real(*arguments, **options)
        return dataclasses.replace(raw, read={n: rows + 1 for n, rows in raw.read.items()})

    monkeypatch.setattr(stage, "read_raw", one_row_more)
    with pytest.raises(LedgerError, match="difference -1"):
        build_anew(tmp_path)
    assert has_published_nothing(tmp_path)


def test_a_dataset_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "thesis.tex").write_text("precious")
    with pytest.raises(DatasetError, match=r"holds thesis\.tex"):
        build_anew(tmp_path)


def test_a_failed_build_leaves_the_published_version_alone(tmp_path: Path) -> None:
    first = build_anew(tmp_path)
    with pytest.raises(LakeError):
        build_anew(tmp_path, "label.expression=visit < 0")
    again = DatasetVersion.open(first.root)
    assert (again.version, again.digest) == (first.version, first.digest)
    files = {str(p.relative_to(first.root)) for p in Path(first.root).glob("split=*/*")}
    assert files == {f.path for f in first.build.files}


def test_what_is_kept_with_a_version(tmp_path: Path) -> None:
    recipe = tiny.tiny_recipe(tmp_path, 'spark.conf."spark.hadoop.fs.s3a.secret.key"=hunter2')
    dataset = prepare(recipe, workdir=str(tmp_path), report=ignore_progress).dataset
    sidecar = Path(dataset.root) / "_headrace" / dataset.build.build_id
    assert sorted(p.name for p in sidecar.iterdir()) == [
        "SHA256SUMS",
        "axes.json",
        "build.json",
        "column_totals.parquet",
        "history.json",
        "join_keys",
        "join_keys.json",
        "ledger.json",
        "lookup-0.parquet",
        "profile.json",
        "raw_examples.parquet",
        "recipe.json",
        "report.html",
        "row_sample.parquet",
        "statistics.json",
        "tallies.parquet",
        "transform.json",
    ]
    recorded = json.loads((sidecar / "recipe.json").read_text())
    assert recorded["train"]["epochs"] == 2
    assert all(b"hunter2" not in p.read_bytes() for p in sidecar.rglob("*") if p.is_file())
    assert dataset.build.sources["visits"]["rows"] == tiny.ROWS

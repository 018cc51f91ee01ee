"""One model, one answer: its dataset, batch scoring, pyfunc and HTTP agree on every raw row."""

import base64
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any, get_args

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from PIL import Image

from headrace.columns.dataset_columns import name_passthrough_column
from headrace.labels.kinds import KINDS
from headrace.lake.version import DatasetVersion
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe import Recipe, build_recipe, load_recipe
from headrace.recipe import sections as s
from headrace.score.network import load_network, pack_folder
from headrace.score.run import score
from headrace.tracking.golden import check_golden
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.store import Store, open_client
from headrace.train import train
from headrace.transform.spec import TransformSpec
from tests.e2e.running import asked, served_model

pytestmark = pytest.mark.e2e
ROWS = 420
LONGS = (None, 0, 1, -1, 7, 2**53 + 1, 2**63 - 1, -(2**63) + 1)
REALS = (
    None, 0.0, -0.0, 1.5, -2.5, 9999.0, float("nan"), float("inf"), float("-inf"), 1e308, -1e308,
)  # fmt: skip
TEXTS = (
    None, "", "AB1", "é", "e\u0301", "a\x00", "x" * 3000, " AB1", "😀", "AB1\n", "null", "AB22",
)  # fmt: skip
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TIMES = (
    None, EPOCH, dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC),
    dt.datetime(2013, 10, 1, 12, 30, tzinfo=dt.UTC), dt.datetime(2000, 2, 29, tzinfo=dt.UTC),
)  # fmt: skip
LABELS: dict[str, tuple[str, Any]] = {
    "binary": ("goal > 0", pa.float64()),
    "regression": ("goal * 30 + 100", pa.float64()),
    "count": ("floor(abs(goal) * 3)", pa.float64()),
    "classes": ("case when goal > 0.5 then 'up' when goal < -0.5 then 'down' else 'é' end", None),
    "multi_label": ("filter(array(if(goal > 0, 'é', null), if(goal > 1, 'b', null)), "
                    "v -> v is not null)", None),
}  # fmt: skip
RULES = [
    {"kind": "range", "column": "x", "min": -60, "max": 60, "on_violation": "null"},
    {"kind": "in", "column": "n", "values": [0, 1, 7, 2**53 + 1], "on_violation": "null"},
    {"kind": "regex", "column": "code", "pattern": "^[A-Z]{2}[0-9]$", "on_violation": "null"},
    {"kind": "range", "column": "word", "max": "é", "on_violation": "null"},
    {"kind": "range", "column": "at", "min": "1970-01-01", "on_violation": "null"},
    {"kind": "not_null", "columns": ["day"]},
    {"kind": "range", "column": "y", "max": 1e9, "on_violation": "drop"},
    {"kind": "expr", "expression": "x is null or n is null or x + n <> 1.5e0", "name": "sum"},
    {"kind": "expr", "expression": "price > 0.5", "name": "price"},
    {"kind": "regex", "column": "word", "pattern": "^(?i:null)$|^[^n]|^$", "name": "left_to_spark"},
    {"kind": "in", "column": "flag", "values": [True, False]},
    {"kind": "unique", "columns": ["id"]},
    {"kind": "expr", "expression": "goal < 100", "name": "of_the_label"},
]
FEATURES = {
    "x": {"kind": "standardize"},
    "y": {"kind": "log1p"},
    "z": {"kind": "robust"},
    "n": {"kind": "vocabulary", "min_count": 1},
    "code": {"kind": "vocabulary", "min_count": 1},
    "word": {"kind": "hash", "buckets": 8},
    "flag": {"kind": "vocabulary", "min_count": 1},
    "hour": {"kind": "cyclic", "period": 24},
    "since": {"kind": "min_max"},
    "text": {"kind": "text", "length": 4, "max_size": 50},
    "tags": {"kind": "multi_valued", "length": 3, "max_size": 20},
    "z_fixed": {"kind": "fixed_buckets", "column": "z", "boundaries": [-1, 0, 1]},
    "y_quantiles": {"kind": "quantile_buckets", "column": "y", "buckets": 4},
    "both": {"kind": "cross", "columns": ["code", "n"], "buckets": 16},
    "tide": {"kind": "series", "length": 3},
    "photo": {"kind": "image", "height": 2, "width": 2, "channels": 1},
}


def write_table(folder: Path) -> pa.Table:
    """Write rows of which each column runs through hard values, at a pace of its own."""
    rng = np.random.default_rng(3)

    def cycle(values: tuple[Any, ...], pace: int, share: float = 0.5) -> list[Any]:
        usual = values[3]
        hard = rng.random(ROWS) < share
        return [values[(i // pace) % len(values)] if h else usual for i, h in enumerate(hard)]

    files = []
    for level in (0, 90, 255):
        sink = io.BytesIO()
        Image.fromarray(np.full((2, 2), level, np.uint8)).save(sink, format="PNG")
        files.append(sink.getvalue())
    z = rng.normal(0, 1, ROWS)
    table = pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "x": pa.array(np.where(rng.random(ROWS) < 0.6, z, None).tolist(), pa.float64()),
            "y": pa.array(cycle(tuple(v for v in REALS if v != -1e308), 2), pa.float64()),
            "z": pa.array(z),
            "n": pa.array(cycle(LONGS, 3, 0.9), pa.int64()),
            "code": pa.array(cycle(TEXTS, 2, 0.9), pa.string()),
            "word": pa.array(cycle(TEXTS, 3, 0.9), pa.string()),
            "text": pa.array([None if i % 9 == 0 else f"é {TEXTS[i % 12]} b" for i in range(ROWS)]),
            "at": pa.array(cycle(TIMES, 2, 0.9), pa.timestamp("us", "UTC")),
            "day": pa.array([None if i % 41 == 0 else dt.date(2013, 1, 1 + i % 28)
                             for i in range(ROWS)], pa.date32()),
            "flag": pa.array([[None, True, False][i % 3] for i in range(ROWS)]),
            "price": pa.array([None if i % 7 == 0 else i % 5 / 2 for i in range(ROWS)]),
            "tags": pa.array([[None, [], ["a"], ["é", None, ""], ["a", "a\x00", "b", "c"]][i % 5]
                              for i in range(ROWS)], pa.list_(pa.string())),
            "tide": pa.array([[None, [], [1.5], [0.5, None, -0.0], [9.0, 1e30, 2.0, 3.0]][i % 5]
                              for i in range(ROWS)], pa.list_(pa.float64())),
            "photo": pa.array([None if i % 29 == 0 else files[i % 3] for i in range(ROWS)]),
            "goal": pa.array(z + rng.normal(0, 0.3, ROWS)),
        }
    )  # fmt: skip
    hard = [REALS[i % len(REALS)] if v is None else v for i, v in enumerate(table["x"].to_pylist())]
    table = table.set_column(1, "x", pa.array(hard, pa.float64()))
    (folder / "lake").mkdir(parents=True)
    pq.write_table(table, folder / "lake" / "part-0.parquet", row_group_size=100)
    return table


def make_recipe(folder: Path, kind: str) -> Recipe:
    tree = {
        "name": "one",
        "source": {"tables": {"t": {"path": f"{folder}/lake"}}, "main": "t"},
        "clean": {"dedup": {"key": ["id"]}, "rules": RULES},
        "label": {"expression": LABELS[kind][0], "kind": kind},
        "split": {"key": ["id"]},
        "derive": {
            "hour": {
                "kind": "time_part",
                "columns": ["at"],
                "part": "hour",
                "time_zone": "Australia/Lord_Howe",
            },
            "since": {"kind": "seconds_since", "columns": ["day"], "origin": "2013-01-01"},
        },
        "features": FEATURES,
        "dataset": {"path": f"{folder}/dataset", "keep": ["id"]},
        "model": {"kind": "mlp", "hidden": [8]},
        "train": {"epochs": 1, "global_batch_size": 32, "ranks": 1},
    }
    return build_recipe(tree, source="one", overrides=(), workdir=str(folder), environment={})


def make_record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as a client would write it in JSON."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes)
        else value.isoformat() if isinstance(value, dt.date) else value
        for name, value in row.items()
    }  # fmt: skip


def read_prepared(root: str, spec: TransformSpec, network: Any) -> pd.DataFrame:
    """Predict the rows of the dataset as the evaluation does: from its columns, by the network."""
    version = DatasetVersion.open(root)
    parts = []
    for file in version.build.files:
        table = pq.ParquetFile(f"{root}/{file.path}").read()
        columns: dict[str, Any] = {}
        for name in (column for item in spec.inputs.values() for column in item.columns):
            values = table[name].combine_chunks()
            if pa.types.is_fixed_size_binary(values.type) or pa.types.is_binary(values.type):
                columns[name] = np.stack(
                    [np.frombuffer(v, np.uint8).reshape(2, 2, 1) for v in values.to_pylist()]
                )
            elif pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
                is_real = pa.types.is_floating(values.type.value_type)
                dtype = np.float32 if is_real else np.int32
                columns[name] = np.array(values.to_pylist(), dtype)
            else:
                columns[name] = values.to_numpy()
        from headrace.transform.arrow import stack_inputs

        output = network(stack_inputs(columns, spec))
        ids = table[name_passthrough_column("id")].to_numpy()
        parts.append(pd.DataFrame({"id": ids, "output": list(output)}))
    return pd.concat(parts).set_index("id")


def read_scores(root: str) -> pd.DataFrame:
    paths = DeltaTable(root).get_add_actions(flatten=True)["path"].to_pylist()
    parts = [pq.ParquetFile(f"{root}/{path}").read().to_pandas() for path in paths]
    return pd.concat(parts).set_index("id")


def test_every_kind_is_among_them() -> None:
    sections = get_args(get_args(s.Feature)[0])
    assert {section["kind"] for section in FEATURES.values()} == {
        get_args(section.model_fields["kind"].annotation)[0] for section in sections
    }
    assert {*LABELS} == {*KINDS}
    rules = get_args(get_args(s.Rule)[0])
    assert {rule["kind"] for rule in RULES} == {
        get_args(rule.model_fields["kind"].annotation)[0] for rule in rules
    }


@pytest.mark.long
@pytest.mark.parametrize("kind", list(LABELS))
def test_dataset_batch_pyfunc_and_http_agree(tmp_path: Path, kind: str) -> None:
    table = write_table(tmp_path)
    recipe = make_recipe(tmp_path, kind)
    work = {"workdir": str(tmp_path), "report": ignore_progress}
    prepared = prepare(recipe, **work).dataset
    trained = train(recipe, **work)
    done = score(
        recipe, table=f"{tmp_path}/lake", output=f"{tmp_path}/scores",
        model_uri=trained.model_uri, **work,
    )  # fmt: skip
    batch = read_scores(done.root)
    assert {*done.record.rules_left_out} == {"unique(id)", "left_to_spark", "of_the_label"}
    store = Store.from_recipe(recipe, str(tmp_path), {})
    model = find_model(store, trained.model_uri)
    spec = TransformSpec.from_json(DatasetVersion.open(prepared.root).transform_json)

    # Every row is either predicted by all, or by none.
    open_client(store)
    loaded = mlflow.pyfunc.load_model(trained.model_uri)
    raw = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    by_pyfunc = loaded.predict(raw.drop(columns=["goal"])).set_axis(raw["id"])
    rejected = by_pyfunc["reason"].notna()
    assert {*batch.index} == {*by_pyfunc.index[~rejected]}
    assert 0.1 < rejected.mean() < 0.9
    quarantined = done.record.partitions[0].ledger.quarantined
    assert sum(quarantined.values()) == rejected.sum()
    broken = " ".join(by_pyfunc["reason"].dropna())
    for name in ("not_null(day)", "range(y)", "sum", "price", "in(flag)"):
        assert f"{name}: " in broken or name == "in(flag)", name

    records = [make_record(row) for row in table.drop_columns(["goal"]).to_pylist()]
    with served_model(tmp_path, trained.model_uri, tmp_path / "serve.log") as address:
        by_http = pd.DataFrame(asked(address, records), index=raw["id"])
    assert (by_http["reason"].notna() == rejected).all()

    columns = [name for name in ("probability", "prediction") if name in batch]
    for name in columns:
        expected = [as_numbers(value) for value in batch[name]]
        for other in (by_pyfunc, by_http):
            found = [as_numbers(value) for value in other.loc[batch.index, name]]
            compare(expected, found)

    # The dataset's own rows, as the evaluation predicts them.
    with_network = tmp_path / "network"
    with_network.mkdir()
    open_client(store)
    pack_folder(download_model_file(store, model, "network", str(with_network)),
                str(tmp_path / "network.zip"))  # fmt: skip
    network = load_network(str(tmp_path / "network.zip"), spec, 1)
    by_dataset = read_prepared(prepared.root, spec, network)
    shared = by_dataset.index.intersection(batch.index)
    assert len(shared) > 100
    predicted = spec.label.definition.predict_columns(
        np.stack(by_dataset.loc[shared, "output"].tolist()), spec.label, 0.5
    )
    for name in columns:
        compare(
            [as_numbers(v) for v in predicted[name].to_pylist()],
            [as_numbers(v) for v in batch.loc[shared, name]],
        )
    check = check_golden(store, model)
    assert check.passed
    golden = pq.read_table(download_model_file(store, model, "golden", str(tmp_path)))
    assert golden["__headrace_rejected"].to_numpy().sum() >= 3


def as_numbers(value: Any) -> Any:
    """Return what can be compared: the numbers of a map by key, lists as lists."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [number for _, number in sorted(value)]
    return list(value) if isinstance(value, np.ndarray | list | tuple) else value


def compare(expected: list[Any], found: list[Any]) -> None:
    for a, b in zip(expected, found, strict=True):
        if isinstance(a, str) or (isinstance(a, list) and a and isinstance(a[0], str)):
            assert a == b
        else:
            np.testing.assert_allclose(np.array(a, float), np.array(b, float), rtol=1e-6, atol=1e-6)


FLIGHT_RULES = [
    {"kind": "range", "column": "wind_speed", "min": 0, "max": 60, "on_violation": "null"},
    {"kind": "in", "column": "engines", "values": [1, 2, 3, 4], "on_violation": "null"},
    {"kind": "regex", "column": "tailnum", "pattern": "^N[0-9A-Z]+$", "on_violation": "null"},
    {"kind": "range", "column": "distance", "min": 100},
    {"kind": "not_null", "columns": ["origin", "sched_dep_time"], "on_violation": "drop"},
    {"kind": "in", "column": "origin", "values": ["EWR", "JFK", "LGA"]},
    {"kind": "regex", "column": "carrier", "pattern": "^[A-Z0-9]{2}$"},
    {"kind": "expr", "expression": "month between 1 and 12 and (distance < 4000 or seats > 50)"},
    {"kind": "expr", "expression": "hour >= 5 or flight < 6000", "name": "hours"},
    {"kind": "unique", "columns": ["time_hour", "carrier", "flight", "origin"]},
]
BROKEN: dict[str, tuple[Any, ...]] = {
    "tailnum": (None, "", "n123", "N1\u00e9", "N12\n", "D942DN"),
    "distance": (None, 17, 99, 100, 5000),
    "origin": (None, "", "ewr", "JFK"),
    "carrier": (None, "", "9", "ÜA", "UA "),
    "month": (None, 0, 12, 13),
    "sched_dep_time": (None, -1, 2400, 9999),
}


@pytest.mark.long
def test_ten_thousand_rows_of_the_flights_agree(tmp_path: Path, flights_lake: Path) -> None:
    """Rows after their joins, of which every second one has values that break rules."""
    overrides = [
        f"lake={flights_lake}", f"clean.rules={json.dumps(FLIGHT_RULES)}", "train.epochs=1",
        "train.ranks=1", f"dataset.path={tmp_path}/dataset", "score.key=[number]",
        "score.columns=[]",
    ]  # fmt: skip
    recipe = load_recipe(
        "conf/flights.yaml", workdir=str(tmp_path), overrides=overrides, environment={}
    )
    work = {"workdir": str(tmp_path), "report": ignore_progress}
    version = prepare(recipe, **work).dataset
    trained = train(recipe, **work)
    spec = TransformSpec.from_json(version.transform_json)
    assert [rule.name for rule in spec.left_out] == ["unique(time_hour, carrier, flight, origin)"]

    # Batch scoring joins itself, so that only the flights' own columns are changed in the table.
    flights = ds.dataset(f"{flights_lake}/flights", partitioning="hive").to_table()
    rng = np.random.default_rng(6)
    flights = flights.take(rng.choice(flights.num_rows, 10_000, replace=False))
    for name, values in BROKEN.items():
        column = flights[name].to_pylist()
        for position in np.flatnonzero(rng.random(len(column)) < 0.08):
            column[position] = values[rng.integers(0, len(values))]
        index, field = flights.schema.get_field_index(name), flights.schema.field(name)
        flights = flights.set_column(index, name, pa.array(column, field.type))
    flights = flights.append_column("number", pa.array(range(flights.num_rows), pa.int64()))
    (tmp_path / "rows").mkdir()
    pq.write_table(flights, tmp_path / "rows" / "part-0.parquet")
    done = score(
        recipe, table=f"{tmp_path}/rows", output=f"{tmp_path}/scores",
        model_uri=trained.model_uri, **work,
    )  # fmt: skip
    paths = DeltaTable(done.root).get_add_actions(flatten=True)["path"].to_pylist()
    batch = pd.concat(pq.ParquetFile(f"{done.root}/{path}").read().to_pandas() for path in paths)
    batch = batch.set_index("number").sort_index()

    raw = join_flights(flights, flights_lake)
    open_client(Store.from_recipe(recipe, str(tmp_path), {}))
    by_pyfunc = mlflow.pyfunc.load_model(trained.model_uri).predict(raw).set_axis(raw["number"])
    rejected = by_pyfunc["reason"].notna()
    assert {*batch.index} == {*by_pyfunc.index[~rejected]}
    assert 0.05 < rejected.mean() < 0.6
    with served_model(tmp_path, trained.model_uri, tmp_path / "serve.log") as address:
        records = [make_record(row) for row in raw.replace({np.nan: None}).to_dict("records")]
        by_http = pd.DataFrame(asked(address, records), index=raw["number"])
    assert (by_http["reason"].notna() == rejected).all()
    for other in (by_pyfunc, by_http):
        found = other.loc[batch.index]
        apart = batch["probability"].to_numpy() - found["probability"].to_numpy(float)
        assert np.abs(apart).max() < 1e-6
        assert (batch["prediction"].to_numpy() == found["prediction"].to_numpy(int)).all()


def join_flights(flights: pa.Table, lake: Path) -> pd.DataFrame:
    """Join the columns of weather and planes as the recipe does, with integers beside nulls."""
    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}.get
    rows = flights.to_pandas(types_mapper=whole)
    weather = ds.dataset(f"{lake}/weather").to_table().to_pandas(types_mapper=whole)
    planes = ds.dataset(f"{lake}/planes").to_table().to_pandas(types_mapper=whole)
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip",
               "pressure", "visib"]  # fmt: skip
    weather = weather[["origin", "time_hour", *columns]]
    planes = planes[["tailnum", "year", "seats", "engines", "manufacturer"]]
    planes = planes.rename(columns={"year": "plane_year"})
    joined = rows.merge(weather, on=["origin", "time_hour"], how="left")
    return joined.merge(planes[planes["tailnum"].notna()], on="tailnum", how="left")

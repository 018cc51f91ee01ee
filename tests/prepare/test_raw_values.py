"""Raw values beside the test rows: exact, typed, missing apart, whatever the transform makes."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.evaluate.slices import assign_slices, find_slice_source
from headrace.lake import DatasetVersion
from headrace.lake.build import BUILD_FILE
from headrace.lake.sidecar import locate_sidecar
from headrace.prepare import BuildRequest, Prepared, prepare
from headrace.recipe import Recipe, build_recipe
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

pytestmark = pytest.mark.spark

ROWS = 60
BIG = 2**53 + 1
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1969, 12, 31, 23, tzinfo=UTC), None,
]  # fmt: skip


def lake_rows(first: int = 0) -> pa.Table:
    number = range(first, first + ROWS)
    return pa.table(
        {
            "id": pa.array(number, pa.int64()),
            "part": pa.array([n % 3 for n in number], pa.int64()),  # rows of one key
            "big": pa.array([(BIG, BIG + 1, -(2**63) + 1, None)[n % 4] for n in number]),
            "gap": pa.array([(math.nan, 0.1, -0.0, None, math.inf)[n % 5] for n in number]),
            "when": pa.array([TIMES[n % 4] for n in number], pa.timestamp("us", "UTC")),
            "Word (é)": pa.array([("", "missing", "e\u0301", None)[n % 4] for n in number]),
            "flag": pa.array([(True, False, None)[n % 3] for n in number]),
            "y": pa.array([n % 2 == 0 for n in number]),
        }
    )


def make_recipe(workdir: Path) -> Recipe:
    return build_recipe(
        {
            "name": "raw",
            "source": {"tables": {"rows": {"path": "${workdir}/lake"}}, "main": "rows"},
            "clean": {"dedup": {"key": ["id"]}},
            "label": {"expression": "y"},
            "split": {"key": ["id"], "fractions": {"train": 0.4, "validation": 0.1, "test": 0.5}},
            "derive": {"day": {"kind": "time_part", "columns": ["when"], "part": "day_of_year"}},
            "features": {
                "big": {"kind": "standardize"},
                "gap": {"kind": "min_max", "impute": {"constant": 0}},
                "day": {"kind": "cyclic", "period": 365},
                "word": {"kind": "hash", "column": "Word (é)", "buckets": 4},
                "flag": {"kind": "vocabulary"},
            },
            "dataset": {"path": "${workdir}/dataset", "keep": ["id"]},
            "increments": {"by": ["night"]},
            "model": {"kind": "mlp"},
            "spark": {"conf": {"spark.sql.shuffle.partitions": 2}},
        },
        source="raw",
        workdir=str(workdir),
        environment={},
    )


def write_night(workdir: Path, night: int) -> None:
    folder = workdir / "lake" / f"night={night}"
    folder.mkdir(parents=True)
    pq.write_table(lake_rows(night * ROWS), folder / "part-0.parquet")


def build(workdir: Path, said: list[str] | None = None, **request: bool) -> Prepared:
    return prepare(
        make_recipe(workdir),
        workdir=str(workdir),
        report=lambda step: (said if said is not None else []).append(step.text),
        request=BuildRequest(**request),
    )


def check_values(dataset: DatasetVersion, rows: pa.Table) -> None:
    """Compare the raw values of all test rows with those of the lake, bit by bit."""
    columns = {
        "big": "raw_big", "gap": "raw_gap", "when": "raw_when", "Word (é)": "raw_Word____",
        "flag": "raw_flag",
    }  # fmt: skip
    assert {name: item.name for name, item in dataset.build.stored.items()} == {
        "id": "kept_id", **columns,
    }  # fmt: skip
    test = dataset.read_columns("test", ["kept_id", *columns.values()])
    expected = rows.take(test["kept_id"])
    assert test.num_rows > 20
    for raw, name in columns.items():
        values = expected[raw].cast(pa.int64()) if raw == "flag" else expected[raw]
        assert test[name].type == values.type
        # NaN is no null, and the texts of numbers are those of their bits.
        assert [repr(v) for v in test[name].to_pylist()] == [repr(v) for v in values.to_pylist()]
    train = next(f for f in dataset.build.files if f.split == "train")
    names = pq.read_schema(f"{dataset.root}/{train.path}").names
    assert not [name for name in names if name.startswith("raw_")]
    assert {*columns.values()} < {*dataset.column_types}


def test_raw_values_arrive_exactly_and_follow_increments(tmp_path: Path) -> None:
    write_night(tmp_path, 0)
    first = build(tmp_path).dataset
    check_values(first, lake_rows())
    spec = TransformSpec.from_json(first.transform_json)
    source = find_slice_source(s.Slice(columns=["big"], buckets=[BIG + 1]), spec, first.build)
    test = first.read_columns("test", ["kept_id", *source.dataset_columns])
    assigned = assign_slices(source, test)
    expected = {
        0: f"big below {BIG + 1}", 1: f"big from {BIG + 1}", 2: f"big below {BIG + 1}",
        3: "big missing",
    }  # fmt: skip
    names = [assigned.names[code] for code in assigned.codes]
    assert names == [expected[n % 4] for n in test["kept_id"].to_pylist()]
    # A version of the format before has none, and increments on it go on without.
    _make_older(first)
    assert DatasetVersion.open(first.root).build.stored == {}
    write_night(tmp_path, 1)
    said: list[str] = []
    second = build(tmp_path, said).dataset
    assert second.build.stored == {}
    assert any("version 0, which rows are added to, has no raw values" in line for line in said)
    new = next(f for f in second.build.files if f.split == "test" and "night=1" in f.partition)
    assert "raw_big" not in pq.read_schema(f"{second.root}/{new.path}").names
    # A full build adds them, and increments on that have them.
    build(tmp_path, full=True)
    write_night(tmp_path, 2)
    last = build(tmp_path).dataset
    assert last.build.is_partial
    check_values(last, pa.concat_tables([lake_rows(night * ROWS) for night in range(3)]))


def _make_older(dataset: DatasetVersion) -> None:
    """Leave a version as the format before had it: without a record of raw columns."""
    file = Path(locate_sidecar(dataset.root, dataset.build.build_id)) / BUILD_FILE
    record = json.loads(file.read_text())
    del record["stored"]
    file.write_text(json.dumps({**record, "format_version": 8}))
    sums = file.parent / "SHA256SUMS"
    sums.write_text(
        "".join(line for line in sums.read_text().splitlines(True) if BUILD_FILE not in line)
    )

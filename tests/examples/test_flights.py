"""The flights lake is the package's data, whole and unrepaired."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from headrace.errors import LakeError
from headrace.examples.flights import ensure_flights_lake
from headrace.progress import ignore_progress


def read_table(lake: Path, name: str) -> object:
    return ds.dataset(lake / name, partitioning="hive").to_table()


def test_rows_nulls_and_unmatched_keys_are_those_of_the_source(flights_lake: Path) -> None:
    flights, weather, planes = (
        read_table(flights_lake, n) for n in ("flights", "weather", "planes")
    )
    assert (flights.num_rows, weather.num_rows, planes.num_rows) == (336_776, 26_115, 3_322)
    assert flights["arr_delay"].null_count == 9_430
    assert flights["tailnum"].null_count == 2_512
    in_planes = pc.is_in(flights["tailnum"], value_set=planes["tailnum"].combine_chunks())
    assert pc.sum(pc.invert(in_planes)).as_py() == 52_606
    hours = set(zip(weather["origin"].to_pylist(), weather["time_hour"].to_pylist(), strict=True))
    flight_keys = zip(flights["origin"].to_pylist(), flights["time_hour"].to_pylist(), strict=True)
    assert sum(key not in hours for key in flight_keys) == 1_556
    assert str(flights["time_hour"].type) == "string"
    assert str(flights["dep_time"].type) == "int64"
    late = pc.mean(pc.cast(pc.greater(flights["arr_delay"], 15), "float64")).as_py()
    assert late == pytest.approx(0.24, abs=0.01)


def test_flights_are_partitioned_by_month(flights_lake: Path) -> None:
    names = sorted(p.name for p in (flights_lake / "flights").iterdir())
    assert names == sorted(f"month={m}" for m in range(1, 13))


def test_a_second_run_leaves_the_lake_as_it_is(flights_lake: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in flights_lake.rglob("*")}
    manifest, written = ensure_flights_lake(str(flights_lake), ignore_progress)
    assert not written
    assert manifest == json.loads((flights_lake / "_lake.json").read_text())
    assert {p: p.stat().st_mtime_ns for p in flights_lake.rglob("*")} == before


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(LakeError, match="is not empty"):
        ensure_flights_lake(str(tmp_path), ignore_progress)
    (tmp_path / "precious.txt").unlink()
    (tmp_path / "_lake.json").write_text('{"asked": {"lake": "synthetic"}}')
    with pytest.raises(LakeError, match="holds another lake"):
        ensure_flights_lake(str(tmp_path), ignore_progress)
    assert [p.name for p in tmp_path.iterdir()] == ["_lake.json"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(progress: object) -> None:
        if progress.text == "writing planes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_flights_lake(str(tmp_path / "lake"), interrupt)
    assert list(tmp_path.iterdir()) == []

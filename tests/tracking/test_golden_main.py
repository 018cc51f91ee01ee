"""The process that loads a registered model and compares: what it answers to a request."""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from headrace.tracking import golden_main
from headrace.tracking.golden import write_golden


class Doubling:
    """A model whose probability is twice the raw column; it records what it is asked."""

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        self.frames.append(frame)
        number = frame["x"].fillna(0).astype("float64") * 2
        labels = [{"a": value, "b": -value} for value in number]
        return pd.DataFrame({"probability": number, "labels": labels})


def answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: Path,
    latency_rows: list[int],
) -> tuple[dict[str, Any], Doubling]:
    model = Doubling()

    def load_model(uri: str, folder: str) -> Doubling:
        assert uri == "models:/m/1"
        Path(folder, "artifacts").mkdir()
        shutil.copy(path, Path(folder, "artifacts"))
        return model

    request = {
        "tracking_uri": f"sqlite:///{path.parent}/m.db",
        "model_uri": "models:/m/1",
        "latency_rows": latency_rows,
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    monkeypatch.setattr(golden_main, "_load_model", load_model)
    golden_main.main()
    return json.loads(capsys.readouterr().out.splitlines()[-1]), model


def test_differences_are_counted_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = pa.table({"x": pa.array([1, 2, None, 4], pa.int64())})
    recorded = {
        "probability": pa.array([2.0, 4.5, 0.0, 8.0]),  # the second row differs by 0.5
        "labels": pa.array([[2.0, -2.0], [4.0, -4.0], [0.0, 0.0], [8.0, 8.0]]),  # the last by 16
    }
    path = tmp_path / "golden.parquet"
    write_golden(str(path), raw, recorded, absolute=1e-6, relative=0.0)
    found, model = answer(monkeypatch, capsys, path, [])
    assert (found["rows"], found["different"], found["largest_difference"]) == (4, 2, 16.0)
    assert found["latency"] == {}
    # whole numbers stay whole beside a null
    assert str(model.frames[0]["x"].dtype) == "Int64"


def test_the_latency_is_of_fifty_requests_after_the_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "golden.parquet"
    raw = pa.table({"x": pa.array([1.0, 2.0, 3.0])})
    write_golden(str(path), raw, {"probability": pa.array([2.0, 4.0, 6.0])}, absolute=0, relative=0)
    found, model = answer(monkeypatch, capsys, path, [1, 2])
    assert found["different"] == 0
    assert {rows: len(times) for rows, times in found["latency"].items()} == {"1": 50, "2": 50}
    _, *requests = model.frames
    assert [len(frame) for frame in requests] == [1] * 55 + [2] * 55
    # the rows take turns
    assert [frame["x"].tolist() for frame in requests[55:57]] == [[1.0, 2.0], [3.0, 1.0]]

"""What counts as another prediction than the recorded one, and a check in a process of its own."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import ModelError
from headrace.tracking import golden
from headrace.tracking.golden import GoldenCheck, check_golden, find_differences, write_golden
from headrace.tracking.model import ModelVersion
from headrace.tracking.store import Store


def test_rounding_is_no_difference_and_more_is() -> None:
    expected = np.array([0.2, 0.5, 0.9])
    found = expected + np.array([9e-6, 1.1e-5, 0.0])
    different, largest = find_differences(expected, found, absolute=1e-5, relative=0.0)
    assert different.tolist() == [False, True, False]
    assert np.isclose(largest, 1.1e-5)


def test_numbers_on_a_large_scale_are_held_to_it() -> None:
    """A label in euros: 1e-5 of a standard deviation of 1e5, and not 100% of the number."""
    expected = np.array([1e6, 1e6, 0.0])
    found = np.array([1e6 + 1.5, 1e6 + 500, 0.5])
    different, _ = find_differences(expected, found, absolute=1.0, relative=1e-6)
    assert different.tolist() == [False, True, False]


def test_numbers_on_a_small_scale_are_held_to_it() -> None:
    different, _ = find_differences(
        np.array([3e-6]), np.array([4e-6]), absolute=1e-5 * 1e-6, relative=1e-6
    )
    assert different.all()


def test_no_number_is_far_from_every_number() -> None:
    different, largest = find_differences(
        np.array([0.5]), np.array([np.nan]), absolute=1e-5, relative=0.0
    )
    assert different.all()
    assert largest > 1e300


def test_classes_differ_where_one_was_recorded() -> None:
    expected = np.array(["a", None, "b"], object)
    found = np.array(["a", "c", "a"], object)
    different, _ = find_differences(expected, found, absolute=1e-5, relative=0.0)
    assert different.tolist() == [False, False, True]


def test_a_check_without_rows_has_not_passed() -> None:
    assert GoldenCheck(rows=4, largest_difference=0.0, different=0, load_seconds=1.0).passed
    assert not GoldenCheck(rows=4, largest_difference=9.0, different=1, load_seconds=1.0).passed
    assert not GoldenCheck(rows=0, largest_difference=0.0, different=0, load_seconds=1.0).passed


def test_recorded_columns_are_beside_the_raw_ones(tmp_path: Path) -> None:
    path = str(tmp_path / "golden.parquet")
    raw = pa.table({"x": [1, None]})
    write_golden(path, raw, {"prediction": pa.array([0.5, 0.25])}, absolute=1e-5, relative=1e-6)
    table = pq.read_table(path)
    assert table.to_pydict() == {"x": [1, None], "__headrace_prediction": [0.5, 0.25]}
    assert table.schema.metadata[b"headrace.absolute"] == b"1e-05"
    assert table.schema.metadata[b"headrace.relative"] == b"1e-06"


STORE = Store("sqlite:////nowhere/m.db", "e", "m", None)
MODEL = ModelVersion("m", 3, "r", {"model_bytes": 9})


def run_instead(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a script stand for the process that loads the model."""
    command = [sys.executable, "-c", script]
    monkeypatch.setattr(golden, "build_python_command", lambda *_: command)


def test_the_answer_of_the_process_is_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    run_instead(
        monkeypatch,
        "import json, sys; request = json.load(sys.stdin); print('a notice of a library'); "
        "print(json.dumps({'rows': 2, 'largest_difference': 0.5, 'different': 1, "
        "'load_seconds': 3.0, 'latency': {n: [1.0] for n in request['latency_rows']}}))",
    )
    check = check_golden(STORE, MODEL, [1, 64])
    assert check == GoldenCheck(2, 0.5, 1, 3.0, {1: [1.0], 64: [1.0]})


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise ValueError('no such model')", "in a process of its own: ValueError: no such model"),
        ("raise SystemExit(1)", "in a process of its own: the process gave no reason"),
        ("", "in a process of its own: the process gave no reason"),
    ],
)
def test_a_process_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    run_instead(monkeypatch, script)
    with pytest.raises(ModelError, match=f"^model models:/m/3 could not be loaded .*{message}$"):
        check_golden(STORE, MODEL)


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    run_instead(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(golden, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(ModelError, match=r"models:/m/3 .*did not predict within 0\.2 s"):
        check_golden(STORE, MODEL)


def test_a_model_without_recorded_predictions_is_named() -> None:
    with pytest.raises(ModelError, match="recorded no predictions to compare with; train again"):
        check_golden(STORE, ModelVersion("m", 3, "r", {}))


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-3])
def test_a_model_that_answers_0_or_1_differs_from_small_and_large_probabilities(
    size: float,
) -> None:
    for expected, answer in ((np.array([size]), 0.0), (np.array([1 - size]), 1.0)):
        different, _ = find_differences(
            expected, np.array([answer]), absolute=1e-5, relative=0.0, probabilities=True
        )
        assert different.tolist() == [size > 5.1e-7]


def test_probabilities_of_a_half_may_differ_by_the_whole_tolerance() -> None:
    expected, predicted = np.full(2, 0.5), np.array([0.5 + 0.9e-5, 0.5 + 1.1e-5])
    different, largest = find_differences(
        expected, predicted, absolute=1e-5, relative=0.0, probabilities=True
    )
    assert different.tolist() == [False, True]
    assert largest == pytest.approx(1.1e-5)

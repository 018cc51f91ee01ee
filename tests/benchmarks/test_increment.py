"""The benchmark of increments runs, and its figures have their keys."""

import json
from pathlib import Path

import pytest

from tests.e2e.running import BIN, run

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_twelve_small_days(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run(
        str(BIN / "python"), "-m", "benchmarks.increment", "--workdir", str(tmp_path),
        "--json", str(file), "--rows", "24000", "--rounds", "1",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(file.read_text())
    builds = figures["rounds"][0]
    assert builds["all 12 days"]["rows_processed"] == 24_000
    assert 0 < builds["the 12th day"]["rows_processed"] < 4000
    assert builds["nothing new"]["rows_processed"] == 0
    assert figures["ratios"]["increment_over_full"] > 0
    assert figures["seconds_to_find_nothing"] < 10

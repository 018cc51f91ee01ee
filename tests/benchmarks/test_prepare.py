"""The benchmark of prepare runs, its contenders agree, and its figures have their keys."""

import json
from pathlib import Path

import pytest

from tests.e2e.running import BIN, run

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_the_contest_on_a_small_lake(tmp_path: Path) -> None:
    figures = _measure(tmp_path, "--rows", "20000", "--rounds", "1")
    assert set(figures["ratios"]) == {
        "plain_spark_over_headrace",
        "spark_ml_over_headrace",
        "headrace_over_polars",
        "spark_over_without",
    }
    assert all(ratio > 0 for ratio in figures["ratios"].values())
    assert figures["agreement"]["agree"]
    assert set(figures["rounds"][0]) == {
        "headrace", "headrace_spark", "plain_spark", "spark_ml", "polars",
    }  # fmt: skip


def test_growth_and_skew_on_small_lakes(tmp_path: Path) -> None:
    figures = _measure(
        tmp_path, "--growth", "--growth-rows", "5000,10000", "--skew", "--rows", "10000",
        "--rounds", "1",
    )  # fmt: skip
    assert [size["rows"] for size in figures["growth"]] == [5000, 10_000]
    assert figures["skew"]["with_over_without"] > 0


def _measure(tmp_path: Path, *options: str) -> dict[str, dict[str, object]]:
    file = tmp_path / "figures.json"
    done = run(
        str(BIN / "python"), "-m", "benchmarks.prepare", "--workdir", str(tmp_path),
        "--json", str(file), *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    figures: dict[str, dict[str, object]] = json.loads(file.read_text())
    return figures

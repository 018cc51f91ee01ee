"""What prepare asks of Spark, and what the driver receives, grow with columns as columns do."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.growth import fit_exponent
from benchmarks.wide import make_recipe, write_lake
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.recipe.load import build_recipe

pytestmark = [pytest.mark.spark, pytest.mark.long]


def count_costs(
    spark: Any, folder: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """Prepare a lake of so many columns, and count what Spark was asked for."""
    from py4j.clientserver import JavaClient

    frame = type(spark.range(1))
    send, collect = JavaClient.send_command, frame.collect
    counts = {"calls": 0, "command characters": 0, "result bytes": 0}

    def send_counted(self: Any, command: str, *arguments: Any, **options: Any) -> Any:
        counts["calls"] += 1
        counts["command characters"] += len(command)
        return send(self, command, *arguments, **options)

    def collect_counted(self: Any) -> Any:
        rows = collect(self)
        counts["result bytes"] += sum(len(row["blob"]) for row in rows if "blob" in row)
        return rows

    lake = folder / "lake"
    write_lake(lake, columns, 1000)
    plain = make_recipe(str(lake), columns)
    plain["dataset"]["path"] = str(folder / "dataset")
    with monkeypatch.context() as patch:
        patch.setattr(JavaClient, "send_command", send_counted)
        patch.setattr(frame, "collect", collect_counted)
        recipe = build_recipe(plain, source="wide", workdir=str(folder), environment={})
        prepare(recipe, workdir=str(folder), report=ignore_progress)
    return counts


def test_costs_grow_as_columns_do(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = (50, 200)
    costs = [count_costs(spark, tmp_path / str(size), size, monkeypatch) for size in sizes]
    exponents = {name: fit_exponent(sizes, [cost[name] for cost in costs]) for name in costs[0]}
    assert max(exponents.values()) <= 1.1, (exponents, costs)

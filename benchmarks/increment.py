"""Measure an increment of one day beside a build of all days, and a build with nothing to do.

    .venv/bin/python -m benchmarks.increment               # 12 million rows, 12 days, 3 rounds
    .venv/bin/python -m benchmarks.increment --quick       # 240 thousand rows, 1 round

Each build is `headrace prepare` in a fresh process, on `headrace lake synthetic`: 12 days from
nothing, the twelfth day added to a dataset of eleven, and the same once more. The first two are
without Spark's start; the third is measured whole, as it starts no Spark. The order is reversed
every round.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.headrace import build_clicks_recipe
from benchmarks.lakes import ensure_clicks_lake, warm_page_cache
from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json

_ROWS, _QUICK_ROWS = 12_000_000, 240_000
_FULL, _INCREMENT, _NOTHING = "all 12 days", "the 12th day", "nothing new"


def main(
    rows: Annotated[int | None, typer.Option(min=1200, help="12,000,000 by default.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small lake and one round.")] = False,
    workdir: Annotated[str, typer.Option(help="For lakes and outputs.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure builds of everything, of one more day, and of nothing."""
    work = Path(workdir).absolute()
    size = rows or (_QUICK_ROWS if quick else _ROWS)
    lakes = _Lakes(work, size)
    lakes.publish_eleven_days()
    rounds_of_runs: list[dict[str, dict[str, Any]]] = []
    for number in range(rounds or (1 if quick else 3)):
        steps = [_FULL, _INCREMENT] if number % 2 == 0 else [_INCREMENT, _FULL]
        runs = {step: lakes.run_build(step) for step in [*steps, _NOTHING]}
        for step, run in runs.items():
            typer.echo(f"round {number + 1}: {step}, {run['seconds']:.1f} s")
        rounds_of_runs.append(runs)
    seconds = {
        step: [runs[step]["seconds"] for runs in rounds_of_runs]
        for step in (_FULL, _INCREMENT, _NOTHING)
    }
    figures: dict[str, Any] = {
        "benchmark": "increment",
        **describe_environment(),
        "rows": size,
        "rounds": rounds_of_runs,
        "ratios": {
            "increment_over_full": compute_median_ratio(seconds[_INCREMENT], seconds[_FULL])
        },
        "seconds_to_find_nothing": statistics.median(seconds[_NOTHING]),
    }
    lines = [[step, f"{statistics.median(s):.1f}"] for step, s in seconds.items()]
    typer.echo(f"\n{format_table(['build', 'seconds (median)'], lines)}")
    typer.echo(f"increment over full: {figures['ratios']['increment_over_full']:.3f}")
    if json_:
        write_json(json_, figures)


class _Lakes:
    """A lake with eleven and then with twelve days, and the datasets of both."""

    def __init__(self, work: Path, rows: int) -> None:
        self.work = work / "increment"
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.whole = Path(ensure_clicks_lake(str(work), rows)) / "clicks"
        warm_page_cache(str(self.whole))
        self.lake = self.work / "lake"
        self.recipe = self.work / "clicks.yaml"
        tree = build_clicks_recipe(str(self.lake), str(self.work / "unused")).dump_resolved()
        self.recipe.write_text(yaml.safe_dump(tree))
        self.days = sorted(self.whole.glob("day=*"))

    def set_days(self, days: int) -> None:
        """Set the lake to its first days by hard links, which keep sizes and modification times."""
        shutil.rmtree(self.lake, ignore_errors=True)
        for day in self.days[:days]:
            folder = self.lake / "clicks" / day.name
            folder.mkdir(parents=True)
            for file in day.glob("*.parquet"):
                os.link(file, folder / file.name)

    def publish_eleven_days(self) -> None:
        """Publish a dataset of eleven days, and then set the lake to twelve."""
        self.set_days(11)
        self._run_prepare("eleven")
        self.set_days(12)

    def run_build(self, step: str) -> dict[str, Any]:
        """Run one of the three builds, and return its figures."""
        if step == _FULL:
            shutil.rmtree(self.work / "twelve", ignore_errors=True)
            return self._run_prepare("twelve")
        if step == _INCREMENT:
            shutil.rmtree(self.work / "grown", ignore_errors=True)
            shutil.copytree(self.work / "eleven", self.work / "grown")
        return self._run_prepare("grown")

    def _run_prepare(self, dataset: str) -> dict[str, Any]:
        command = [
            str(Path(sys.executable).with_name("headrace")), "prepare", str(self.recipe), "--json",
            "--workdir", str(self.work), "--set", f"dataset.path={self.work / dataset}",
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall = time.monotonic() - began
        if done.returncode:
            typer.echo(done.stderr, err=True)
            raise typer.Exit(1)
        result = json.loads(done.stdout.splitlines()[-1])
        stages = result["seconds"]["prepare"]
        stages_alone = sum(s for name, s in stages.items() if name != "start_spark")
        return {
            "seconds": round(stages_alone if result["published"] else wall, 2),
            "wall_seconds": round(wall, 2),
            "stages": stages,
            "why": result["why"],
            "rows_processed": result["processed"]["read"] if result["published"] else 0,
        }


if __name__ == "__main__":
    typer.run(main)

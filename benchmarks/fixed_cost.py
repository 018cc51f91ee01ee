"""Measure what `headrace run` costs where there is nothing to do: 344 rows, step by step.

    .venv/bin/python -m benchmarks.fixed_cost            # 3 rounds
    .venv/bin/python -m benchmarks.fixed_cost --quick    # 1 round

The table has the columns of Palmer's penguins, its recipe is the one that `headrace init` proposes,
and every run begins with an empty workdir. `import tensorflow` is measured before and after each
run, so that the ratios hold on slower machines too; byte-code is compiled, as by `make setup`.
"""

import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.process_cost import Cost, Mark, measure_command
from benchmarks.report import describe_environment, format_table, write_json

_ROWS = 344
# Species: share of the rows, islands, and means of the four numbers.
_SPECIES: dict[str, tuple[int, tuple[str, ...], tuple[float, ...]]] = {
    "Adelie": (152, ("Torgersen", "Biscoe", "Dream"), (38.8, 18.3, 190.0, 3700.0)),
    "Chinstrap": (68, ("Dream",), (48.8, 18.4, 196.0, 3733.0)),
    "Gentoo": (124, ("Biscoe",), (47.5, 15.0, 217.2, 5076.0)),
}
_DEVIATIONS = (2.8, 1.1, 6.5, 400.0)
_HEADRACE = str(Path(sys.executable).with_name("headrace"))
_IMPORT = [sys.executable, "-c", "import tensorflow"]


def main(
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One round.")] = False,
    workdir: Annotated[str, typer.Option(help="For table and runs.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure the fixed cost of a run."""
    folder = Path(workdir).absolute() / "fixed_cost"
    folder.mkdir(parents=True, exist_ok=True)
    write_penguins(folder / "penguins.csv")
    _run_quietly([_HEADRACE, "init", "penguins.csv", "--label", "species", "--force"], folder)
    _time_import()  # the first one reads files from the disk
    figures = []
    for number in range(rounds or (1 if quick else 3)):
        before = _time_import()
        shutil.rmtree(folder / "var", ignore_errors=True)
        command = [_HEADRACE, "run", "penguins.yaml", "--workdir", "var"]
        cost = measure_command([*command, "--json", "--log-format", "json"], str(folder))
        after = _time_import()
        imports = {"before": before, "after": after}
        figures.append(_describe_round(cost, imports))
        typer.echo(f"round {number + 1}")
        typer.echo(_format_steps(cost) + "\n")
        typer.echo(_format_totals(figures[-1]) + "\n")
    medians = {
        name: round(statistics.median(figure["ratios"][name] for figure in figures), 2)
        for name in figures[0]["ratios"]
    }
    typer.echo(f"medians of {len(figures)} rounds: {medians}")
    if json_:
        values = {"medians": medians, "rounds": figures}
        write_json(json_, {"benchmark": "fixed_cost", **describe_environment(), **values})


def write_penguins(path: Path) -> None:
    """Write a table with the columns, rows, nulls and about the values of Palmer's penguins."""
    draw = random.Random(7)  # noqa: S311
    lines = ["species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex"]
    for number in range(_ROWS):
        shares = [share for share, _, _ in _SPECIES.values()]
        (species,) = draw.choices(list(_SPECIES), shares)
        _, islands, means = _SPECIES[species]
        numbers = [draw.gauss(m, d) for m, d in zip(means, _DEVIATIONS, strict=True)]
        bill = f"{numbers[0]:.1f},{numbers[1]:.1f},{numbers[2]:.0f},{numbers[3] / 25:.0f}"
        sex = draw.choices(["male", "female", ""], [168, 165, 11])[0]
        if number in (3, 271):
            bill, sex = ",,,", ""
        lines.append(f"{species},{draw.choice(islands)},{bill},{sex}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _time_import() -> dict[str, float]:
    """Return the seconds that importing TensorFlow takes, and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    _run_quietly(_IMPORT)
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}


def _run_quietly(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        typer.echo(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}", err=True)
        raise typer.Exit(1)


def _describe_round(cost: Cost, imports: dict[str, dict[str, float]]) -> dict[str, Any]:
    import_seconds = statistics.mean(item["seconds"] for item in imports.values())
    import_cpu = statistics.mean(item["cpu_seconds"] for item in imports.values())
    return {
        "seconds": round(cost.seconds, 2),
        "cpu_seconds": {kind: round(value, 2) for kind, value in cost.cpu_seconds.items()},
        "first_line_seconds": round(cost.marks[0].seconds, 2),
        "imports": imports,
        "ratios": {
            "seconds_by_import": cost.seconds / import_seconds,
            "cpu_by_import": cost.total_cpu_seconds / import_cpu,
            "cpu_seconds": cost.total_cpu_seconds,
            "first_line_seconds": cost.marks[0].seconds,
        },
        "steps": [
            {"step": name, "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}
            for name, seconds, cpu in _list_steps(cost)
        ],
    }


def _list_steps(cost: Cost) -> list[tuple[str, float, float]]:
    """List the steps of a run: each lasts from its line to the next one of another step."""
    end = Mark("", "the end", cost.seconds, cost.total_cpu_seconds)
    steps: list[tuple[str, float, float]] = []
    last = Mark("", "until the first line", 0.0, 0.0)
    for mark in [*cost.marks, end]:
        name = _name_step(last)
        seconds, cpu = mark.seconds - last.seconds, mark.cpu_seconds - last.cpu_seconds
        if steps and steps[-1][0] == name:
            _, seconds_before, cpu_before = steps.pop()
            seconds, cpu = seconds + seconds_before, cpu + cpu_before
        steps.append((name, seconds, cpu))
        last = mark
    return steps


def _name_step(mark: Mark) -> str:
    text = re.sub(r"^epoch \d+ of.*", "epochs", mark.text)
    return f"{mark.stage}: {text[:60]}" if mark.stage else text[:60]


def _format_steps(cost: Cost) -> str:
    rows = [[name, f"{s:.1f}", f"{c:.1f}"] for name, s, c in _list_steps(cost)]
    return format_table(["step", "seconds", "CPU seconds"], rows)


def _format_totals(figures: dict[str, Any]) -> str:
    imports = figures["imports"]
    mean = {
        key: statistics.mean(item[key] for item in imports.values())
        for key in ("seconds", "cpu_seconds")
    }
    total = sum(figures["cpu_seconds"].values())
    rows = [
        ["the run", f"{figures['seconds']:.1f}", f"{total:.1f}"],
        *([f"  {kind}", "", f"{value:.1f}"] for kind, value in figures["cpu_seconds"].items()),
        ["import tensorflow", f"{mean['seconds']:.1f}", f"{mean['cpu_seconds']:.1f}"],
        [
            "the run, in imports",
            f"{figures['ratios']['seconds_by_import']:.1f}",
            f"{figures['ratios']['cpu_by_import']:.1f}",
        ],
    ]
    return format_table(["", "seconds", "CPU seconds"], rows)


if __name__ == "__main__":
    typer.run(main)

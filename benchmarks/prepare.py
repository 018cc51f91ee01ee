"""Measure the prepare stage side by side with plain Spark, Spark ML and Polars in memory.

    .venv/bin/python -m benchmarks.prepare                 # 5 million rows, 3 rounds
    .venv/bin/python -m benchmarks.prepare --quick         # 200 thousand rows, 1 round
    .venv/bin/python -m benchmarks.prepare --growth        # Headrace at 1 to 8 million
    .venv/bin/python -m benchmarks.prepare --skew          # a hot and a unique column

All transform `headrace lake synthetic` into the same columns (`agreement.py` compares them), each
in a fresh process with the same Spark settings, in an order that is reversed every round.
`headrace` goes without Spark as far as it does by itself (docs/without-spark.md), `headrace_spark`
never. Who uses Spark has a session that is warm before the clock starts. The rivals neither
quarantine, nor account for rows, nor commit, nor shuffle beyond what deduplication needs.
"""

import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.agreement import Output, collect_agreement, format_agreement, measure_output
from benchmarks.contest import ContenderError, Job, Run, run_rounds
from benchmarks.lakes import ensure_clicks_lake, warm_page_cache
from benchmarks.prepare_sizes import format_growth, measure_growth
from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json
from benchmarks.run_one import CONTENDERS
from benchmarks.skew import measure_skew

_ROWS, _QUICK_ROWS = 5_000_000, 200_000
_GROWTH, _QUICK_GROWTH = (1_000_000, 2_000_000, 4_000_000, 8_000_000), (50_000, 100_000, 200_000)
_SKEW_ROWS, _QUICK_SKEW_ROWS = 1_000_000, 100_000
_RATIOS = {
    "plain_spark_over_headrace": ("plain_spark", "headrace"),
    "spark_ml_over_headrace": ("spark_ml", "headrace"),
    "headrace_over_polars": ("headrace", "polars"),
    "spark_over_without": ("headrace_spark", "headrace"),
}


def main(
    rows: Annotated[int | None, typer.Option(min=1000, help="5,000,000 by default.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="3 by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small lake and one round.")] = False,
    growth: Annotated[bool, typer.Option("--growth", help="Headrace alone, by size.")] = False,
    growth_rows: Annotated[
        str | None, typer.Option(help="Sizes for --growth, for example 1000000,2000000.")
    ] = None,
    skew: Annotated[bool, typer.Option("--skew", help="Headrace with two hard columns.")] = False,
    contender: Annotated[
        list[str] | None, typer.Option(help="Run only this one; may be given several times.")
    ] = None,
    workdir: Annotated[str, typer.Option(help="For lakes and outputs.")] = "var/benchmarks",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Measure the prepare stage; with --growth or --skew, Headrace alone."""
    work = str(Path(workdir).absolute())
    rounds = rounds or (1 if quick else 3)
    figures: dict[str, Any] = {"benchmark": "prepare", **describe_environment()}
    agreed = True
    try:
        if growth:
            sizes = _parse_sizes(growth_rows) or (_QUICK_GROWTH if quick else _GROWTH)
            figures["growth"] = measure_growth(work, sizes, echo=typer.echo)
            typer.echo(f"\n{format_growth(figures['growth'])}")
        if skew:
            size = rows or (_QUICK_SKEW_ROWS if quick else _SKEW_ROWS)
            figures["skew"] = measure_skew(work, size, rounds, echo=typer.echo)
            ratio = figures["skew"]["with_over_without"]
            typer.echo(f"\nwith the two columns: {ratio:.2f} times as long as without")
        if not (growth or skew):
            names = _select_contenders(contender)
            figures |= _run_contest(work, rows or (_QUICK_ROWS if quick else _ROWS), rounds, names)
            agreed = figures["agreement"]["agree"]
    except ContenderError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if json_:
        write_json(json_, figures)
    if not agreed:
        raise typer.Exit(1)


def _run_contest(workdir: str, rows: int, rounds: int, names: list[str]) -> dict[str, Any]:
    lake = ensure_clicks_lake(workdir, rows)
    warm_page_cache(lake)
    typer.echo(f"{rows:,} rows, {rounds} rounds")
    jobs = {n: Job(n, lake, f"{workdir}/out/{n}", f"{workdir}/scratch/{n}") for n in names}
    outputs: dict[str, Output] = {}

    def measure_files(name: str, run: Run) -> None:
        outputs[name] = measure_output(name, run.files)

    rounds_of_runs = run_rounds(jobs, rounds, echo=typer.echo, inspect=measure_files)
    ratios = {
        name: round(
            compute_median_ratio(
                _list_seconds(rounds_of_runs, over), _list_seconds(rounds_of_runs, under)
            ),
            3,
        )
        for name, (over, under) in _RATIOS.items()
        if over in names and under in names
    }
    medians = {name: _compute_medians(rounds_of_runs, name) for name in names}
    typer.echo(f"\n{format_agreement(outputs)}\n\n{_format_contest(rows, medians)}")
    for label, stages in ((n, _compute_stage_medians(rounds_of_runs, n)) for n in names):
        if stages:
            typer.echo(f"\n{label}: " + ", ".join(f"{s} {t:.1f} s" for s, t in stages.items()))
    typer.echo("\n" + "\n".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()))
    return {
        "rows": rows,
        "ratios": ratios,
        "medians": medians,
        "rounds": [
            {label: run.collect_figures() for label, run in runs.items()} for runs in rounds_of_runs
        ],
        "agreement": collect_agreement(outputs),
    }


def _format_contest(rows: int, medians: dict[str, dict[str, float]]) -> str:
    header = ["median", "seconds", "rows/s", "CPU seconds", "driver Python MiB", "JVM MiB"]
    return format_table(
        [*header, "all processes MiB"],
        [
            [
                name,
                f"{median['seconds']:.2f}",
                f"{rows / median['seconds']:,.0f}",
                f"{median['cpu_seconds']:.1f}",
                f"{median['driver_python_peak_mib']:,.0f}",
                f"{median['jvm_peak_mib']:,.0f}",
                f"{median['tree_peak_mib']:,.0f}",
            ]
            for name, median in medians.items()
        ],
    )


def _compute_medians(rounds_of_runs: list[dict[str, Run]], name: str) -> dict[str, float]:
    fields = ["seconds", "session_seconds", "cpu_seconds"]
    fields += ["driver_python_peak_mib", "jvm_peak_mib", "tree_peak_mib"]
    return {
        f: round(statistics.median(getattr(r[name], f) for r in rounds_of_runs), 3) for f in fields
    }


def _compute_stage_medians(rounds_of_runs: list[dict[str, Run]], name: str) -> dict[str, float]:
    """Compute the median seconds of each stage of a contender."""
    return {
        stage: statistics.median(runs[name].stages[stage] for runs in rounds_of_runs)
        for stage in rounds_of_runs[0][name].stages
    }


def _list_seconds(rounds_of_runs: list[dict[str, Run]], name: str) -> list[float]:
    return [runs[name].seconds for runs in rounds_of_runs]


def _select_contenders(names: list[str] | None) -> list[str]:
    unknown = sorted(set(names or ()) - set(CONTENDERS))
    if unknown:
        expected = ", ".join(CONTENDERS)
        raise typer.BadParameter(f"got {', '.join(unknown)}, expected some of {expected}")
    return [name for name in CONTENDERS if not names or name in names]


def _parse_sizes(text: str | None) -> tuple[int, ...] | None:
    try:
        sizes = tuple(int(size) for size in text.split(",")) if text else None
    except ValueError:
        raise typer.BadParameter(
            f"got --growth-rows {text}, expected numbers separated by commas"
        ) from None
    return sizes


if __name__ == "__main__":
    typer.run(main)

"""Count the requests that nights make to an object store: they follow what changed, not the lake.

    .venv/bin/python -m benchmarks.store_requests --nights 48

The lake of `nights.py` is local, dataset and predictions are on an S3 server on loopback (moto),
which logs every request. A night is a new day: prepare, score, a vacuum that keeps seven versions,
and a version opened as training does. Requests are counted by step and by verb.
"""

import os
import re
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from benchmarks.nights import make_recipe, run_command, write_day
from benchmarks.report import describe_environment, format_table, write_json
from tests.s3 import BUCKET, s3_server

_REQUEST = re.compile(r'"(GET|PUT|POST|DELETE|HEAD) /')
_STEPS = ("prepare", "score", "vacuum", "open")
_KEPT_NIGHTS = 7


def main(
    nights: Annotated[int, typer.Option(min=9)] = 60,
    folder: Annotated[str, typer.Option(help="An empty folder.")] = "var/store_requests",
    json_: Annotated[str | None, typer.Option("--json", help="Write all figures here.")] = None,
) -> None:
    """Count the requests of every night, and compare the last ones with those before."""
    root = Path(folder).absolute()
    root.mkdir(parents=True, exist_ok=True)
    with s3_server(root) as s3:
        os.environ.update(s3.environment)
        counted = count_requests(root, nights)
    figures = summarize_requests(counted)
    header = ["night", *_STEPS, "all", *("GET", "HEAD", "PUT", "POST", "DELETE")]
    typer.echo(format_table(header, [_format_night(night) for night in counted]))
    typer.echo(f"last third over the one before: {figures['ratios']}")
    if json_:
        write_json(json_, {"benchmark": "store_requests", **describe_environment(), **figures})


def count_requests(root: Path, nights: int) -> list[dict[str, Any]]:
    """Simulate nights, and count the requests of each.

    Args:
        root: folder of the lake, and of the server's log `s3.log`.
        nights: how many.

    Returns:
        for each night its number, requests by step, and by verb.
    """
    from headrace.lake.vacuum import vacuum_dataset
    from headrace.lake.version import DatasetVersion
    from headrace.prepare import prepare
    from headrace.progress import ignore_progress
    from headrace.recipe import load_recipe
    from headrace.score.run import score

    recipe_file, workdir = root / "nights.yaml", str(root / "work")
    tree = make_recipe(root, False, f"s3://{BUCKET}/dataset")
    recipe_file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    write_day(root, 0)
    for command in ("prepare", "train", "evaluate", "promote"):
        run_command(command, str(recipe_file), "--workdir", workdir)
    recipe = load_recipe(str(recipe_file), workdir=workdir, environment=os.environ)
    dataset, scores = recipe.dataset.path, f"s3://{BUCKET}/scores"
    began: list[datetime] = []
    counted = []
    for number in range(1, nights + 1):
        write_day(root, number)
        began.append(datetime.now(UTC))
        keep = datetime.now(UTC) - began[max(0, number - _KEPT_NIGHTS)]
        steps = {
            "prepare": lambda: prepare(recipe, workdir=workdir, report=ignore_progress),
            "score": lambda: score(
                recipe, table=str(root / "lake"), output=scores, workdir=workdir,
                report=ignore_progress,
            ),
            "vacuum": lambda keep=keep: vacuum_dataset(
                dataset, keep=keep, leftovers_after=timedelta(days=2), now=datetime.now(UTC),
                dry_run=False,
            ),
            "open": lambda: [*DatasetVersion.open(dataset).list_files("train")],
        }  # fmt: skip
        night: dict[str, Any] = {"night": number, "verbs": Counter()}
        for step, run in steps.items():
            before = _read_requests(root)
            run()
            asked = _read_requests(root)[len(before) :]
            night[step] = len(asked)
            night["verbs"].update(asked)
        night["all"] = sum(night[step] for step in _STEPS)
        counted.append(night)
    return counted


def summarize_requests(counted: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the last nights with those before them.

    Requests rise for some nights and fall again, as manifests and commits are merged after 16 and
    10 of them; so means of the last third and of the third before it are compared. The first
    nights are not: what is merged is not there yet.

    Returns:
        `ratios` of each step and of all, and all `nights`.
    """
    third = len(counted) // 3
    before, last = counted[third : 2 * third], counted[2 * third : 3 * third]
    ratios = {
        step: round(
            statistics.mean(night[step] for night in last)
            / statistics.mean(night[step] for night in before),
            3,
        )
        for step in (*_STEPS, "all")
    }
    return {"ratios": ratios, "nights": counted}


def _read_requests(root: Path) -> list[str]:
    """Read the verbs of all requests so far, in order."""
    return _REQUEST.findall((root / "s3.log").read_text(encoding="utf-8"))


def _format_night(night: dict[str, Any]) -> list[object]:
    verbs = [night["verbs"][verb] for verb in ("GET", "HEAD", "PUT", "POST", "DELETE")]
    return [night["night"], *(night[step] for step in _STEPS), night["all"], *verbs]


if __name__ == "__main__":
    typer.run(main)

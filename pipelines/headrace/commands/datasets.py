"""`headrace inspect`, `diff` and `vacuum`: a dataset's versions, seen, compared and removed."""

import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands import dataset_lines, results
from headrace.commands.console import Console
from headrace.commands.exit_codes import guarded
from headrace.commands.options import Json, Workdir

if TYPE_CHECKING:
    from headrace.lake import DatasetVersion
    from headrace.lake.drift import ColumnDrift
    from headrace.lake.history import PastVersion
    from headrace.stream.shuffle import ShuffleQuality

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder or URL.")]


def inspect(
    dataset: Dataset,
    version: Annotated[
        int | None, typer.Option(min=0, help="Which one; the newest by default.")
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle", help="Also how well training on its recipe mixes the train rows."
        ),
    ] = False,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """Show a dataset's versions, and of one of them rows, ledger, statistics and lineage.

    Example: headrace inspect var/datasets/flights --version 3
    """
    console = Console(json_)
    with guarded(console, "inspect"):
        from headrace.lake import DatasetVersion
        from headrace.lake.history import versions_of

        versions = versions_of(dataset)
        chosen = DatasetVersion.open(dataset, version)
        runs, trouble = _runs(chosen, workdir)
        for line in [
            *dataset_lines.version_lines(versions),
            "",
            *dataset_lines.chosen_lines(chosen),
        ]:
            console.line(line)
        console.line("MLflow runs")
        for run in runs:
            console.line(f"  {run['stage']:<10}{run['run_id']}  {run['status']}  {run['name']}")
        if trouble or not runs:
            console.line(f"  {trouble or 'none that names this build'}")
        mixed = _shuffle(chosen) if shuffle else None
        if mixed:
            console.line("")
            for line in dataset_lines.shuffle_lines(*mixed):
                console.line(line)
        console.result(
            {
                "command": "inspect",
                "ok": True,
                **({"shuffle": mixed[0] | asdict(mixed[1])} if mixed else {}),
                "versions": [_version_json(v) for v in versions],
                **_chosen_json(chosen),
                "runs": runs,
            }
        )


def _shuffle(dataset: "DatasetVersion") -> "tuple[dict[str, Any], ShuffleQuality]":
    """How the first epoch is planned, by the dataset's own recipe; and how well that mixes."""
    from headrace.recipe import sections
    from headrace.stream.columns import feature_columns, weight_columns
    from headrace.stream.shuffle import shuffle_quality
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    recipe = dataset.build.recipe
    train = sections.Train.model_validate(recipe.get("train", {}))
    settings = sections.Stream.model_validate(recipe.get("stream", {}))
    spec = TransformSpec.from_json(dataset.transform_json)
    stream = SplitStream.of(
        dataset,
        "train",
        feature_columns(spec, weight_columns(spec)),
        rank=0,
        size=1,
        global_batch_size=train.global_batch_size,
        canonical_shards=settings.canonical_shards,
        block_rows=settings.block_rows,
        shuffle=settings.shuffle,
        seed=train.seed,
        drop_last=settings.last_batch == "drop",
    )
    shown = ("global_batch_size", "canonical_shards", "block_rows", "shuffle", "seed")
    how = {name: getattr(stream, name) for name in shown}
    return how, shuffle_quality(stream.plan(0), stream.row_groups())


def diff(
    dataset: Dataset,
    first: Annotated[int, typer.Argument(metavar="A", min=0, help="A version.")],
    second: Annotated[int, typer.Argument(metavar="B", min=0, help="Another one.")],
    json_: Json = False,
) -> None:
    """Compare two versions: columns, rows, source partitions, and how far values moved.

    Example: headrace diff var/datasets/flights 3 4
    """
    console = Console(json_)
    with guarded(console, "diff"):
        from headrace.lake import DatasetVersion
        from headrace.lake.compare import compare

        found = compare(DatasetVersion.open(dataset, first), DatasetVersion.open(dataset, second))
        for line in dataset_lines.comparison_lines(found, first, second):
            console.line(line)
        console.result(
            {
                "command": "diff",
                "ok": True,
                "columns": found.columns,
                "rows": found.rows,
                "files": dict(zip(("both", "first", "second"), found.files, strict=True)),
                "partitions": found.partitions,
                "same_transform": found.same_transform,
                "statistics": {
                    name: dict(zip(("first", "second"), map(asdict, both), strict=True))
                    for name, both in found.statistics.items()
                },
                "drift": [_drift_json(d) for d in found.drift],
                "other_bins": found.other_bins,
            }
        )


def vacuum(
    dataset: Dataset,
    keep_hours: Annotated[
        float,
        typer.Option(min=0, help="How long a version stays readable after the next one came."),
    ] = 168,
    leftovers_after_hours: Annotated[
        float,
        typer.Option(
            min=0,
            help="A build that was not published is dead when it has written nothing for so long; "
            "longer than any running build needs to write its files.",
        ),
    ] = 24,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; without it they are only listed.")
    ] = False,
    json_: Json = False,
) -> None:
    """List, and with --yes remove, the files of old versions and of builds that died.

    The newest version is always kept. Files that Headrace did not write are left alone.

    Example: headrace vacuum var/datasets/flights --keep-hours 72 --yes
    """
    console = Console(json_)
    with guarded(console, "vacuum"):
        from headrace.lake.vacuum import vacuum as vacuum_dataset

        found = vacuum_dataset(
            dataset,
            keep=timedelta(hours=keep_hours),
            leftovers_after=timedelta(hours=leftovers_after_hours),
            now=datetime.now(UTC),
            dry_run=not yes,
        )
        for line in dataset_lines.vacuum_lines(found, yes):
            console.line(line)
        console.result(
            {
                "command": "vacuum",
                "ok": True,
                "removed": yes,
                "versions": found.versions,
                "leftovers": found.leftovers,
                "files": found.files,
                "bytes": found.bytes,
            }
        )


def _runs(dataset: "DatasetVersion", workdir: str) -> tuple[list[dict[str, str]], str]:
    """MLflow runs that name the build, and why they cannot be told."""
    from headrace.recipe import Recipe
    from headrace.redaction import redact_text
    from headrace.tracking.lineage import runs_of
    from headrace.tracking.store import Store

    try:
        recipe = Recipe.model_validate(dataset.build.recipe)
        store = Store.of(recipe, workdir, os.environ)
        return [asdict(run) for run in runs_of(store, dataset.build.build_id)], ""
    except Exception as error:  # the dataset is what was asked for, whatever MLflow says
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [], f"cannot be told: {redact_text(first)}"


def _version_json(version: "PastVersion") -> dict[str, Any]:
    known = version.summary
    return {
        "version": version.version,
        "committed": version.committed.isoformat(),
        "build_id": version.build_id,
        "readable": known is not None,
        "recipe": known.recipe if known else None,
        "headrace_version": known.headrace_version if known else None,
        "git_commit": known.git_commit if known else None,
        "rows": known.rows if known else None,
        "increment": known.partial if known else None,
    }


def _chosen_json(dataset: "DatasetVersion") -> dict[str, Any]:
    build = dataset.build
    return {
        **results.dataset_json(dataset),
        "processed": build.processed.model_dump(),
        "transform": {
            "digest": build.transform_digest,
            "build_id": build.transform_of or build.build_id,
        },
        "partitions": [p.model_dump() for p in build.partitions],
        "sources": build.sources,
        "drift": [_drift_json(d) for d in build.drift],
        "profile": dataset.profile.model_dump(),
    }


def _drift_json(drift: "ColumnDrift") -> dict[str, Any]:
    return {**drift.model_dump(), "drifted": drift.drifted}

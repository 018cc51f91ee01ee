"""Inspect, compare, bring back and remove versions of a dataset: the commands inspect, diff,
restore and vacuum.

How a result reads is written in `dataset_lines.py`.
"""

import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands import dataset_lines, results
from headrace.commands.frame import open_command
from headrace.commands.options import Json, Workdir
from headrace.errors import get_first_line
from headrace.lake.data_file import SPLITS

if TYPE_CHECKING:
    from headrace.lake import DatasetVersion
    from headrace.lake.drift import ColumnDrift
    from headrace.lake.history import VersionEntry
    from headrace.stream.shuffle import ShuffleQuality

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder or URL.")]


def inspect(
    dataset: Dataset,
    version: Annotated[
        int | None, typer.Option(min=0, help="Version to show; by default the newest.")
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option(
            "--shuffle",
            help="Also measure how well training by its recipe shuffles the train rows.",
        ),
    ] = False,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """List a dataset's versions, and show rows, ledger, statistics and lineage of one of them.

    Example: headrace inspect var/datasets/flights --version 3
    """
    # What is measured is what training reads.
    with open_command("inspect", json_, extras=["train"] if shuffle else []) as command:
        console = command.console
        from headrace.lake import DatasetVersion
        from headrace.lake.history import list_versions

        versions = list_versions(dataset)
        chosen = DatasetVersion.open(dataset, version)
        runs, problem = _find_runs(chosen, workdir)
        for line in [
            *dataset_lines.format_versions(versions),
            "",
            *dataset_lines.format_dataset(chosen),
        ]:
            console.print_line(line)
        console.print_line("MLflow runs")
        for run in runs:
            console.print_line(
                f"  {run['stage']:<10}{run['run_id']}  {run['status']}  {run['name']}"
            )
        if problem or not runs:
            console.print_line(f"  {problem or 'none that names this build'}")
        shuffle_fields = {}
        if shuffle:
            settings, quality = _measure_shuffle(chosen)
            shuffle_fields = {"shuffle": settings | asdict(quality)}
            console.print_line("")
            for line in dataset_lines.format_shuffle_quality(settings, quality):
                console.print_line(line)
        command.report_result(
            {
                **shuffle_fields,
                "versions": [_describe_version(past_version) for past_version in versions],
                **_describe_dataset(chosen),
                "runs": runs,
            }
        )


def _measure_shuffle(dataset: "DatasetVersion") -> "tuple[dict[str, Any], ShuffleQuality]":
    """Measure how well the first epoch of a training by the dataset's own recipe is shuffled.

    Returns:
        The settings of the stream that decide it, and the quality measured.
    """
    from headrace.recipe import sections
    from headrace.stream.columns import build_feature_columns, list_weight_columns
    from headrace.stream.shuffle import measure_shuffle
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    recipe = dataset.build.recipe
    train = sections.Train.model_validate(recipe.get("train", {}))
    settings = sections.Stream.model_validate(recipe.get("stream", {}))
    spec = TransformSpec.from_json(dataset.transform_json)
    stream = SplitStream.for_split(
        dataset,
        "train",
        build_feature_columns(spec, list_weight_columns(spec)),
        rank=0,
        size=1,
        global_batch_size=train.global_batch_size,
        canonical_shards=settings.canonical_shards,
        block_rows=settings.block_rows,
        memory=settings.memory,
        shuffle=settings.shuffle,
        seed=train.seed,
        drop_last=settings.last_batch == "drop",
    )
    names = ("global_batch_size", "canonical_shards", "block_rows", "shuffle", "seed")
    return {name: getattr(stream, name) for name in names}, measure_shuffle(
        stream.plan_epoch(0), stream.index
    )


def diff(
    dataset: Dataset,
    first: Annotated[int, typer.Argument(metavar="A", min=0, help="The first version.")],
    second: Annotated[int, typer.Argument(metavar="B", min=0, help="The second version.")],
    json_: Json = False,
) -> None:
    """Compare two versions: columns, rows, source partitions, and the drift of values.

    Example: headrace diff var/datasets/flights 3 4
    """
    with open_command("diff", json_) as command:
        from headrace.lake import DatasetVersion
        from headrace.lake.compare import compare_versions

        comparison = compare_versions(
            DatasetVersion.open(dataset, first), DatasetVersion.open(dataset, second)
        )
        for line in dataset_lines.format_comparison(comparison, first, second):
            command.console.print_line(line)
        command.report_result(
            {
                "columns": comparison.columns,
                "rows": comparison.rows,
                "files": dict(zip(("both", "first", "second"), comparison.files, strict=True)),
                "partitions": comparison.partitions,
                "same_transform": comparison.same_transform,
                "same_rows": comparison.same_rows,
                "statistics": {
                    name: dict(zip(("first", "second"), map(asdict, both), strict=True))
                    for name, both in comparison.statistics.items()
                },
                "raw_columns": [
                    {
                        version: column and column.model_dump(mode="json")
                        for version, column in zip(("first", "second"), both, strict=True)
                    }
                    for both in comparison.raw_columns
                ],
                "drift": [_describe_drift(d) for d in comparison.drift],
                "other_bins": comparison.other_bins,
            }
        )


def vacuum(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="Folder or URL of the dataset, or of predictions."),
    ],
    keep_hours: Annotated[
        float,
        typer.Option(
            min=0, help="Hours that a version stays readable after the next one was published."
        ),
    ] = 168,
    leftovers_after_hours: Annotated[
        float,
        typer.Option(
            min=0,
            help="Hours without a write after which an unpublished build counts as dead; must be "
            "longer than any running build takes to write its files.",
        ),
    ] = 24,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove the files; without it they are only listed.")
    ] = False,
    json_: Json = False,
) -> None:
    """List, and with --yes remove, the files of old versions and of dead builds.

    Of a dataset, or of what `headrace score` writes to. The newest version is always kept. Files
    that Headrace did not write are left alone.

    Example: headrace vacuum var/datasets/flights --keep-hours 72 --yes
    """
    with open_command("vacuum", json_) as command:
        from headrace.lake.vacuum import vacuum_dataset

        result = vacuum_dataset(
            dataset,
            keep=timedelta(hours=keep_hours),
            leftovers_after=timedelta(hours=leftovers_after_hours),
            now=datetime.now(UTC),
            dry_run=not yes,
        )
        for line in dataset_lines.format_vacuum(result, yes):
            command.console.print_line(line)
        command.report_result(
            {
                "removed": yes,
                "versions": result.versions,
                "leftovers": result.leftovers,
                "files": result.files,
                "bytes": result.bytes,
                "log_files": result.log_files,
            }
        )


def restore(
    dataset: Dataset,
    version: Annotated[
        int, typer.Argument(metavar="VERSION", min=0, help="The version to bring back.")
    ],
    json_: Json = False,
) -> None:
    """Publish an earlier version once more, as the newest; increments go on from there.

    No row is read, and no version is removed. The next build compares the lake with the version
    that came back, and processes again what changed since then.

    Example: headrace restore var/datasets/flights 3
    """
    with open_command("restore", json_) as command:
        from headrace.prepare.restore import restore_version

        published = restore_version(dataset, version)
        rows = sum(published.count_rows(split) for split in SPLITS)
        command.console.print_line(
            f"version {version} is back as version {published.version}, with {rows:,} rows"
        )
        command.report_result({"restored": version, **results.describe_dataset(published)})


def _find_runs(dataset: "DatasetVersion", workdir: str) -> tuple[list[dict[str, str]], str]:
    """Find the MLflow runs that name the dataset's build.

    Returns:
        The runs as JSON objects, and why they could not be found; "" where they could.
    """
    from headrace.extras import EXTRAS, list_missing_modules
    from headrace.recipe import Recipe
    from headrace.redaction import redact_text
    from headrace.tracking.lineage import find_runs
    from headrace.tracking.store import Store

    if list_missing_modules(EXTRAS["tracking"]):
        return [], "cannot be read: MLflow is not installed here"
    try:
        recipe = Recipe.model_validate(dataset.build.recipe)
        store = Store.from_recipe(recipe, workdir, os.environ)
        return [asdict(run) for run in find_runs(store, dataset.build.build_id)], ""
    except Exception as error:  # the dataset can be shown without MLflow
        reason = get_first_line(error) or type(error).__name__
        return [], f"cannot be read: {redact_text(reason)}"


def _describe_version(version: "VersionEntry") -> dict[str, Any]:
    """Return a version of the list as a JSON object."""
    summary = version.summary
    return {
        "version": version.version,
        "committed": version.committed.isoformat(),
        "build_id": version.build_id,
        "readable": summary is not None,
        "recipe": summary.recipe if summary else None,
        "headrace_version": summary.headrace_version if summary else None,
        "git_commit": summary.git_commit if summary else None,
        "rows": summary.rows if summary else None,
        "increment": summary.is_incremental if summary else None,
        "optimized": summary.optimized.model_dump() if summary and summary.optimized else None,
    }


def _describe_dataset(dataset: "DatasetVersion") -> dict[str, Any]:
    """Return the version that is shown as a JSON object."""
    from headrace.lake.split_definition import list_split_values

    build = dataset.build
    return {
        **results.describe_dataset(dataset),
        "processed": build.processed_ledger.model_dump(),
        "transform": {
            "digest": build.transform_digest,
            "build_id": build.transform_of or build.build_id,
        },
        "split": list_split_values(build),
        "partitions": [p.model_dump() for p in build.partitions],
        "sources": build.sources,
        "drift": [_describe_drift(d) for d in build.drift],
        "profile": dataset.profile.model_dump(),
        "statistics": _describe_statistics(dataset),
    }


def _describe_statistics(dataset: "DatasetVersion") -> dict[str, Any] | None:
    """Return the statistics of the raw columns and the alerts; None where there are none."""
    statistics = dataset.statistics
    if statistics is None:
        return None
    hidden: Any = {"format_version": True, "columns": {"__all__": {"totals"}}}
    return {**statistics.model_dump(exclude=hidden), "exact": statistics.is_exact}


def _describe_drift(drift: "ColumnDrift") -> dict[str, Any]:
    """Return the drift of a column as a JSON object."""
    return {**drift.model_dump(), "drifted": drift.has_drifted}

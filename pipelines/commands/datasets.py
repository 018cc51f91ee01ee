"""`headrace inspect`, `diff` and `vacuum`: a dataset's versions, seen, compared and removed."""

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands import results
from pipelines.commands.console import Console
from pipelines.commands.guard import guarded
from pipelines.commands.options import Json, Workdir

if TYPE_CHECKING:
    from pipelines.lake import DatasetVersion
    from pipelines.lake.compare import Comparison
    from pipelines.lake.drift import ColumnDrift
    from pipelines.lake.history import PastVersion
    from pipelines.lake.vacuum import Vacuumed

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder or URL.")]
_SHOWN = 12


def inspect(
    dataset: Dataset,
    version: Annotated[
        int | None, typer.Option(min=0, help="Which one; the newest by default.")
    ] = None,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """Show a dataset's versions, and of one of them rows, ledger, statistics and lineage.

    Example: headrace inspect var/datasets/flights --version 3
    """
    console = Console(json_)
    with guarded(console, "inspect"):
        from pipelines.lake import DatasetVersion
        from pipelines.lake.history import versions_of

        versions = versions_of(dataset)
        chosen = DatasetVersion.open(dataset, version)
        runs, trouble = _runs(chosen, workdir)
        for line in [*_version_lines(versions), "", *_chosen_lines(chosen)]:
            console.line(line)
        console.line("MLflow runs")
        for run in runs:
            console.line(f"  {run['stage']:<10}{run['run_id']}  {run['status']}  {run['name']}")
        if trouble or not runs:
            console.line(f"  {trouble or 'none that names this build'}")
        console.result(
            {
                "command": "inspect",
                "ok": True,
                "versions": [_version_json(v) for v in versions],
                **_chosen_json(chosen),
                "runs": runs,
            }
        )


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
        from pipelines.lake import DatasetVersion
        from pipelines.lake.compare import compare

        found = compare(DatasetVersion.open(dataset, first), DatasetVersion.open(dataset, second))
        for line in _comparison_lines(found, first, second):
            console.line(line)
        console.result(
            {
                "command": "diff",
                "ok": True,
                "columns": {n: what for n, what in found.columns.items() if what},
                "rows": found.rows,
                "files": dict(zip(("both", "first", "second"), found.files, strict=True)),
                "partitions": found.partitions,
                "same_transform": found.same_transform,
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
        from pipelines.lake.vacuum import vacuum as vacuum_dataset

        found = vacuum_dataset(
            dataset,
            keep=timedelta(hours=keep_hours),
            leftovers_after=timedelta(hours=leftovers_after_hours),
            now=datetime.now(UTC),
            dry_run=not yes,
        )
        for line in _vacuum_lines(found, yes):
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


def _version_lines(versions: "list[PastVersion]") -> list[str]:
    head = (
        f"{'version':>7}  {'committed (UTC)':<19}  {'build':<24}  {'rows':>12}  recipe, what it is"
    )
    lines = [head]
    for v in versions:
        when = f"{v.committed:%Y-%m-%d %H:%M:%S}"
        if v.build is None:
            what = "removed" if v.build_id else "not by Headrace"
            lines.append(f"{v.version:>7}  {when}  {v.build_id or '':<24}  {'':>12}  {what}")
            continue
        rows = sum(v.build.ledger.published.values())
        kind = "increment" if v.build.partial else "all rows"
        name = v.build.recipe.get("name", "")
        lines.append(f"{v.version:>7}  {when}  {v.build_id or '':<24}  {rows:>12,}  {name}, {kind}")
    return lines


def _chosen_lines(dataset: "DatasetVersion") -> list[str]:
    build = dataset.build
    code = f"Headrace {build.headrace_version}"
    if build.git_commit:
        code += f", commit {build.git_commit[:12]}"
    fitted_by = build.transform_of or build.build_id
    lines = [
        f"Version {dataset.version}: build {build.build_id} of {build.created_at}, {code}",
        f"  transform {build.transform_digest[:12]}, fitted by build {fitted_by}",
        *results.ledger_lines(build.ledger),
    ]
    if build.partial:
        lines += results.ledger_lines(build.processed, "Rows of this build")
    lines.append("Source partitions")
    for p in build.partitions[:_SHOWN]:
        size = sum(f.bytes for f in p.files)
        published = sum(p.ledger.published.values())
        own = "" if p.build_id == build.build_id else f", by build {p.build_id}"
        lines.append(
            f"  {p.name or 'the whole table':<28}{len(p.files):>6} files {size:>14,} bytes "
            f"{p.ledger.read:>12,} rows read {published:>12,} published{own}"
        )
    if len(build.partitions) > _SHOWN:
        lines.append(f"  and {len(build.partitions) - _SHOWN} more (--json lists all)")
    for table, source in build.sources.items():
        lines.append(f"  {table}: {source['path']}, {source['rows']:,} rows")
    lines += _drift_lines("Drift of this build's rows", build.drift)
    lines.append("Columns (train split, before scaling: 1, 50, 99% quantiles)")
    for item in dataset.profile.distributions:
        rows = sum(item.counts["train"])
        facts = ""
        if item.quantiles:
            facts = ", ".join(f"{item.quantiles[i]:.4g}" for i in (1, 4, 7))
        elif item.unknown:
            facts = f"out of vocabulary {item.unknown['train'] / max(1, rows):.2%}"
        lines.append(f"  {item.name:<28}{rows:>12,} values  {facts}")
    return lines


def _drift_lines(title: str, drift: "tuple[ColumnDrift, ...]") -> list[str]:
    if not drift:
        return []
    far = [d for d in drift if d.drifted]
    lines = [f"{title}: {len(far)} of {len(drift)} measures above their limits"]
    for d in sorted(far, key=lambda d: d.limit / d.value)[:_SHOWN]:
        lines.append(f"  {d.name:<28}{d.measure:<14}{d.value:>8.3f}  limit {d.limit:.3f}")
    return lines


def _comparison_lines(found: "Comparison", first: int, second: int) -> list[str]:
    lines = [f"Version {first} to version {second}"]
    for split, (before, now) in found.rows.items():
        lines.append(f"  {split:<28}{before:>12,} rows  {now:>12,} rows  {now - before:>+12,}")
    both, gone, new = found.files
    lines.append(f"  data files: {both} in both, {gone} removed, {new} added")
    for what, names in found.partitions.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"  source partitions {what}: {', '.join(names[:_SHOWN])}{more}")
    for name, change in found.columns.items():
        if change:
            lines.append(f"  column {name} {change}")
    same = "the same transform" if found.same_transform else "another transform"
    lines.append(f"  {same}")
    lines += _drift_lines("Values", found.drift)
    if found.other_bins:
        lines.append(
            f"  not compared, because they were fitted on other rows: {', '.join(found.other_bins)}"
        )
    return lines


def _vacuum_lines(found: "Vacuumed", removed: bool) -> list[str]:
    verb = "removed" if removed else "would be removed (--yes does it)"
    lines = [f"{len(found.files):,} files, {found.bytes:,} bytes {verb}"]
    if found.versions:
        shown = ", ".join(map(str, found.versions[:_SHOWN]))
        lines.append(f"  versions that can no longer be read: {shown}")
    if found.leftovers:
        lines.append(f"  builds that died: {', '.join(found.leftovers[:_SHOWN])}")
    return lines


def _runs(dataset: "DatasetVersion", workdir: str) -> tuple[list[dict[str, str]], str]:
    """MLflow runs that name the build, and why they cannot be told."""
    from dataclasses import asdict

    from pipelines.recipe import Recipe
    from pipelines.recipe.redact import redact_text
    from pipelines.tracking.lineage import runs_of
    from pipelines.tracking.store import Store

    try:
        recipe = Recipe.model_validate(dataset.build.recipe)
        store = Store.of(recipe, workdir, os.environ)
        return [asdict(run) for run in runs_of(store, dataset.build.build_id)], ""
    except Exception as error:  # the dataset is what was asked for, whatever MLflow says
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return [], f"cannot be told: {redact_text(first)}"


def _version_json(version: "PastVersion") -> dict[str, Any]:
    build = version.build
    return {
        "version": version.version,
        "committed": version.committed.isoformat(),
        "build_id": version.build_id,
        "readable": build is not None,
        "recipe": build.recipe.get("name") if build else None,
        "headrace_version": build.headrace_version if build else None,
        "git_commit": build.git_commit if build else None,
        "rows": build.ledger.published if build else None,
        "increment": build.partial if build else None,
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

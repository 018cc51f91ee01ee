"""Erase a person's rows from a dataset and from what was made of it: the command erase."""

import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.commands.first_checks import check_workdir
from headrace.commands.frame import open_command
from headrace.commands.options import Json, Workdir, load_with_overrides
from headrace.errors import DatasetError, OptionError, get_first_line
from headrace.redaction import MASK, redact_text

if TYPE_CHECKING:
    from headrace.columns.person_key import PersonKey
    from headrace.lake import DatasetVersion
    from headrace.recipe import Recipe

_LEFTOVERS_AFTER = timedelta(hours=24)


def erase(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder or URL.")],
    key: Annotated[
        list[str],
        typer.Option(
            "--key",
            metavar="COLUMN=VALUE",
            help="Whose rows: a column of the main table and its value. May be repeated; a row has "
            "to have all.",
        ),
    ],
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTPUT", help="Folder or URL of predictions to erase from. May be repeated."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Recipe file; by default the recipe of the newest version."
        ),
    ] = None,
    workdir: Workdir = "var",
    json_: Json = False,
) -> None:
    """Erase a person's rows: from every version, quarantine, examples, predictions and MLflow.

    A version without the rows is published and all others are removed, for good. Later builds leave
    the rows out, whether or not the lake still has them. Then all files are searched; where
    something is left, it is named and the exit code is 1. Models that were trained on the rows are
    named.

    Example: headrace erase var/datasets/visits --key user=4711 --predictions var/predictions
    """
    with open_command("erase", json_, extras=["train"]) as command:
        from headrace.lake import DatasetVersion
        from headrace.lake.erase import erase_from_sidecars, find_person, strip_log_statistics
        from headrace.lake.erase_predictions import erase_predictions, open_erasable_predictions
        from headrace.lake.history import list_versions
        from headrace.lake.vacuum import vacuum_dataset
        from headrace.prepare import BuildRequest, prepare
        from headrace.prepare.attempt import make_build_id
        from headrace.spark_session import stop_own_session_afterwards

        console = command.console
        person = _parse_key(key)
        check_workdir(workdir)
        before = DatasetVersion.open(dataset)
        loaded = _choose_recipe(before, recipe, workdir)
        for root in predictions or []:
            open_erasable_predictions(root, person)
        builds = {v.build_id for v in list_versions(before.root) if v.build_id}
        with console.track_stage("erase") as report:
            with stop_own_session_afterwards():
                prepared = prepare(
                    loaded, workdir=workdir, report=report, request=BuildRequest(erase=person)
                )
            report.result = {"version": prepared.dataset.version}
        build = prepared.dataset.build
        vacuumed = vacuum_dataset(
            before.root,
            keep=timedelta(),
            leftovers_after=_LEFTOVERS_AFTER,
            now=datetime.now(UTC) + timedelta(seconds=1),
            dry_run=False,
        )
        held: dict[str, list[str]] = {}
        hashed: dict[str, list[str]] = {}
        for partition in build.partitions:
            held.setdefault(partition.build_id, []).append(partition.name)
            hashed.setdefault(partition.hashes_build, []).append(partition.name)
        written = build.map_runs_to_splits()
        beside = erase_from_sidecars(
            before.root, person, held, build.build_id, hashed, paths=written
        )
        current = {file.path for file in build.files}
        beside.texts += strip_log_statistics(before.root, current)
        of_predictions = {}
        for root in predictions or []:
            rows, changed = erase_predictions(root, person, make_build_id(datetime.now(UTC)))
            of_predictions[root] = {"erased": rows, **asdict(changed)}
        artifacts, problem = _erase_from_mlflow(loaded, workdir, person, builds)
        left = [f"{before.root}/{path}" for path in find_person(before.root, person)]
        for root in predictions or []:
            left += [f"{root.rstrip('/')}/{path}" for path in find_person(root, person)]
        if not problem:  # once more: what is found now was not taken out
            again, problem = _erase_from_mlflow(loaded, workdir, person, builds)
            left += [*again.get("rows", {}), *again.get("texts", [])]
            left += [*again.get("unclear", []), *again.get("unread", [])]
        result = {
            "version": prepared.dataset.version,
            "why": prepared.why,
            "removed_versions": vacuumed.versions,
            "beside": asdict(beside),
            "predictions": of_predictions,
            "mlflow": artifacts,
            "left": left,
        }
        for line in _format_result(result, problem):
            console.print_line(line)
        if problem or left:
            what = problem or f"the person may still be in {len(left)} files: {', '.join(left[:5])}"
            raise DatasetError(
                f"version {prepared.dataset.version} is without the rows, but {what}"
            )
        command.report_result(result)


def _parse_key(pairs: list[str]) -> "PersonKey":
    from headrace.columns.person_key import PersonKey

    values = {}
    for pair in pairs:
        column, separator, value = pair.partition("=")
        if not separator or not column or not value:
            raise OptionError(f"--key {pair!r}: expected COLUMN=VALUE, for example user=4711")
        if column in values:
            raise OptionError(f"--key {column} is given twice; erase one person after the other")
        values[column] = value
    return PersonKey(values)


def _choose_recipe(newest: "DatasetVersion", path: str | None, workdir: str) -> "Recipe":
    """Return the recipe of a file, or that of the dataset where no secret is missing in it."""
    from headrace.lake.storage import resolve_root
    from headrace.recipe import Recipe

    if path is not None:
        recipe = load_with_overrides(path, workdir, None)
        if resolve_root(recipe.dataset.path) != newest.root:
            raise OptionError(
                f"--recipe {path} is of dataset {recipe.dataset.path}, and not of {newest.root}"
            )
        return recipe
    if MASK in str(newest.build.recipe):
        raise OptionError(
            f"the recipe that dataset {newest.root} keeps has no secrets; name the file with "
            "--recipe"
        )
    recipe = Recipe.model_validate(newest.build.recipe)
    # The dataset may have been moved since.
    return recipe.model_copy(
        update={"dataset": recipe.dataset.model_copy(update={"path": newest.root})}
    )


def _erase_from_mlflow(
    recipe: "Recipe", workdir: str, person: "PersonKey", builds: set[str]
) -> tuple[dict[str, Any], str]:
    """Erase from MLflow; return what was changed, and why it could not be, or ""."""
    from headrace.tracking.erase import erase_from_store
    from headrace.tracking.store import Store

    try:
        store = Store.from_recipe(recipe, workdir, os.environ)
        return asdict(erase_from_store(store, person, builds)), ""
    except Exception as error:  # the rows are gone from the dataset, whatever MLflow says
        reason = redact_text(get_first_line(error) or type(error).__name__)
        return {}, f"MLflow could not be searched ({reason}); run the command again"


def _format_result(result: dict[str, Any], problem: str) -> list[str]:
    beside, mlflow = result["beside"], result["mlflow"]
    lines = [
        f"version {result['version']} is without the rows: {result['why']}",
        f"removed versions: {', '.join(map(str, result['removed_versions'])) or 'none'}",
    ]
    rows = {**beside["rows"], **mlflow.get("rows", {})}
    lines += [f"  {count:,} rows taken out of {name}" for name, count in rows.items()]
    lines += [f"  removed {name}" for name in beside["removed"]]
    for root, changed in result["predictions"].items():
        lines.append(f"predictions {root}: {changed['erased']:,} rows taken out")
    models = mlflow.get("models", [])
    lines.append(
        f"models that were trained on versions that may have had the rows: {', '.join(models)}"
        if models
        else "no model was trained on this dataset"
    )
    if not problem and not result["left"]:
        lines.append("all files were searched: nothing of the person is left")
    return lines

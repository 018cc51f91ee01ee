"""Move the champion of a recipe's model: the commands promote and rollback."""

from headrace.commands.console import LogFormat
from headrace.commands.first_checks import check_workdir
from headrace.commands.frame import open_command
from headrace.commands.options import (
    Json,
    Log,
    ModelUri,
    RecipePath,
    Set,
    Workdir,
    load_with_overrides,
)


def promote(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    model: ModelUri = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Make a model the champion, if it passed its gates and still predicts as it did in training.

    By default the newest version of the recipe's model. It is loaded again, in a process of its
    own, and its predictions for raw rows are compared with those recorded in training. Then the
    alias `champion` is moved, and `previous` names the version before it. Exit code 3 if a gate
    failed.

    Example: headrace promote conf/flights.yaml --model models:/flights/3
    """
    with open_command("promote", json_, log_format, extras=["train"]) as command:
        from headrace.evaluate.promote import promote as promote_stage

        loaded = command.open_recipe(recipe, workdir, set_)
        check_workdir(workdir)
        with command.console.track_stage("promote") as report:
            promotion = promote_stage(loaded, workdir=workdir, report=report, model_uri=model)
            report.result = {"model_uri": promotion.model_uri}
        moved = promotion.alias_move
        before = f"version {moved.before}" if moved.before else "no version"
        lines = [f"Champion {promotion.model_uri}, before it {before}", *promotion.remarks]
        if not promotion.judged:
            lines.append("Verdict  none: evaluate.gates is [], so nothing was judged")
        command.console.print_summary(lines)
        command.report_result(
            {
                "model_uri": promotion.model_uri,
                "champion": moved.champion,
                "before": moved.before,
                "judged": promotion.judged,
                "golden_rows": promotion.golden.rows,
                "golden_largest_difference": promotion.golden.largest_difference,
                **({"remarks": list(promotion.remarks)} if promotion.remarks else {}),
            }
        )


def rollback(
    recipe: RecipePath,
    workdir: Workdir = "var",
    set_: Set = None,
    log_format: Log = LogFormat.TEXT,
    json_: Json = False,
) -> None:
    """Make the champion before the champion the champion again.

    Champions that were deleted in MLflow are passed over, and named. A rollback that was
    interrupted is completed, and goes no further.

    Example: headrace rollback conf/flights.yaml
    """
    with open_command("rollback", json_, log_format, extras=["train"]) as command:
        from headrace.evaluate.promote import roll_back

        loaded = load_with_overrides(recipe, workdir, set_)
        check_workdir(workdir)
        moved = roll_back(loaded, workdir=workdir)
        before = f"version {moved.before}" if moved.before else "a deleted version"
        lines = [f"Champion version {moved.champion}, rolled back from {before}"]
        if moved.skipped:
            versions = ", ".join(str(version) for version in moved.skipped)
            lines.append(f"Passed over, because it was deleted in MLflow: version {versions}")
        command.console.print_summary(lines)
        command.report_result(
            {
                "champion": moved.champion,
                "rolled_back": moved.before,
                "skipped": list(moved.skipped),
            }
        )

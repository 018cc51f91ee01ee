"""Choose whether a job scores without Spark, and start its processes early."""

from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.score.plan import ScorePlan
from headrace.source.local.choice import can_do_without_spark, count_processes
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local.table import refuse_other_sources
from headrace.source.local.workers import Workers

# Rows for which one more process is worth the second of a core that it takes to load the model;
# and bytes of a line of CSV, whose lines nobody has counted.
_ROWS_PER_PROCESS, _LINE_BYTES = 125_000, 100
_PRELOAD = "headrace.score.local.preload"


def start_workers(recipe: Recipe, plan: ScorePlan, report: Report) -> Workers | None:
    """Start the processes that score rows without Spark; None where Spark is needed.

    They import TensorFlow meanwhile. Whether these rows and their model can do without Spark is
    known when the model is (`jobs.LocalJobs`).

    Args:
        recipe: of `reading.replace_main_table`.
        plan: what is read.
        report: told why Spark is needed.
    """
    if not plan.processed or not can_do_without_spark(recipe, plan):
        return None
    try:
        refuse_other_sources(recipe)
        if recipe.clean.rules:
            raise NeedsSparkError("rules are checked")
    except NeedsSparkError as error:
        report(Progress(f"Spark is needed: {error}"))
        return None
    rows = 0
    for file in (file for name in plan.processed for file in plan.partitions[name]):
        rows += file.bytes // _LINE_BYTES if file.rows is None else file.rows
    count = min(count_processes(recipe), 1 + rows // _ROWS_PER_PROCESS)
    return Workers(count, preload=_PRELOAD)

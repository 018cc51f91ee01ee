"""Choose whether a stage goes without Spark, and in how many processes."""

import re

from headrace.cores import count_cores
from headrace.recipe import Recipe
from headrace.source.local.table import LocalTable
from headrace.source.partition_index import ReadPlan
from headrace.spark_engine.remote import find_remote
from headrace.spark_session import has_session, is_submitted

_LOCAL_MASTER = re.compile(r"local(?:\[(\*|\d+)(?:, *\d+)?\])?")
# What a recipe may say of its Spark that changes no row, and no reader.
_HARMLESS = re.compile(
    r"spark\.(driver|executor|ui|eventLog|log|cores|default\.parallelism|sql\.shuffle\.partitions)"
    r"(\..*)?"
)
# Cells that one process reads, fits and writes about as fast as two do with their start.
_CELLS_ALONE = 4_000_000


def can_do_without_spark(recipe: Recipe, plan: ReadPlan) -> bool:
    """Return whether a stage may go without Spark, by its size and by what runs already.

    Where spark-submit or a notebook has brought a session, or a server or a cluster is named, it is
    meant to be used.
    """
    settings, limit = recipe.spark, recipe.spark.above_rows
    if is_submitted() or has_session() or find_remote(settings.remote) is not None:
        return False
    if not _LOCAL_MASTER.fullmatch(settings.master):
        return False
    if not all(_HARMLESS.fullmatch(key) for key in settings.conf):
        return False
    if limit and recipe.source.tables[recipe.source.main].format == "csv":
        return True  # they are few, or refused by their bytes
    rows = [file.rows for name in plan.processed for file in plan.partitions[name]]
    known = [count for count in rows if count is not None]
    return len(known) == len(rows) and sum(known) <= limit


def count_processes(recipe: Recipe) -> int:
    """Return how many processes may run at a time: the machine's cores, or as `local[N]` says."""
    match = _LOCAL_MASTER.fullmatch(recipe.spark.master)
    wanted = match[1] if match else None
    cores = count_cores()
    return min(cores, int(wanted)) if wanted and wanted.isdigit() else cores


def choose_processes(recipe: Recipe, table: LocalTable) -> int:
    """Choose how many processes prepare rows beside this one; 0 where it does so itself."""
    cores = count_processes(recipe)
    cells = table.raw.rows_read * len(table.columns.stored.names)
    return 0 if cores == 1 or cells <= _CELLS_ALONE else cores


def describe_rows(table: LocalTable) -> str:
    """Return how many rows are prepared, and where they lie."""
    files = len(table.files)
    return f"{table.raw.rows_read:,} rows of {files:,} file{'s' if files != 1 else ''}"

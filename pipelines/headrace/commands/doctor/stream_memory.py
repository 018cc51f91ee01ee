"""Predict what the streams of a recipe take, before ranks are started."""

import psutil

from headrace.commands.doctor.finding import Finding, report_failure, report_ok, report_warning
from headrace.errors import HeadraceError, StreamError
from headrace.recipe import Recipe

_WHERE = "stream"
_MIB = 2**20


def check_stream_memory(recipe: Recipe) -> list[Finding]:
    """Predict bytes of row groups, blocks and batches, from the newest version of the dataset.

    Nothing is said where no version is published: the rows of its row groups are not known then.
    """
    from headrace.lake.version import DatasetVersion
    from headrace.train.preflight import choose_stream_shapes, load_published_spec

    try:
        dataset = DatasetVersion.open(recipe.dataset.path)
        shapes = choose_stream_shapes(recipe, dataset, load_published_spec(dataset))
    except StreamError as error:
        what, _, fix = str(error).partition(". ")
        return [report_failure(_WHERE, what, fix)]
    except HeadraceError:  # what is wrong with a dataset is said by the check of it
        return []
    if not shapes:
        return []
    split, shape = max(shapes.items(), key=lambda item: item[1].memory_bytes)
    ranks = recipe.train.rank_count
    what = (
        f"{split}: {shape.canonical_shards} shards, blocks of {shape.block_rows:,} rows or a row "
        f"group: at most {shape.memory_bytes / _MIB:,.0f} MiB on {ranks} rank"
        f"{'s together' if ranks > 1 else ''}"
    )
    is_local = recipe.train.launcher.kind in ("auto", "local")
    free = psutil.virtual_memory().available
    if is_local and shape.memory_bytes > free:
        return [
            report_warning(
                _WHERE,
                f"{what}, and {free / _MIB:,.0f} MiB are free",
                "set stream.memory, or write smaller row groups: dataset.rows_per_row_group: auto "
                "and `headrace prepare --full`",
            )
        ]
    return [report_ok(_WHERE, what)]

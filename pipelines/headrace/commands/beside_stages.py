"""Start beside the first stage of a pipeline what the later ones need: MLflow, and ranks."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from headrace.background import Background
from headrace.commands.console import Console
from headrace.cores import count_cores
from headrace.progress import Progress
from headrace.recipe import Recipe
from headrace.tracking.environment import select_tracking_variables
from headrace.tracking.store import Store, open_client

if TYPE_CHECKING:
    from headrace.distributed.supervise.kept_ranks import KeptRanks
    from headrace.tracking.run import TrackedRun

# Seconds that a run which failed waits for MLflow to open, to record there that it did.
_ENDING_SECONDS = 10.0
# What ranks import beside TensorFlow, before they have a task.
_MODULES = ("headrace.train.rank", "headrace.evaluate.rank", "headrace.tracking.preload")
# Memory that must be free for ranks to be there while Spark works: for it, and for each of them.
_SPARK_BYTES, _RANK_BYTES = 4 * 2**30, 2**30


@contextmanager
def open_parent_run(
    console: Console, recipe: Recipe, workdir: str
) -> Iterator[Callable[[], str | None]]:
    """Start the MLflow run of a pipeline while its first stage does what needs no run yet.

    Yields:
        What waits for the run, and returns its id, None where the server does not answer; or
        raises ModelError where something about the store will not pass by itself.
    """
    from headrace.tracking.run import report_outage, start_parent_run

    def tell(progress: Progress) -> None:
        console.print_line(progress.text)

    store = Store.from_recipe(recipe, workdir, os.environ)
    starting = start_parent_run(store, f"{recipe.name}-run", "run", tell)
    lock, is_interrupted, begins = threading.Lock(), False, False

    def start() -> "TrackedRun | None":
        nonlocal begins
        with contextlib.suppress(Exception):  # raised below, or passed over as an outage
            open_client(store)  # seconds of import, and no run that an end would be recorded of
        with lock:
            if is_interrupted:
                return None
            begins = True
        run = starting.__enter__()
        if run:
            with report_outage(tell):
                run.log_recipe(recipe)
        return run

    started = Background(start, "headrace-mlflow")

    def find_id() -> str | None:
        parent = started.wait()
        return parent.run_id if parent else None

    try:
        yield find_id
    except BaseException as error:
        with lock:
            # Whoever presses Ctrl-C does not wait for MLflow to open, only to say so there.
            is_interrupted = not begins and not isinstance(error, Exception)
        if not is_interrupted and started.has_succeeded(_ENDING_SECONDS):
            starting.__exit__(type(error), error, error.__traceback__)
        raise
    find_id()
    starting.__exit__(None, None, None)


@contextmanager
def keep_ranks(recipe: Recipe, workdir: str) -> "Iterator[KeptRanks | None]":
    """Start ranks of this machine while the first stage works, and keep them for all stages.

    Of `train.ranks: auto` it is one, until the rows are known; there are no more than processors,
    and none where memory is scarce. What is missing is started when it is needed.

    Yields:
        the ranks; None where they are on other machines.
    """
    from headrace.distributed.run_ranks import resolve_launcher
    from headrace.distributed.supervise.kept_ranks import KeptRanks

    if resolve_launcher(recipe, workdir).kind != "local":
        yield None
        return
    ranks = 1 if recipe.train.ranks == "auto" else recipe.train.ranks
    count = min(ranks, count_cores())
    with KeptRanks(
        _MODULES,
        threads_per_rank=recipe.train.threads_per_rank,
        collective_timeout=recipe.train.collective_timeout,
        environment=select_tracking_variables(os.environ),
    ) as kept:
        if psutil.virtual_memory().available >= _SPARK_BYTES + count * _RANK_BYTES:
            kept.start(count)
        yield kept

"""Search for better values of a recipe's keys: trials with Optuna, each a training of its own.

The study is saved in a SQLite file: the same command resumes a search that was interrupted. Several
trials run at once where the machine has room for them, each in processes of its own.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.errors import (
    HeadraceError,
    RankError,
    RecipeError,
    StoppedError,
    StoreError,
    TrainError,
)
from headrace.file_lock import FileLock, LockState
from headrace.number_text import format_number
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.train.run import train
from headrace.train.study import Study
from headrace.train.trial_slots import plan_slots


@dataclass(frozen=True)
class TuneResult:
    """The result of a search.

    Attributes:
        overrides: values of the best trial by dotted key.
        value: its metric.
        trials: number of trials by state (COMPLETE, PRUNED, FAIL).
        dataset_version: the version that all trials were trained on.
    """

    overrides: dict[str, Any]
    value: float
    trials: dict[str, int]
    dataset_version: int = 0


def tune_recipe(
    recipe: Recipe,
    build_trial_recipe: Callable[[dict[str, Any]], Recipe],
    *,
    workdir: str,
    report: Report,
    dataset_version: int | None = None,
    parent_run_id: str | None = None,
) -> TuneResult:
    """Run the trials that `recipe.tune` describes, and return the best one.

    Args:
        recipe: without a trial's values.
        build_trial_recipe: returns the recipe with values for dotted keys, always of the same
            recipe; raises RecipeError where they are impossible together.
        workdir: local folder; the study is in `tune/NAME.db` below it.
        report: called with progress.
        dataset_version: None for that on which an unfinished search began, else the newest one.
        parent_run_id: MLflow run below which trials are shown.

    Raises:
        TrainError: there are no validation rows, no trial was completed, the metric is not defined,
            or another search for the recipe is running in this workdir.
        StoreError: the tracking store or the checkpoints cannot be written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _check_keys(recipe.tune, build_trial_recipe)
    folder = Path(workdir).absolute() / "tune"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock_search(folder, recipe.name, report):
        study = Study(recipe, folder, dataset_version, report)

        def run_trial(trial_recipe: Recipe, **options: Any) -> Any:
            return train(
                trial_recipe,
                workdir=workdir,
                dataset_version=study.dataset.version,
                resume="never",
                parent_run_id=parent_run_id,
                register=False,
                **options,
            )

        slots = plan_slots(recipe, os.environ, report)
        _Trials(study, recipe.tune, build_trial_recipe, run_trial, report).run(slots)
        overrides, value = study.find_best()
        return TuneResult(overrides, value, study.count_by_state(), study.dataset.version)


@contextmanager
def _lock_search(folder: Path, name: str, report: Report) -> Iterator[None]:
    """Lock the study: two searches would take each other's trials for interrupted ones.

    Raises:
        TrainError: another search has the lock.
    """
    lock = FileLock(folder / f"{name}.lock")
    state = lock.take()
    if state is LockState.HELD:
        raise TrainError(
            f"another search for recipe {name} is under way in {folder}; wait until it ends, "
            "or give this one another --workdir"
        )
    if state is LockState.UNKNOWN:
        report(Progress(f"{folder} has no locks: run one search for {name} at a time"))
    try:
        yield
    finally:
        lock.release()


class _Trials:
    """The trials of a search, as many at a time as there are slots."""

    def __init__(
        self,
        study: Study,
        settings: s.Tune,
        build_trial_recipe: Callable[[dict[str, Any]], Recipe],
        run_trial: Callable[..., Any],
        report: Report,
    ) -> None:
        self._study, self._settings, self._build = study, settings, build_trial_recipe
        self._run_trial, self._report = run_trial, report
        self._number = study.count_finished()
        self._is_cancelled = threading.Event()

    def run(self, slots: list[dict[str, str]]) -> None:
        """Run trials until there are as many as the recipe says, or nothing is left to try.

        Args:
            slots: variables of the trials that run at the same time.
        """
        if len(slots) == 1:  # in this thread, which signals reach
            while self._is_more(0) and (drawn := self._draw()):
                self._run_one(*drawn)
            return
        with ThreadPoolExecutor(len(slots), thread_name_prefix="headrace-trial") as pool:
            running: dict[Future[None], dict[str, str]] = {}
            free = list(slots)
            try:
                while True:
                    while free and self._is_more(len(running)) and (drawn := self._draw()):
                        slot = free.pop(0)
                        running[pool.submit(self._run_one, *drawn, slot)] = slot
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        free.append(running.pop(future))
                        future.result()
            except BaseException:
                self._is_cancelled.set()  # the others end, and are run again by the next command
                raise

    def _is_more(self, running: int) -> bool:
        return self._study.count_finished() + running < self._settings.trials

    def _draw(self) -> tuple[str, Any, dict[str, Any]] | None:
        drawn = self._study.draw_trial()
        if drawn is None:
            self._report(Progress("all combinations of values were tried"))
            return None
        trial, overrides = drawn
        self._number += 1
        name = f"trial {min(self._number, self._settings.trials)}"
        values = ", ".join(f"{key} {value}" for key, value in overrides.items())
        self._report(Progress(f"{name} of {self._settings.trials}: {values}"))
        return name, trial, overrides

    def _run_one(
        self,
        name: str,
        trial: Any,
        overrides: dict[str, Any],
        variables: dict[str, str] | None = None,
    ) -> None:
        """Run a trial and record what became of it.

        Args:
            name: in messages.
            trial: Optuna's.
            overrides: its values.
            variables: of its slot; None where it runs alone.
        """

        def report_trial(progress: Progress) -> None:
            # Lines of trials that run side by side would be mixed up.
            text = f"{name}: {progress.text}" if variables is not None else progress.text
            self._report(replace(progress, text=text))

        metric = f"val_{self._settings.metric}"
        pruning_report = _PruningReport(self._study, trial, metric, report_trial)

        def should_stop() -> bool:
            return pruning_report.prune_requested.is_set() or self._is_cancelled.is_set()

        options = {"environment": variables} if variables else {}
        try:
            trained = self._run_trial(
                self._build(overrides), report=pruning_report, should_stop=should_stop, **options
            )
        except StoppedError:
            if self._is_cancelled.is_set():
                self._study.tell_interrupted(trial)
                return
            self._study.tell_pruned(trial)
            self._report(Progress(f"{name} is worse than others were by then; pruned"))
        except StoreError:  # no fault of the trial, and every other one would have it
            self._study.tell_interrupted(trial)
            raise
        except (TrainError, RecipeError) as error:
            # That the loss is not finite at some rate is a result, too, and so is that values are
            # impossible together.
            self._study.tell_pruned(trial)
            self._report(Progress(f"{name} failed: {_write_line(error)}"))
        except RankError as error:  # out of memory, for example
            is_again = self._study.tell_failed(trial)
            self._number -= is_again
            outcome = "it is tried once more" if is_again else "it counts as failed"
            self._report(Progress(f"{name}: {_write_line(error)}; {outcome}"))
        except BaseException:
            self._study.tell_interrupted(trial)
            raise
        else:
            value = trained.metrics.get(f"val_{self._settings.metric}")
            if value is None:
                self._study.tell_undefined(trial)
                raise TrainError(
                    f"tune.metric is {self._settings.metric}, which is not defined on a validation "
                    "split with labels of one class only; use loss"
                )
            self._study.tell_value(trial, value)
            self._report(Progress(f"{name}: {self._settings.metric} {format_number(value)}"))


def _write_line(error: HeadraceError) -> str:
    return " ".join(str(error).split())[:500]


def _check_keys(settings: s.Tune, build_trial_recipe: Callable[[dict[str, Any]], Recipe]) -> None:
    """Check that each key accepts a value of its search range.

    Raises:
        RecipeError: a key does not, whatever the values of the others.
    """
    for key, candidates in settings.parameters.items():
        value = candidates.choices[0] if isinstance(candidates, s.Choices) else candidates.low
        try:
            build_trial_recipe({key: value})
        except RecipeError as error:
            if any(problem.where == key for problem in error.problems):
                raise


class _PruningReport:
    """A `Report` that passes an epoch's metric on to the trial, and asks the pruner.

    Attributes:
        prune_requested: set once the pruner gives the trial up.
    """

    def __init__(self, study: Study, trial: Any, metric: str, report: Report) -> None:
        self._study, self._trial, self._metric, self._report = study, trial, metric, report
        self.prune_requested = threading.Event()

    def __call__(self, progress: Progress) -> None:
        self._report(progress)
        if progress.metrics and self._metric in progress.metrics:
            epoch = int(progress.metrics["epoch"])
            if self._study.report_epoch(self._trial, progress.metrics[self._metric], epoch):
                self.prune_requested.set()

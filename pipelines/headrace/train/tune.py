"""Search for better values of a recipe's keys: trials with Optuna, each a training of its own.

The study lies in a SQLite file; a search that was ended goes on with the same command, and a trial
that was under way is tried again.
"""

import fcntl
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import RecipeError, StoppedError, TrainError
from headrace.formats import STUDY
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.base import identifying
from headrace.train.checkpoint import training_id
from headrace.train.early_stopping import SMALLER_IS_BETTER
from headrace.train.run import train


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        overrides: of the best trial, dotted key -> value.
        value: of its metric.
        trials: state (COMPLETE, PRUNED, FAIL) -> how many.
    """

    overrides: dict[str, Any]
    value: float
    trials: dict[str, int]


def tune(
    recipe: Recipe,
    recipe_with: Callable[[dict[str, Any]], Recipe],
    *,
    workdir: str,
    report: Report,
    dataset_version: int | None = None,
    parent_run_id: str | None = None,
) -> Tuned:
    """Try what `recipe.tune` says.

    Args:
        recipe: without a trial's values.
        recipe_with: the recipe with these values for dotted keys; raises RecipeError where they
            are impossible together.
        workdir: local folder; the study is in `tune/NAME.db` below it.
        report: told of progress.
        dataset_version: the newest where it is left out.
        parent_run_id: MLflow run below which trials are shown.

    Raises:
        TrainError: there are no validation rows, no trial came to its end, or there is another
            search for the recipe in this workdir.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = recipe.tune
    _check_keys(settings, recipe_with)
    dataset = DatasetVersion.open(recipe.dataset.path, dataset_version)
    if not dataset.rows("validation"):
        raise TrainError(
            f"trials are compared on validation rows, and dataset {dataset.root} version "
            f"{dataset.version} has none; give split.fractions.validation more room"
        )
    folder = Path(workdir).absolute() / "tune"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, recipe.name, report):
        return _searched(
            recipe,
            recipe_with,
            folder,
            dataset,
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            parent_run_id=parent_run_id,
        )


@contextmanager
def _alone(folder: Path, name: str, report: Report) -> Iterator[None]:
    """Two searches would take each other's trials for ones that were left.

    Raises:
        TrainError: there is another one.
    """
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainError(
                f"another search for recipe {name} is under way in {folder}; wait for its end, or "
                "give this one another --workdir"
            ) from None
        except OSError:  # a file system without locks
            report(Progress(f"{folder} has no locks: do not search for {name} twice at a time"))
        yield


def _searched(
    recipe: Recipe,
    recipe_with: Callable[[dict[str, Any]], Recipe],
    folder: Path,
    dataset: DatasetVersion,
    *,
    workdir: str,
    report: Report,
    dataset_version: int | None,
    parent_run_id: str | None,
) -> Tuned:
    import optuna

    settings = recipe.tune
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/{recipe.name}.db",
        study_name=_study_name(recipe, dataset),
        direction="minimize" if settings.metric in SMALLER_IS_BETTER else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3)
        if settings.pruning
        else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    place = f"study {study.study_name} in {folder}/{recipe.name}.db"
    STUDY.migrated(study.user_attrs, place, TrainError)
    study.set_user_attr(STUDY.key, STUDY.current)
    running, finished = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.is_finished
    for left in study.get_trials(states=(running,)):
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(left.params)
        report(Progress(f"trial {left.number + 1} was under way; it is tried again"))

    # Another seed where trials are there already: else it would draw the same ones again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.get_trials()))

    def done() -> int:
        states = [t.state for t in study.get_trials(deepcopy=False)]
        return sum(finished(state) and state.name != "FAIL" for state in states)

    while (tried := done()) < settings.trials:
        trial = study.ask()
        overrides = {k: _suggested(trial, k, v) for k, v in settings.parameters.items()}
        said = ", ".join(f"{key} {value}" for key, value in overrides.items())
        report(Progress(f"trial {tried + 1} of {settings.trials}: {said}"))
        watch = _Watch(trial, f"val_{settings.metric}", report)
        try:
            trained = train(
                recipe_with(overrides),
                workdir=workdir,
                report=watch,
                dataset_version=dataset_version,
                resume="never",
                parent_run_id=parent_run_id,
                register=False,
                should_stop=watch.hopeless.is_set,
            )
        except StoppedError:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            report(Progress(f"trial {tried + 1} is worse than half of the others; ended early"))
            continue
        except (TrainError, RecipeError) as error:
            # A rate at which the loss is not finite is an answer, too, and so are values that are
            # impossible together.
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            report(Progress(f"trial {tried + 1} failed: {' '.join(str(error).split())}"))
            continue
        except BaseException:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
            raise
        value = trained.metrics.get(f"val_{settings.metric}")
        if value is None:
            raise TrainError(
                f"tune.metric is {settings.metric}, which is not defined on a validation split "
                "with labels of one class only; use loss"
            )
        study.tell(trial, value)
        report(Progress(f"trial {tried + 1}: {settings.metric} {value:.5g}"))
    counts: dict[str, int] = {}
    for one in study.get_trials(deepcopy=False):
        counts[one.state.name] = counts.get(one.state.name, 0) + 1
    if not counts.get("COMPLETE"):
        raise TrainError(f"none of {settings.trials} trials came to its end; see what they said")
    best = study.best_trial
    overrides = {key: best.user_attrs.get(key, best.params.get(key)) for key in settings.parameters}
    return Tuned(overrides, float(best.value or 0.0), counts)


def _study_name(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Trials of one study are of one recipe, one dataset, and one search."""
    searched = {k: v for k, v in identifying(recipe.tune).items() if k != "trials"}
    text = json.dumps(searched, sort_keys=True).encode()
    return f"{training_id(recipe, dataset)}-{hashlib.sha256(text).hexdigest()[:12]}"


def _check_keys(settings: s.Tune, recipe_with: Callable[[dict[str, Any]], Recipe]) -> None:
    """Whether each key takes what is tried for it.

    Raises:
        RecipeError: it does not, whatever the others are.
    """
    for key, tried in settings.parameters.items():
        value = tried.choices[0] if isinstance(tried, s.Choices) else tried.low
        try:
            recipe_with({key: value})
        except RecipeError as error:
            if any(problem.where == key for problem in error.problems):
                raise


class _Watch:
    """A `Report` that gives a trial its epochs' metrics, and knows when it is hopeless."""

    def __init__(self, trial: Any, metric: str, report: Report) -> None:
        self._trial, self._metric, self._report = trial, metric, report
        self.hopeless = threading.Event()

    def __call__(self, progress: Progress) -> None:
        self._report(progress)
        if progress.metrics and self._metric in progress.metrics:
            epoch = int(progress.metrics["epoch"])
            self._trial.report(progress.metrics[self._metric], epoch)
            if self._trial.should_prune():
                self.hopeless.set()


def _suggested(trial: Any, key: str, tried: s.SearchRange | s.Choices) -> Any:
    if isinstance(tried, s.Choices):
        # By number: Optuna takes plain values only, and a choice may be a list.
        number = trial.suggest_categorical(key, list(range(len(tried.choices))))
        value = tried.choices[number]
    elif all(isinstance(n, int) for n in (tried.low, tried.high, tried.step or 1)):
        value = trial.suggest_int(key, tried.low, tried.high, step=tried.step or 1, log=tried.log)
    else:
        value = trial.suggest_float(key, tried.low, tried.high, step=tried.step, log=tried.log)
    trial.set_user_attr(key, value)
    return value

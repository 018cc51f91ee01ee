"""Search for better values of a recipe's keys: trials with Optuna, each a training of its own.

The study is saved in a SQLite file: the same command resumes a search that was interrupted, and
retries the trial that was running.
"""

import fcntl
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import RecipeError, StoppedError, TrainError
from headrace.formats import STUDY
from headrace.labels.kinds import is_lower_better
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.base import collect_identifying_values
from headrace.train.checkpoint import compute_training_id
from headrace.train.run import train


@dataclass(frozen=True)
class TuneResult:
    """The result of a search.

    Attributes:
        overrides: values of the best trial by dotted key.
        value: its metric.
        trials: number of trials by state (COMPLETE, PRUNED, FAIL).
    """

    overrides: dict[str, Any]
    value: float
    trials: dict[str, int]


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
        build_trial_recipe: returns the recipe with values for dotted keys; raises RecipeError where
            they are impossible together.
        workdir: local folder; the study is in `tune/NAME.db` below it.
        report: called with progress.
        dataset_version: the newest one if left out.
        parent_run_id: MLflow run below which trials are shown.

    Raises:
        TrainError: there are no validation rows, no trial was completed, or another search for the
            recipe is running in this workdir.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    settings = recipe.tune
    _check_keys(settings, build_trial_recipe)
    dataset = DatasetVersion.open(recipe.dataset.path, dataset_version)
    if not dataset.count_rows("validation"):
        raise TrainError(
            f"trials are compared on validation rows, and dataset {dataset.root} version "
            f"{dataset.version} has none; give split.fractions.validation more room"
        )
    folder = Path(workdir).absolute() / "tune"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock_search(folder, recipe.name, report):
        return _run_search(
            recipe,
            build_trial_recipe,
            folder,
            dataset,
            workdir=workdir,
            report=report,
            dataset_version=dataset_version,
            parent_run_id=parent_run_id,
        )


@contextmanager
def _lock_search(folder: Path, name: str, report: Report) -> Iterator[None]:
    """Lock the study: two searches would take each other's trials for interrupted ones.

    Raises:
        TrainError: another search has the lock.
    """
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainError(
                f"another search for recipe {name} is under way in {folder}; wait until it ends, "
                "or give this one another --workdir"
            ) from None
        except OSError:  # a file system without locks
            report(Progress(f"{folder} has no locks: run one search for {name} at a time"))
        yield


def _run_search(
    recipe: Recipe,
    build_trial_recipe: Callable[[dict[str, Any]], Recipe],
    folder: Path,
    dataset: DatasetVersion,
    *,
    workdir: str,
    report: Report,
    dataset_version: int | None,
    parent_run_id: str | None,
) -> TuneResult:
    """Run the trials that are left to do; see `tune_recipe`.

    Args:
        folder: of the study, which is locked.
        dataset: the version that trials train on.
    """
    import optuna

    settings = recipe.tune
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/{recipe.name}.db",
        study_name=_name_study(recipe, dataset),
        direction="minimize" if is_lower_better(settings.metric) else "maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3)
        if settings.pruning
        else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    location = f"study {study.study_name} in {folder}/{recipe.name}.db"
    STUDY.migrate_tree(study.user_attrs, location, TrainError)
    study.set_user_attr(STUDY.key, STUDY.current)
    for interrupted in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(interrupted.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(interrupted.params)
        report(Progress(f"trial {interrupted.number + 1} was interrupted; it is run again"))

    # Another seed for each number of trials: else a resumed search would draw the same ones again.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.get_trials()))

    def count_finished() -> int:
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        return sum(state.is_finished() and state.name != "FAIL" for state in states)

    while (finished_count := count_finished()) < settings.trials:
        trial = study.ask()
        overrides = {k: _suggest_value(trial, k, v) for k, v in settings.parameters.items()}
        values = ", ".join(f"{key} {value}" for key, value in overrides.items())
        trial_name = f"trial {finished_count + 1}"
        report(Progress(f"{trial_name} of {settings.trials}: {values}"))
        pruning_report = _PruningReport(trial, f"val_{settings.metric}", report)
        try:
            trained = train(
                build_trial_recipe(overrides),
                workdir=workdir,
                report=pruning_report,
                dataset_version=dataset_version,
                resume="never",
                parent_run_id=parent_run_id,
                register=False,
                should_stop=pruning_report.prune_requested.is_set,
            )
        except StoppedError:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            report(Progress(f"{trial_name} is worse than half of the others; pruned"))
            continue
        except (TrainError, RecipeError) as error:
            # That the loss is not finite at some rate is a result, too, and so is that values are
            # impossible together.
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            report(Progress(f"{trial_name} failed: {' '.join(str(error).split())}"))
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
        report(Progress(f"{trial_name}: {settings.metric} {value:.5g}"))
    counts = Counter(trial.state.name for trial in study.get_trials(deepcopy=False))
    if not counts.get("COMPLETE"):
        raise TrainError(f"none of {settings.trials} trials was completed; see their messages")
    best = study.best_trial
    overrides = {key: best.user_attrs.get(key, best.params.get(key)) for key in settings.parameters}
    return TuneResult(overrides, float(best.value or 0.0), dict(counts))


def _name_study(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Return the study's name: all its trials are of one recipe, one dataset and one search."""
    identity = {k: v for k, v in collect_identifying_values(recipe.tune).items() if k != "trials"}
    text = json.dumps(identity, sort_keys=True).encode()
    return f"{compute_training_id(recipe, dataset)}-{hashlib.sha256(text).hexdigest()[:12]}"


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

    def __init__(self, trial: Any, metric: str, report: Report) -> None:
        self._trial, self._metric, self._report = trial, metric, report
        self.prune_requested = threading.Event()

    def __call__(self, progress: Progress) -> None:
        self._report(progress)
        if progress.metrics and self._metric in progress.metrics:
            epoch = int(progress.metrics["epoch"])
            self._trial.report(progress.metrics[self._metric], epoch)
            if self._trial.should_prune():
                self.prune_requested.set()


def _suggest_value(trial: Any, key: str, candidates: s.SearchRange | s.Choices) -> Any:
    """Let the trial draw a value for a key, and record the value with the trial."""
    if isinstance(candidates, s.Choices):
        # By number: Optuna takes plain values only, and a choice may be a list.
        number = trial.suggest_categorical(key, list(range(len(candidates.choices))))
        value = candidates.choices[number]
    elif all(isinstance(n, int) for n in (candidates.low, candidates.high, candidates.step or 1)):
        value = trial.suggest_int(
            key, candidates.low, candidates.high, step=candidates.step or 1, log=candidates.log
        )
    else:
        value = trial.suggest_float(
            key, candidates.low, candidates.high, step=candidates.step, log=candidates.log
        )
    trial.set_user_attr(key, value)
    return value

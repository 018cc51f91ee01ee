"""Keep the study of a search: what is pinned, which trial is next, and what became of it.

All that makes trials comparable is pinned when a search begins: the recipe, the dataset version,
the pruner. The same command goes on with what was pinned, whatever has come since. Nothing is
trained twice: values that were tried are not drawn again, and a trial that fails is tried a
bounded number of times.
"""

import hashlib
import json
import threading
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from headrace.errors import DatasetError, TrainError
from headrace.formats import STUDY
from headrace.labels.kinds import is_lower_better
from headrace.lake.version import DatasetVersion
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.base import collect_identifying_values
from headrace.train.checkpoint import compute_training_id
from headrace.train.search_space import (
    list_combinations,
    suggest_value,
    write_key,
    write_params,
)
from headrace.train.settings_check import collect_settings, list_differences

# How often a trial is begun before it counts as failed: where its ranks fail, and where the whole
# search ended with it and could not say why.
_TRIES, _TRIES_OF_SEARCH = 2, 3
# How often values are drawn that were tried, before the search ends for want of others.
_DRAWS = 1000
# Keys of attributes of a study, and of a trial.
_SEARCH, _SETTINGS, _DATASET, _PRUNER = "search", "settings", "dataset_version", "pruner"
_TRIED, _GIVEN_UP, _REPEATED = "tries", "given_up", "repeated"


class Study:
    """The study of one search; its methods may be called from several threads.

    Attributes:
        dataset: the version that all trials train on.
        pruner: `median`, `asha` or `none`.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, dataset_version: int | None, report: Report
    ) -> None:
        """
        Args:
            recipe: without a trial's values.
            folder: of the database, which is locked.
            dataset_version: to be trained on; None for that on which an unfinished search began,
                else the newest one.
            report: told what is pinned, and what changed since.

        Raises:
            DatasetError: there is no such version.
            TrainError: it has no validation rows, or the study is of a newer Headrace.
        """
        import optuna

        self._settings, self._report = recipe.tune, report
        self._lock = threading.Lock()
        self._storage = f"sqlite:///{folder}/{recipe.name}.db"
        self._search_id = _identify_search(recipe)
        self.dataset = self._choose_dataset(recipe, dataset_version)
        if not self.dataset.count_rows("validation"):
            raise TrainError(
                f"trials are compared on validation rows, and dataset {self.dataset.root} version "
                f"{self.dataset.version} has none; give split.fractions.validation more room"
            )
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=_name_study(recipe, self.dataset),
            direction="minimize" if is_lower_better(recipe.tune.metric) else "maximize",
            load_if_exists=True,
        )
        location = f"study {self._study.study_name} in {folder}/{recipe.name}.db"
        STUDY.migrate_tree(self._study.user_attrs, location, TrainError)
        self._pin(recipe)
        # Another seed for each number of trials: else a resumed search would draw the same again.
        with warnings.catch_warnings():  # `constant_liar` is called experimental since 2021
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(
                seed=self._settings.seed + len(self._study.get_trials(deepcopy=False)),
                constant_liar=self._settings.parallel > 1,
            )
        self._retry_interrupted()

    def _choose_dataset(self, recipe: Recipe, version: int | None) -> DatasetVersion:
        """Open the dataset version that was asked for, that is pinned, or the newest one."""
        import optuna

        root = recipe.dataset.path
        if version is not None:
            return DatasetVersion.open(root, version)
        newest = DatasetVersion.open(root, None)
        unfinished = []
        for summary in optuna.get_all_study_summaries(self._storage, include_best_trial=False):
            if _DATASET not in summary.user_attrs:
                continue
            study = optuna.load_study(study_name=summary.study_name, storage=self._storage)
            if _count_finished(study.get_trials(deepcopy=False)) < self._settings.trials:
                unfinished.append((summary.datetime_start, summary.user_attrs))
        unfinished.sort(key=lambda pair: str(pair[0]))
        for _, pinned in reversed(unfinished):
            if pinned[_SEARCH] != self._search_id:
                continue
            if pinned[_DATASET] == newest.version:
                return newest
            try:
                dataset = DatasetVersion.open(root, pinned[_DATASET])
            except DatasetError as error:
                text = f"the search began on dataset version {pinned[_DATASET]}, which is gone"
                self._report(Progress(f"{text}: another one begins ({error})"))
                return newest
            self._report(
                Progress(
                    f"the search goes on with dataset version {dataset.version}, on which it "
                    f"began; the newest is {newest.version} (--dataset-version {newest.version} "
                    "begins another search)"
                )
            )
            return dataset
        if unfinished:
            before = json.loads(unfinished[-1][1][_SETTINGS])
            changed = list_differences(before, _collect_search_settings(recipe))
            text = "another search begins: since the unfinished one "
            self._report(Progress(text + "; ".join(changed[:5])))
        return newest

    def _pin(self, recipe: Recipe) -> None:
        """Record what trials depend on, where the study is new, and read the pruner."""
        import optuna

        attributes = self._study.user_attrs
        if _PRUNER not in attributes and not self._study.get_trials(deepcopy=False):
            pruner = self._settings.pruner
            if pruner == "auto":
                pruner = "asha" if self._settings.parallel > 1 else "median"
            self._study.set_user_attr(_PRUNER, pruner if self._settings.pruning else "none")
        fallback = "median" if self._settings.pruning else "none"  # of an older Headrace
        self.pruner = self._study.user_attrs.get(_PRUNER, fallback)
        self._study.pruner = {
            "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=3),
            "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(
                min_resource=1, reduction_factor=3
            ),
            "none": optuna.pruners.NopPruner,
        }[self.pruner]()
        settings = json.dumps(_collect_search_settings(recipe))
        for key, value in {
            STUDY.key: STUDY.current,
            _SEARCH: self._search_id,
            _DATASET: self.dataset.version,
            _SETTINGS: settings,
        }.items():
            if attributes.get(key) != value:
                self._study.set_user_attr(key, value)

    def _retry_interrupted(self) -> None:
        """Run trials again that were running when a process ended without saying so."""
        import optuna

        running = self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
        for frozen in running:
            trial = optuna.trial.Trial(self._study, frozen._trial_id)
            tries = int(frozen.user_attrs.get(_TRIED, 0)) + 1
            name = f"trial {frozen.number + 1}"
            if tries >= _TRIES_OF_SEARCH:
                trial.set_user_attr(_GIVEN_UP, True)
                text = f"{name} ended the search {tries} times; it counts as failed"
                self._report(Progress(text))
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            self._study.enqueue_trial(frozen.params, user_attrs={_TRIED: tries})
            self._report(Progress(f"{name} was interrupted; it is run again"))

    def count_finished(self) -> int:
        """Count the trials that count: completed, pruned, or failed for good."""
        with self._lock:
            return _count_finished(self._study.get_trials(deepcopy=False))

    def draw_trial(self) -> tuple[Any, dict[str, Any]] | None:
        """Draw the next trial, with values that no other one has.

        Returns:
            Optuna's trial, and its values by dotted key; None where all combinations were tried.
        """
        with self._lock:
            return self._draw_trial()

    def _draw_trial(self) -> tuple[Any, dict[str, Any]] | None:
        import optuna

        parameters = self._settings.parameters
        combinations = list_combinations(parameters)
        for _ in range(_DRAWS):
            tried = self._list_tried()
            if combinations is not None and all(write_key(c) in tried for c in combinations):
                waiting = self._study.get_trials(
                    deepcopy=False, states=(optuna.trial.TrialState.WAITING,)
                )
                if not waiting:
                    return None
            trial = self._study.ask()
            values = {key: suggest_value(trial, key, tries) for key, tries in parameters.items()}
            if trial.user_attrs.get(_TRIED) is not None or write_key(values) not in tried:
                return trial, values
            trial.set_user_attr(_REPEATED, True)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            left = [c for c in combinations or [] if write_key(c) not in tried]
            if left:
                chosen = left[hash((self._settings.seed, trial.number)) % len(left)]
                self._study.enqueue_trial(write_params(chosen, parameters))
        return None

    def _list_tried(self) -> set[str]:
        """List the values of trials that are done, under way, or given up."""
        keys, tried = self._settings.parameters.keys(), set()
        for trial in self._study.get_trials(deepcopy=False):
            is_over = trial.state.name in ("COMPLETE", "PRUNED") or _GIVEN_UP in trial.user_attrs
            if (is_over or trial.state.name == "RUNNING") and keys <= trial.user_attrs.keys():
                tried.add(write_key({key: trial.user_attrs[key] for key in keys}))
        return tried

    def report_epoch(self, trial: Any, value: float, epoch: int) -> bool:
        """Tell the pruner an epoch's metric; return whether the trial is to be given up."""
        with self._lock:
            trial.report(value, epoch + 1 if self.pruner == "asha" else epoch)
            return bool(trial.should_prune())

    def tell_value(self, trial: Any, value: float) -> None:
        """Record the value of a trial that was completed."""
        with self._lock:
            self._study.tell(trial, value)

    def tell_pruned(self, trial: Any) -> None:
        """Record that a trial was given up, or that its values lead nowhere."""
        import optuna

        with self._lock:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def tell_interrupted(self, trial: Any) -> None:
        """Record that a trial was ended from outside: it is run again by the next command."""
        self._tell_failed(trial, again=True, tries=int(trial.user_attrs.get(_TRIED, 0)))

    def tell_failed(self, trial: Any) -> bool:
        """Record that a trial's ranks failed; return whether it is tried again."""
        tries = int(trial.user_attrs.get(_TRIED, 0)) + 1
        self._tell_failed(trial, again=tries < _TRIES, tries=tries)
        return tries < _TRIES

    def tell_undefined(self, trial: Any) -> None:
        """Record that a trial has no value, which no other one would have either."""
        self._tell_failed(trial, again=False, tries=0)

    def _tell_failed(self, trial: Any, *, again: bool, tries: int) -> None:
        import optuna

        with self._lock:
            if not again:
                trial.set_user_attr(_GIVEN_UP, True)
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if again:
                self._study.enqueue_trial(trial.params, user_attrs={_TRIED: tries})

    def find_best(self) -> tuple[dict[str, Any], float]:
        """Return the values of the best trial by dotted key, and its metric.

        Raises:
            TrainError: none was completed.
        """
        if not self.count_by_state().get("COMPLETE"):
            raise TrainError(
                f"none of {self._settings.trials} trials was completed; see their messages"
            )
        best = self._study.best_trial
        keys = self._settings.parameters
        return {k: best.user_attrs.get(k, best.params.get(k)) for k in keys}, float(
            best.value or 0.0
        )

    def count_by_state(self) -> dict[str, int]:
        """Count the trials by state; values that were drawn twice and not trained are none."""
        trials = self._study.get_trials(deepcopy=False)
        states = (t.state.name for t in trials if _REPEATED not in t.user_attrs)
        return dict(Counter(state for state in states if state != "WAITING"))


def _count_finished(trials: list[Any]) -> int:
    return sum(t.state.name in ("COMPLETE", "PRUNED") or _GIVEN_UP in t.user_attrs for t in trials)


def _collect_search_settings(recipe: Recipe) -> dict[str, Any]:
    """Collect what trials of a search have in common, and how it searches."""
    tune = collect_identifying_values(recipe.tune)
    return {
        **collect_settings(recipe),
        "tune": {k: v for k, v in tune.items() if k not in ("trials", "parallel")},
    }


def _identify_search(recipe: Recipe) -> str:
    """Return a digest of what a search is about, but for the dataset version."""
    text = json.dumps([str(recipe.dataset.path), _collect_search_settings(recipe)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _name_study(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Return the study's name: all its trials are of one recipe, one dataset and one search."""
    identity = _collect_search_settings(recipe)["tune"]
    text = json.dumps(identity, sort_keys=True).encode()
    return f"{compute_training_id(recipe, dataset)}-{hashlib.sha256(text).hexdigest()[:12]}"

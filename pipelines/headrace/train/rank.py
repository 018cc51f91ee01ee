"""What one rank of a training run does, from opening the dataset to registering the model."""

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.devices import device_map
from headrace.distributed.rank.peer_loss import lost_a_peer
from headrace.errors import PreemptedError, RankError
from headrace.lake.version import DatasetVersion
from headrace.models.predict import Predictor
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.signals import note_sigterm
from headrace.stream.columns import feature_columns, weight_columns
from headrace.stream.dataset import tf_batches
from headrace.stream.split_stream import SplitStream
from headrace.tracking.store import Store
from headrace.train.checkpoint import Checkpoints, CheckpointWriter, checkpoint_root
from headrace.train.checkpoint_policy import (
    Continued,
    NoKeeper,
    RankZeroKeeper,
    check_fits,
    find_checkpoint,
    restore,
)
from headrace.train.early_stopping import BestEpoch
from headrace.train.elastic import farthest_rank, take_over
from headrace.train.learning_rate import rate_of_recipe
from headrace.train.loop import Keeper, Parts, RanksChangeError, run_epochs
from headrace.train.model import built_model
from headrace.train.prefetch import ahead
from headrace.train.preflight import check_validation, trainable_spec
from headrace.train.register import register_model
from headrace.train.state import TrainState, place_of
from headrace.train.step import TrainStep, step_options
from headrace.train.streams import Streams
from headrace.train.tracked_run import FirstStep, Tracked, machines, result_of, where_ranks_are
from headrace.train.validation import predicted_rows
from headrace.train.weight_check import compare_weights


def train_rank(payload: dict[str, Any], collectives: Collectives, report: Report) -> dict[str, Any]:
    """Train on this rank; see `run.train` for the payload and the result."""
    with ExitStack() as stack:
        rank = _Rank(payload, collectives, report, stack)
        together = True
        while True:
            try:
                if not together:
                    collectives.reform()
                rank.train()
                return rank.register()
            except Exception as error:
                gone = isinstance(error, RanksChangeError) or lost_a_peer(error)
                if not (collectives.elastic and gone):
                    raise
                rank.settle()
                together = False


class _Rank:
    """A rank's process, in one generation of ranks or in several."""

    def __init__(
        self,
        payload: dict[str, Any],
        collectives: Collectives,
        report: Report,
        stack: ExitStack,
    ) -> None:
        """
        Args:
            payload, collectives, report: see `train_rank`.
            stack: closes what lasts as long as the process.
        """
        self._started = time.monotonic()
        self._stopping = note_sigterm()
        self._payload, self._collectives, self._report = payload, collectives, report
        self._stack = stack
        self._recipe = Recipe.model_validate(payload["recipe"])
        self._dataset = DatasetVersion.open(
            payload["dataset"]["root"], payload["dataset"]["version"]
        )
        self._spec = trainable_spec(self._recipe, self._dataset)
        check_validation(self._recipe, self._dataset)
        store = Store.of(self._recipe, payload["workdir"], os.environ)
        self._store = replace(store, parent=payload.get("parent_run_id"))
        self._model, self._optimizer = built_model(
            self._recipe, self._spec, collectives, self._store
        )
        root = checkpoint_root(self._recipe, self._dataset, payload["workdir"])
        self._checkpoints = Checkpoints(root)
        self._streams = Streams(self._recipe, self._dataset, payload["workdir"])
        self._state: TrainState | None = None
        self._step: TrainStep | None = None
        self._steps = 0
        # Validation rows' labels and what the trained model makes of them.
        self._held_out: tuple[np.ndarray, np.ndarray] | None = None
        # Of rank 0 alone: an attempt's name, who writes its checkpoints, and the tracked run.
        self._attempt = ""
        self._writer: CheckpointWriter | None = None
        self._tracked: Tracked | None = None
        self._first_step = FirstStep(self._started, lambda: self._tracked)

    def train(self) -> None:
        """To the last epoch, from where the farthest rank or the newest checkpoint is."""
        settings, collectives = self._recipe.train, self._collectives
        train = self._streams.of(
            "train", feature_columns(self._spec, weight_columns(self._spec)), collectives
        )
        self._steps = train.steps
        farthest = farthest_rank(self._state, self._steps, settings.accumulate, collectives)
        if farthest is None:
            state, facts = self._begin(train)
        else:
            state, facts = self._go_on(farthest), collectives.facts
        self._base = state.updates(self._steps, settings.accumulate)
        self._state = state
        with ExitStack() as stack:
            # Reading begins now, beside the compilation of the step.
            read = stack.enter_context(
                ahead(tf_batches(train, range(state.epoch, settings.epochs), state.step))
            )
            tracked, keeper = self._tracking(facts)
            options = step_options(self._recipe, self._spec, collectives)
            self._step = TrainStep(
                self._model, self._optimizer, collectives, self._spec.label.kind, options
            )
            parts = Parts(
                model=self._model,
                step=self._first_step.noted(self._step),
                train=train,
                batches=read,
                validation=self._streams.of("validation", feature_columns(self._spec), collectives)
                if self._dataset.rows("validation")
                else None,
                rate=rate_of_recipe(self._recipe, collectives, train),
                settings=settings,
                label=self._spec.label,
                collectives=collectives,
                keeper=keeper,
                stopping=self._stopping,
                report=self._report,
                log=tracked.log if tracked else None,
                log_steps=tracked.log_steps if tracked else None,
                log_every=self._recipe.tracking.every_steps,
                allreduce_seconds=self._step.allreduce_seconds,
            )
            devices = device_map(collectives)
            self._report(Progress(where_ranks_are(devices)))
            if tracked:
                tracked.tags(machines(devices, f"{self._checkpoints.root}/{self._attempt}"))
            run_epochs(parts, state)
            if self._writer:
                self._writer.wait()
            if self._stopping():
                raise PreemptedError(
                    "told to end; the training was done and its model not registered"
                )
            self._trained_at = time.monotonic()
            if parts.validation is not None and self._payload.get("register", True):
                predictor = Predictor(self._model)
                self._held_out = predicted_rows(
                    predictor, parts.validation, collectives, self._spec.label
                )
            self._checksums = compare_weights(self._model, collectives, "at the end")
        collectives.pulse.done()

    def register(self) -> dict[str, Any]:
        """The model, and the result; on rank 0."""
        state, tracked = self._state, self._tracked
        if self._collectives.rank != 0 or not tracked or not state:
            return {}
        if self._payload.get("register", True):
            self._report(Progress("registering the model"))
        run = tracked.finished()
        run.metrics({f"best_{k}": v for k, v in state.metrics.items()}, max(0, state.best.epoch))
        model = ""
        if self._payload.get("register", True):
            parts = (self._model, self._spec, self._recipe, self._dataset)
            model = register_model(run, *parts, self._held_out, self._report).uri
        self._checkpoints.finish(self._attempt, {"run_id": run.run_id, "model": model})
        first_step = self._first_step
        seconds = {
            "first_step": round(first_step.seconds, 2),
            "epochs": round(self._trained_at - self._started - first_step.seconds, 2),
            "register": round(time.monotonic() - self._trained_at, 2),
        }
        result = result_of(run, model, state, self._checksums)
        return {**result, "seconds": seconds, "first_step_at": first_step.at}

    def settle(self) -> None:
        """Have weights and state at the last update; the ranks are no longer together."""
        if self._state is None or self._step is None:
            self._state = None  # it is nowhere yet; others may be
            return
        self._step.undo()
        updates = self._base + int(self._step.updates)
        self._state.rewind(updates, self._steps, self._recipe.train.accumulate)

    def _begin(self, train: SplitStream) -> tuple[TrainState, dict[str, Any]]:
        """From a checkpoint, or from nothing: no rank is anywhere, or those that were are lost."""
        settings, collectives = self._recipe.train, self._collectives
        found = Continued("", None)
        if collectives.rank == 0:
            found = self._found()
            self._attempt = found.attempt
        restored = restore(
            found, self._model, self._optimizer, settings.early_stopping, collectives
        )
        if restored:
            state, facts = restored
            check_fits(facts, self._dataset.digest, train.steps)
            self._report(Progress(f"continuing {place_of(state, train.steps)} of {found.attempt}"))
            return state, facts
        if collectives.facts.get("begun"):
            raise RankError(
                "the ranks that knew how far the training was are lost, and there is no checkpoint"
            )
        # The initial weights are rank 0's.
        collectives.broadcast_variables([*self._model.weights, *self._optimizer.variables])
        return TrainState(BestEpoch(settings.early_stopping)), {}

    def _found(self) -> Continued:
        """What there is to go on from, on rank 0."""
        attempt = self._attempt or self._collectives.facts.get("attempt")
        if attempt:
            if not self._attempt:
                self._checkpoints.hold(attempt)
            return Continued(attempt, self._checkpoints.newest(attempt)[0])
        found = find_checkpoint(self._checkpoints, self._payload["resume"], self._report)
        self._checkpoints.hold(found.attempt)
        return found

    def _go_on(self, farthest: int) -> TrainState:
        """From where a rank is, among ranks of which some were together before."""
        collectives = self._collectives
        state = self._state
        if collectives.rank != farthest:
            # Its weights are about to be others; if that fails half-way, it is nowhere.
            self._state = None
        early_stopping = self._recipe.train.early_stopping
        parts = (self._model, self._optimizer, early_stopping, collectives)
        state = take_over(state, farthest, *parts)
        if collectives.rank == 0 and not self._attempt:
            self._attempt = collectives.facts.get("attempt") or self._checkpoints.new_attempt()
            self._checkpoints.hold(self._attempt)
        self._report(Progress(f"going on {place_of(state, self._steps)}"))
        return state

    def _tracking(self, facts: dict[str, Any]) -> tuple[Tracked | None, Keeper]:
        """On rank 0, once; who logs, and who writes checkpoints."""
        if self._collectives.rank != 0:
            return None, NoKeeper()
        if self._tracked is None or self._writer is None:
            settings = self._recipe.train.checkpoint
            self._writer = CheckpointWriter(self._checkpoints, self._attempt, settings.keep)
            self._stack.callback(self._writer.close)
            self._tracked = self._stack.enter_context(
                Tracked(
                    self._recipe,
                    self._dataset,
                    self._collectives,
                    self._store,
                    {**facts, "attempt": self._attempt},
                    self._report,
                    self._state.history if self._state else (),
                )
            )
        keeper = RankZeroKeeper(
            self._recipe.train.checkpoint,
            self._writer,
            self._model,
            self._optimizer,
            self._tracked.for_checkpoints,
        )
        return self._tracked, keeper

"""Train one rank: `train_epochs` once per generation of ranks, then `finish_training` once.

`train_epochs` starts from scratch, from a checkpoint, or, after a change of ranks, from the most
advanced rank, and returns nothing; where it fails because a rank was lost, `rank.py` calls it again
in the next generation. `finish_training` registers the model and returns the result of the stage,
which is empty on ranks other than 0. The epochs themselves are in `loop.py`.
"""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Any

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.devices import gather_devices
from headrace.distributed.rank.shared_dataset import open_shared_dataset
from headrace.errors import PreemptedError, RankError, StoreError, TrainError
from headrace.models.items import Catalog
from headrace.models.predict import Predictor
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.signals import record_termination
from headrace.stream.columns import build_feature_columns, list_weight_columns
from headrace.stream.dataset import read_tf_batches
from headrace.stream.split_stream import SplitStream
from headrace.tracking.descriptions import describe_registered_model, describe_version
from headrace.tracking.faults import wait_out
from headrace.tracking.metric_names import name_best_metrics
from headrace.tracking.store import Store
from headrace.train.checkpoint import Checkpoints, locate_checkpoints, name_attempt
from headrace.train.checkpoint_policy import (
    NoCheckpoints,
    ResumePoint,
    ScheduledCheckpoints,
    check_checkpoint_fits,
    find_resume_point,
    read_newest,
    restore_checkpoint,
)
from headrace.train.checkpoint_writer import CheckpointWriter
from headrace.train.describe import describe_task, describe_training
from headrace.train.early_stopping import BestEpoch
from headrace.train.elastic import broadcast_state, find_most_advanced_rank
from headrace.train.first_step import FirstStepTimer
from headrace.train.learning_rate import make_learning_rate
from headrace.train.loop import CheckpointPolicy, LoopContext, run_epochs
from headrace.train.loss_check import check_first_batch
from headrace.train.prefetch import prefetch_items
from headrace.train.preflight import check_validation, load_trainable_spec
from headrace.train.rank_model import RankModel
from headrace.train.register import LabelsAndOutputs, register_model
from headrace.train.retrieval import RetrievalLoss, make_validation_loss, read_catalog
from headrace.train.settings_check import check_settings, collect_settings
from headrace.train.state import TrainState, describe_progress
from headrace.train.step import TrainStep
from headrace.train.step_options import make_step_options
from headrace.train.streams import SplitStreams
from headrace.train.table_reading import TableReader
from headrace.train.tracked_run import (
    TrackedTraining,
    build_machine_tags,
    build_train_result,
    describe_devices,
)
from headrace.train.validation import gather_predictions
from headrace.train.variables import list_whole_variables
from headrace.train.weight_check import compare_weights


class RankTraining:
    """The training of a rank's process, in one generation of ranks or in several."""

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
            stack: closes what outlives a generation.
        """
        self._started_at = time.monotonic()
        self._is_stop_requested = record_termination()
        self._payload, self._collectives, self._report = payload, collectives, report
        self._stack = stack
        self._recipe = Recipe.model_validate(payload["recipe"])
        self._dataset = open_shared_dataset(
            payload["dataset"]["root"], payload["dataset"]["version"], collectives
        )
        self._spec = load_trainable_spec(self._recipe, self._dataset)
        check_validation(self._recipe, self._dataset)
        store = Store.from_recipe(self._recipe, payload["workdir"], os.environ)
        self._store = replace(store, parent=payload.get("parent_run_id"))
        self._built = RankModel(self._recipe, self._spec, collectives)
        root = locate_checkpoints(self._recipe, self._dataset, payload["workdir"])
        self._checkpoints = Checkpoints(root)
        self._streams = SplitStreams(self._recipe, self._dataset, payload["workdir"])
        self._state: TrainState | None = None
        self._step: TrainStep | None = None
        self._steps_per_epoch = 0
        # Labels of the validation rows, the trained model's output for them, and their weights.
        self._validation_predictions: LabelsAndOutputs | None = None
        self._catalog: Catalog | None = None  # of a two-tower model
        # On rank 0 alone: the attempt's name, the writer of its checkpoints, and the tracked run.
        self._attempt = ""
        self._writer: CheckpointWriter | None = None
        self._tracked_training: TrackedTraining | None = None
        # Of sharded tables: the folder of their files, and where those are that are resumed.
        self._shard_folder = ""
        self._saved_tables: list[Any] = []
        self._first_step = FirstStepTimer(self._started_at, lambda: self._tracked_training)

    def train_epochs(self) -> None:
        """Train to the last epoch, starting from the most advanced rank or the newest checkpoint.

        Called once in every generation of ranks.

        Raises:
            PreemptedError: this process was asked to stop.
            TrainError: the checkpoint is of another training, or the training cannot go on.
            RankError: all ranks with progress were lost, and there is no checkpoint.
        """
        settings, collectives = self._recipe.train, self._collectives
        columns = build_feature_columns(self._spec, list_weight_columns(self._spec))
        self._built.follow_ranks()
        train = self._streams.open_split("train", columns, collectives)
        self._steps_per_epoch, accumulate = train.steps, settings.accumulate
        most_advanced_rank = find_most_advanced_rank(
            self._state, train.steps, accumulate, collectives
        )
        if most_advanced_rank is None:
            state, checkpoint_extras = self._resume_or_begin(train)
        else:
            state = self._adopt_most_advanced_state(most_advanced_rank)
            checkpoint_extras = collectives.carried_values
        self._base_updates = state.count_updates(train.steps, accumulate)
        self._state = state
        with ExitStack() as stack:
            # Reading starts now, while the step is compiled.
            epochs = range(state.epoch, state.epoch if state.is_ended else settings.epochs)
            batches = stack.enter_context(
                prefetch_items(read_tf_batches(train, epochs, state.step))
            )
            tracked_training, checkpoint_policy = self._open_tracking(checkpoint_extras)
            shards = train.canonical_shards // collectives.size
            retrieval = self._read_retrieval_loss()
            options = make_step_options(self._recipe, self._spec, collectives, shards, retrieval)
            built = self._built
            batches = check_first_batch(self._spec.label, options, built.model, batches)
            self._step = TrainStep(
                built.model,
                built.optimizer,
                collectives,
                self._spec.label.kind,
                options,
                built.tables,
            )
            context = LoopContext(
                model=built.model,
                optimizer=built.optimizer,
                step=self._first_step.wrap_step(self._step),
                train=train,
                batches=batches,
                validation=self._open_validation(),
                rate=make_learning_rate(self._recipe, collectives, train),
                settings=settings,
                label=self._spec.label,
                collectives=collectives,
                checkpoint_policy=checkpoint_policy,
                should_stop=self._is_stop_requested,
                report=self._report,
                log=tracked_training.log_epoch if tracked_training else None,
                log_steps=tracked_training.log_steps if tracked_training else None,
                log_every=self._recipe.tracking.every_steps,
                measure_allreduce_seconds=self._step.measure_allreduce_seconds,
                measure_table_seconds=self._step.measure_table_seconds,
                describe_tables=self._step.describe_tables,
                measure_loss=(
                    make_validation_loss(retrieval, built.model, collectives) if retrieval else None
                ),
                exact_rows=self._recipe.evaluate.exact_rows,
                open_run=self._first_step.open_run,
            )
            devices = gather_devices(collectives)
            self._report(Progress(describe_devices(devices)))
            if collectives.rank == 0:
                built.report_tables(self._report)
            if tracked_training:
                attempt = f"{self._checkpoints.root}/{self._attempt}"
                rule = self._payload.get("ranks_rule", "")
                tracked_training.set_tags(build_machine_tags(devices, attempt, rule))
            run_epochs(context, state)
            if self._writer:
                self._writer.wait_until_written()
            if self._is_stop_requested():
                raise PreemptedError(
                    "asked to stop; the training was done, but its model was not registered"
                )
            self._trained_at = time.monotonic()
            if context.validation is not None and self._payload.get("register", True):
                predictor = Predictor(built.model)
                self._validation_predictions = gather_predictions(
                    predictor, context.validation, collectives, self._spec.label
                )
            self._checksums = compare_weights(
                built.model, collectives, "at the end", with_shards=True
            )
        if not (self._built.shards and self._payload.get("register", True)):
            collectives.heartbeat.mark_done()

    def finish_training(self) -> dict[str, Any]:
        """Register the model and return the training's result; called once, after the last epoch.

        Returns:
            what `run.train` reads; an empty dict on ranks other than 0, which do nothing.
        """
        state, tracked_training = self._state, self._tracked_training
        is_registered = self._payload.get("register", True)
        tables = None
        if self._built.shards and is_registered:
            tables = TableReader(self._built.model, self._collectives)
        if self._collectives.rank != 0 or not tracked_training or not state:
            if tables:
                tables.follow_rank_0()
                self._collectives.heartbeat.mark_done()
            return {}
        if is_registered:
            self._report(Progress("registering the model"))
        run = tracked_training.finish_writing()
        best_metrics = name_best_metrics(state.metrics)
        wait_out(lambda: run.log_metrics(best_metrics, max(0, state.best.epoch)), self._report)
        model_uri = ""
        if is_registered:
            with tables.lead() if tables else nullcontext():
                model = register_model(
                    run,
                    self._built.model,
                    self._spec,
                    self._built.recipe,
                    self._dataset,
                    self._validation_predictions,
                    self._report,
                    tables,
                    self._catalog,
                )
            model_uri = model.uri
            text = describe_training(self._recipe, self._dataset)
            describe_version(self._store, model.name, model.version, text)
            describe_registered_model(self._store, model.name, describe_task(self._recipe))
        self._collectives.heartbeat.mark_done()
        self._checkpoints.mark_finished(self._attempt, {"run_id": run.run_id, "model": model_uri})
        # Nobody continues a trial of a search.
        keep = self._recipe.train.checkpoint.keep_finished if is_registered else 0
        try:
            self._checkpoints.remove_older(self._attempt, keep, None)
        except StoreError as error:  # the model is registered all the same
            self._report(Progress(str(error)))
        first_step = self._first_step
        seconds = {
            "first_step": round(first_step.seconds, 2),
            "epochs": round(self._trained_at - self._started_at - first_step.seconds, 2),
            "register": round(time.monotonic() - self._trained_at, 2),
        }
        result = build_train_result(run, model_uri, state, self._checksums)
        return {**result, "seconds": seconds, "first_step_at": first_step.finished_at}

    def _read_retrieval_loss(self) -> RetrievalLoss | None:
        """Read the items of the train split for a two-tower model; None for other families."""
        section = self._recipe.model
        if not isinstance(section, s.TwoTower):
            return None
        catalog = read_catalog(
            section,
            self._spec,
            lambda columns: self._streams.open_split("train", columns, self._collectives),
            self._collectives,
        )
        self._report(Progress(f"{len(catalog):,} items in the train split"))
        self._catalog = catalog
        return RetrievalLoss(catalog, section.temperature)

    def rewind_to_last_update(self) -> None:
        """Take back what was done since the last update, before this rank joins others."""
        if self._state is None or self._step is None:
            self._state = None  # this rank has no progress yet; others may have
            return
        if self._built.shards:
            # Rows are gone with the rank that had them: all go on from the newest checkpoint.
            self._state = self._step = None
            return
        self._step.undo_batches()
        updates = self._base_updates + int(self._step.updates)
        self._state.rewind_to_update(updates, self._steps_per_epoch, self._recipe.train.accumulate)

    def _resume_or_begin(self, train: SplitStream) -> tuple[TrainState, dict[str, Any]]:
        """Restore the newest checkpoint or start from scratch: no rank has any progress.

        Returns:
            The state, and the other values of the checkpoint.

        Raises:
            TrainError: the checkpoint is of another training.
            RankError: earlier ranks were lost, and there is no checkpoint.
        """
        settings, collectives = self._recipe.train, self._collectives
        resume_point = self._agree_on_resume_point()
        saved = resume_point.saved
        built = self._built
        built.adopt_layout(
            collectives.broadcast_object(
                saved.state["shared_tables"] if saved else built.shares_tables
            )
        )
        saved_progress = restore_checkpoint(
            resume_point, built.model, built.optimizer, settings.early_stopping, collectives
        )
        if saved_progress:
            state, checkpoint_extras = saved_progress
            if built.shards:
                built.shards.read(*self._saved_tables)
            check_checkpoint_fits(checkpoint_extras, self._dataset.digest, train.steps)
            settings_then = checkpoint_extras.get("settings")
            check_settings(settings_then, collect_settings(self._recipe), state.epochs_run)
            if settings_then is None:
                text = "an older Headrace wrote it, without the settings: they are not compared"
                self._report(Progress(f"{resume_point.attempt}: {text}"))
            progress = describe_progress(state, train.steps)
            self._report(Progress(f"continuing {progress} of {resume_point.attempt}"))
            return state, checkpoint_extras
        if collectives.carried_values.get("begun"):
            if not built.shards:
                raise RankError(
                    "all ranks that had the training's progress are lost, and there is no "
                    "checkpoint"
                )
            text = "rows of sharded tables are lost with a rank, and there is no checkpoint yet"
            self._report(Progress(f"{text}: the training begins anew"))
        if settings.initial_model:
            built.take_initial_weights(settings.initial_model, self._store, self._report)
        # The initial weights are rank 0's.
        whole = list_whole_variables(built.model, built.optimizer)
        collectives.broadcast_variables(whole.all)
        return TrainState(BestEpoch(settings.early_stopping)), {}

    def _agree_on_resume_point(self) -> ResumePoint:
        """Find the newest checkpoint of which all ranks' files are whole; on rank 0 it is returned.

        Raises:
            TrainError: it has sharded tables, and this training has none, or the other way round.
        """
        collectives, shards = self._collectives, self._built.shards
        damaged: dict[str, str] = {}
        while True:
            resume_point, found = ResumePoint("", None), None
            if collectives.rank == 0:
                resume_point = self._find_resume_point(damaged)
                if saved := resume_point.saved:
                    tables, folder = saved.state.get("tables"), saved.location.rpartition("/")[0]
                    found = [saved.location, folder, tables]
                    if (tables is None) != (shards is None):
                        raise TrainError(
                            f"checkpoint {saved.location} was written "
                            f"{'with' if tables else 'without'} sharded tables; set "
                            "model.embeddings.shard_above as it was, or use --resume never"
                        )
            if shards is None:
                break
            attempt, found = collectives.broadcast_object([resume_point.attempt, found])
            self._shard_folder = f"{self._checkpoints.root}/{attempt}"
            if found is None:
                break
            location, *self._saved_tables = found
            problem = shards.find_problem(*self._saved_tables)
            if not problem:
                break
            damaged[location] = problem
        self._attempt = resume_point.attempt
        return resume_point

    def _find_resume_point(self, damaged: Mapping[str, str]) -> ResumePoint:
        """Find the attempt and its checkpoint, on rank 0.

        Args:
            damaged: see `find_resume_point`.
        """
        attempt = self._attempt or self._collectives.carried_values.get("attempt")
        if attempt:
            if not self._attempt:
                self._checkpoints.lock_attempt(attempt)
            newest, problems = read_newest(self._checkpoints, attempt, damaged)
            for problem in problems:
                self._report(Progress(f"skipped: {problem}"))
            return ResumePoint(attempt, newest)
        resume_point = find_resume_point(
            self._checkpoints,
            self._payload["resume"],
            self._report,
            self._payload.get("attempt", ""),
            damaged,
        )
        self._checkpoints.lock_attempt(resume_point.attempt)
        return resume_point

    def _adopt_most_advanced_state(self, most_advanced_rank: int) -> TrainState:
        """Adopt the state of the most advanced rank, after a change of ranks."""
        collectives = self._collectives
        own_state = self._state
        if collectives.rank != most_advanced_rank:
            # Its weights are about to be replaced; if that fails half-way, it has no progress.
            self._state = None
        built = self._built
        built.adopt_layout(collectives.broadcast_object(built.shares_tables, most_advanced_rank))
        state = broadcast_state(
            own_state,
            most_advanced_rank,
            built.model,
            built.optimizer,
            self._recipe.train.early_stopping,
            collectives,
        )
        if collectives.rank == 0 and not self._attempt:
            attempt = collectives.carried_values.get("attempt")
            self._attempt = attempt or self._payload.get("attempt") or name_attempt()
            self._checkpoints.lock_attempt(self._attempt)
        self._report(Progress(f"continuing {describe_progress(state, self._steps_per_epoch)}"))
        return state

    def _open_validation(self) -> SplitStream | None:
        """Open the validation split, if it has rows."""
        if not self._dataset.count_rows("validation"):
            return None
        columns = build_feature_columns(self._spec)
        return self._streams.open_split("validation", columns, self._collectives)

    def _describe_for_checkpoint(self) -> dict[str, Any]:
        """Return the values of a checkpoint beside its state."""
        assert self._tracked_training is not None
        described = self._tracked_training.describe_for_checkpoint()
        return {
            **described,
            "settings": collect_settings(self._recipe),
            "shared_tables": self._built.shares_tables,
        }

    def _open_tracking(
        self, checkpoint_extras: dict[str, Any]
    ) -> tuple[TrackedTraining | None, CheckpointPolicy]:
        """Return the tracked run, begun at the first call, and the policy for checkpoints."""
        if self._collectives.rank != 0:
            if not self._built.shards:
                return None, NoCheckpoints()
            return None, self._schedule_checkpoints(None, checkpoint_extras)
        if self._tracked_training is None or self._writer is None:
            settings = self._recipe.train.checkpoint
            self._writer = CheckpointWriter(self._checkpoints, self._attempt, settings.keep)
            self._stack.callback(self._writer.close)
            self._tracked_training = self._stack.enter_context(
                TrackedTraining(
                    self._recipe,
                    self._dataset,
                    self._collectives,
                    self._store,
                    {**checkpoint_extras, "attempt": self._attempt},
                    self._report,
                    self._state.history if self._state else (),
                    registers=self._payload.get("register", True),
                )
            )
        return self._tracked_training, self._schedule_checkpoints(self._writer, checkpoint_extras)

    def _schedule_checkpoints(
        self, writer: CheckpointWriter | None, checkpoint_extras: dict[str, Any]
    ) -> CheckpointPolicy:
        built = self._built
        return ScheduledCheckpoints(
            self._recipe.train,
            writer,
            built.model,
            built.optimizer,
            self._describe_for_checkpoint,
            built.shards,
            self._shard_folder,
            checkpoint_extras.get("best_folder") or "",
        )

"""What a rank of a training is put together from."""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from headrace.distributed.collectives import Collectives
from headrace.errors import TrainError
from headrace.lake.files import SplitName
from headrace.lake.version import DatasetVersion
from headrace.models.build import build_model
from headrace.recipe import Recipe
from headrace.recipe.redact import redact_text
from headrace.stream.cache import make_cache
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream
from headrace.tracking.store import Store
from headrace.train.augment import Augmentation
from headrace.train.checkpoint import training_id
from headrace.train.initial import take_weights
from headrace.train.learning_rate import LearningRate
from headrace.train.optimizer import build_optimizer
from headrace.train.recording import Tracked
from headrace.train.state import TrainState
from headrace.train.step import StepOptions
from headrace.transform.spec import ImageFeature, TransformSpec


def built_model(
    recipe: Recipe, spec: TransformSpec, collectives: Collectives, store: Store
) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Model and optimizer; weights are to be those of one rank."""
    settings = recipe.train
    keras.utils.set_random_seed(settings.seed + collectives.rank)
    keras.config.set_dtype_policy(settings.precision)
    model = build_model(recipe.model, spec)
    if settings.initial_model and collectives.rank == 0:
        take_weights(model, settings.initial_model, store)
    optimizer = build_optimizer(settings.optimizer, settings.precision)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def rate_of_recipe(recipe: Recipe, collectives: Collectives, train: SplitStream) -> LearningRate:
    """The learning rate of every step."""
    settings = recipe.train
    return LearningRate(
        settings.schedule,
        settings.optimizer.learning_rate,
        collectives.size,
        train.steps,
        settings.epochs,
    )


def where_ranks_are(devices: Sequence[str]) -> str:
    """Which rank has which device, for people."""
    return "; ".join(f"rank {rank} on {device}" for rank, device in enumerate(devices))


def machines(devices: Sequence[str], checkpoints: str) -> dict[str, str]:
    """Tags that say where a training runs."""
    hosts = {device.split()[0] for device in devices}
    return {
        "headrace.devices": where_ranks_are(devices)[:5000],
        "headrace.hosts": str(len(hosts)),
        "headrace.checkpoints": redact_text(checkpoints),
    }


class Streams:
    """A rank's view of the splits."""

    def __init__(self, recipe: Recipe, dataset: DatasetVersion, workdir: str) -> None:
        self._recipe, self._dataset = recipe, dataset
        settings = recipe.stream
        folder = str(Path(workdir) / "cache" / "stream")
        self._cache = make_cache(settings.cache, settings.cache_bytes, folder)

    def of(self, split: SplitName, columns: Columns, collectives: Collectives) -> SplitStream:
        settings = self._recipe.stream
        return SplitStream.of(
            self._dataset,
            split,
            columns,
            rank=collectives.rank,
            size=collectives.size,
            global_batch_size=self._recipe.train.global_batch_size,
            canonical_shards=settings.canonical_shards,
            shuffle=settings.shuffle and split == "train",
            seed=self._recipe.train.seed,
            readers=settings.readers,
            block_rows=settings.block_rows,
            drop_last=split == "train" and settings.last_batch == "drop",
            cache=self._cache,
        )


@dataclass
class FirstStep:
    """When the first step was done: seconds from the rank's start, and seconds since 1970."""

    started: float
    tracked: Callable[[], Tracked | None]
    seconds: float = 0.0
    at: float = 0.0

    def noted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = step(*args, **options)
            if not self.at:
                float(result.loss)  # it is done when its result is there
                self.at, self.seconds = time.time(), time.monotonic() - self.started
                if tracked := self.tracked():
                    tracked.begin()
            return result

        return call


def told_to_end() -> Callable[[], bool]:
    """Whether SIGTERM came, from now on."""
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    return lambda: bool(came)


def check_validation(recipe: Recipe, dataset: DatasetVersion) -> None:
    """Whether there are validation rows for what follows them.

    Raises:
        TrainError: there are none.
    """
    if dataset.rows("validation"):
        return
    for key, wants in (
        ("train.early_stopping", recipe.train.early_stopping is not None),
        ("train.schedule", recipe.train.schedule.kind == "plateau"),
        ("evaluate.threshold", not isinstance(recipe.evaluate.threshold, float)),
    ):
        if wants:
            raise TrainError(
                f"{key} needs validation rows, and the validation split of dataset "
                f"{dataset.root} version {dataset.version} is empty; give "
                f"split.fractions.validation or split.key more room, or change {key}"
            )


def checkpoint_root(recipe: Recipe, dataset: DatasetVersion, workdir: str) -> str:
    """Where the checkpoints of this training lie."""
    below = recipe.train.checkpoint.path or str(Path(workdir).absolute() / "checkpoints")
    return f"{below.rstrip('/')}/{training_id(recipe, dataset)}"


def place_of(state: TrainState, steps: int) -> str:
    """How far a training is, in words."""
    if state.epoch == state.epochs_run and not state.step:
        return f"after epoch {state.epochs_run}"
    return f"in epoch {state.epoch + 1} after step {state.step} of {steps}"


def step_options(recipe: Recipe, spec: TransformSpec, collectives: Collectives) -> StepOptions:
    """What a step does beside loss, gradient and update."""
    settings = recipe.train
    return StepOptions(
        label_smoothing=settings.label_smoothing,
        accumulate=settings.accumulate,
        compression=settings.compression,
        augmentation=Augmentation(
            settings.augment,
            images=tuple(f.name for f in spec.shaped if isinstance(f, ImageFeature)),
            seed=settings.seed,
            rank=collectives.rank,
            size=collectives.size,
        ),
        seed=settings.seed,
    )

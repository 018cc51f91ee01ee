"""What one rank of a training run does, from opening the dataset to registering the model."""

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras

from pipelines.distributed.collectives import Collectives
from pipelines.errors import TrainError
from pipelines.lake.files import SPLITS, SplitName
from pipelines.lake.version import DatasetVersion
from pipelines.models.build import build_model
from pipelines.models.raw import export_raw_model
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.recipe.redact import redact_text
from pipelines.stream.cache import make_cache
from pipelines.stream.columns import Columns, feature_columns, weight_columns
from pipelines.stream.split_stream import SplitStream
from pipelines.tracking.lineage import BUILD_TAG
from pipelines.tracking.model import ModelVersion, RawInput, register
from pipelines.tracking.run import TrackedRun, artifact_folder, start_run
from pipelines.tracking.store import Store
from pipelines.train.check import trainable_spec
from pipelines.train.early_stopping import BestEpoch
from pipelines.train.example import example_rows
from pipelines.train.loop import Outcome, run_epochs
from pipelines.train.optimizer import build_optimizer
from pipelines.train.step import make_train_step
from pipelines.transform.spec import TransformSpec


def train_rank(payload: dict[str, Any], collectives: Collectives, report: Report) -> dict[str, Any]:
    """Train on this rank; see `run.train` for the payload and the result."""
    started = time.monotonic()
    recipe = Recipe.model_validate(payload["recipe"])
    dataset = DatasetVersion.open(payload["dataset"]["root"], payload["dataset"]["version"])
    spec = trainable_spec(recipe, dataset)
    # Ranks draw different dropout masks; the initial weights are rank 0's.
    keras.utils.set_random_seed(recipe.train.seed + collectives.rank)
    model = build_model(recipe.model, spec)
    optimizer = build_optimizer(recipe.train.optimizer)
    optimizer.build(model.trainable_variables)
    collectives.broadcast_variables([*model.weights, *optimizer.variables])

    settings = recipe.stream
    cache_folder = str(Path(payload["workdir"]) / "cache" / "stream")
    cache = make_cache(settings.cache, settings.cache_bytes, cache_folder)

    def stream(split: SplitName, columns: Columns, shuffle: bool) -> SplitStream:
        return SplitStream.of(
            dataset,
            split,
            columns,
            rank=collectives.rank,
            size=collectives.size,
            global_batch_size=recipe.train.global_batch_size,
            canonical_shards=settings.canonical_shards,
            shuffle=shuffle,
            seed=recipe.train.seed,
            readers=settings.readers,
            block_rows=settings.block_rows,
            drop_last=split == "train" and settings.last_batch == "drop",
            cache=cache,
        )

    if recipe.train.early_stopping and not dataset.rows("validation"):
        raise TrainError(
            "train.early_stopping needs validation rows, and the validation split of dataset "
            f"{dataset.root} version {dataset.version} is empty; give split.fractions.validation "
            "or split.key more room, or remove train.early_stopping"
        )
    store = Store.of(recipe, payload["workdir"], os.environ)
    name = f"{recipe.name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    tracked = start_run(store, name) if collectives.rank == 0 else nullcontext()
    with tracked as run:
        if run is not None:
            _log_start(run, recipe, dataset, collectives.size)
        ready = time.monotonic()
        validation = stream("validation", feature_columns(spec), False)
        outcome = run_epochs(
            model,
            make_train_step(model, optimizer, collectives, spec.label.kind),
            stream("train", feature_columns(spec, weight_columns(spec)), settings.shuffle),
            validation if dataset.rows("validation") else None,
            epochs=recipe.train.epochs,
            best=BestEpoch(recipe.train.early_stopping),
            label=spec.label,
            collectives=collectives,
            report=report,
            log=run.metrics if run is not None else _log_nothing,
        )
        trained = time.monotonic()
        checksums = _compare_weights(model, collectives)
        result: dict[str, Any] = {}
        if run is not None:
            report(Progress("registering the model"))
            run.metrics({f"best_{k}": v for k, v in outcome.metrics.items()}, outcome.best_epoch)
            version = _register(run, model, spec, recipe, dataset)
            result = _result(run, version, outcome, checksums)
            result["seconds"] = {
                "start": round(ready - started, 2),
                "epochs": round(trained - ready, 2),
                "register": round(time.monotonic() - trained, 2),
            }
    return result


def _log_nothing(metrics: Mapping[str, float], epoch: int) -> None:
    """What ranks other than 0 log."""


def weights_checksum(model: keras.Model) -> str:
    """SHA-256 of all weights, bit for bit."""
    state = hashlib.sha256()
    for variable in model.weights:
        state.update(keras.ops.convert_to_numpy(variable).tobytes())
    return state.hexdigest()


def _compare_weights(model: keras.Model, collectives: Collectives) -> list[str]:
    import numpy as np

    mine = np.frombuffer(bytes.fromhex(weights_checksum(model)), dtype=np.uint8)[None]
    checksums = [row.tobytes().hex() for row in collectives.gather(mine)]
    if len(set(checksums)) > 1:
        shown = ", ".join(f"rank {rank} {sum_[:8]}" for rank, sum_ in enumerate(checksums))
        raise TrainError(
            f"ranks ended with different weights ({shown}); the model was not registered. "
            "Gradients were not reduced alike, which is a defect or a damaged device"
        )
    return checksums


def _log_start(run: TrackedRun, recipe: Recipe, dataset: DatasetVersion, size: int) -> None:
    run.params(recipe.resolved())
    run.tags(
        {
            "headrace.stage": "train",
            "headrace.ranks": str(size),
            "headrace.dataset": f"{dataset.version}",
            BUILD_TAG: dataset.build.build_id,
        }
    )
    run.dataset_input(
        name=recipe.name,
        root=dataset.root,
        version=dataset.version,
        digest=dataset.digest,
        rows={split: dataset.rows(split) for split in SPLITS},
    )
    run.text(dataset.transform_json, "transform.json")
    run.text(dataset.build.ledger_json(), "ledger.json")


def _register(
    run: TrackedRun,
    model: keras.Model,
    spec: TransformSpec,
    recipe: Recipe,
    dataset: DatasetVersion,
) -> ModelVersion:
    with artifact_folder() as folder:
        files = {
            "saved_model": str(folder / "saved_model"),
            "keras_model": str(folder / "model.keras"),
            "transform": str(folder / "transform.json"),
        }
        export_raw_model(model, spec, files["saved_model"])
        model.save(files["keras_model"])
        Path(files["transform"]).write_text(dataset.transform_json, encoding="utf-8")
        return register(
            run,
            files=files,
            label_kind=spec.label.kind,
            inputs=[RawInput(c.name, c.kind) for c in spec.raw],
            example=example_rows(spec),
            threshold=recipe.evaluate.threshold,
            facts={
                "dataset_root": redact_text(dataset.root),
                "dataset_version": dataset.version,
                "dataset_digest": dataset.digest,
                "transform_digest": spec.digest(),
            },
        )


def _result(
    run: TrackedRun, version: ModelVersion, outcome: Outcome, checksums: list[str]
) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "model_uri": version.uri,
        "weights_checksum": checksums,
        "metrics": {
            **outcome.metrics,
            "epochs": outcome.epochs,
            "best_epoch": outcome.best_epoch,
            "rows_per_second": outcome.rows_per_second,
            "input_wait_share": outcome.input_wait_share,
        },
    }

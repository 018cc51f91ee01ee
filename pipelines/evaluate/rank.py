"""What one rank of an evaluation does: predict its share of the test split, then join in."""

import os
from typing import Any

import keras

from pipelines.distributed.collectives import Collectives
from pipelines.evaluate.metrics import binary_metrics
from pipelines.evaluate.plots import binary_plots
from pipelines.lake.version import DatasetVersion
from pipelines.models.predict import predict_batches
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.stream.split_stream import SplitStream, feature_columns
from pipelines.tracking.run import resume_run
from pipelines.tracking.store import Store
from pipelines.transform.spec import TransformSpec


def evaluate_rank(
    payload: dict[str, Any], collectives: Collectives, report: Report
) -> dict[str, Any]:
    """Evaluate on this rank; see `run.evaluate` for the payload and the result.

    Predictions are gathered, not metrics: a rank's AUC says nothing about the whole.
    """
    recipe = Recipe.model_validate(payload["recipe"])
    dataset = DatasetVersion.open(payload["dataset"]["root"], payload["dataset"]["version"])
    spec = TransformSpec.from_json(dataset.transform_json)
    model = keras.saving.load_model(payload["keras_file"], compile=False, safe_mode=True)
    stream = SplitStream.of(
        dataset,
        "test",
        feature_columns(spec),
        rank=collectives.rank,
        size=collectives.size,
        global_batch_size=recipe.train.global_batch_size,
        canonical_shards=recipe.stream.canonical_shards,
        shuffle=False,
        seed=0,
        readers=recipe.stream.readers,
    )
    report(Progress(f"predicting {stream.rows:,} test rows"))
    found = predict_batches(model, stream.batches(epoch=0))
    label = collectives.gather(found["label"])
    probability = collectives.gather(found["probability"])
    if collectives.rank != 0:
        return {}
    threshold = recipe.evaluate.threshold
    metrics = binary_metrics(label, probability, threshold)
    store = Store.of(recipe, payload["workdir"], os.environ)
    report(Progress("logging metrics and plots"))
    with resume_run(store, payload["run_id"]) as run:
        prefix = payload["prefix"]
        run.metrics({f"{prefix}_{name}": value for name, value in metrics.items()})
        plots = binary_plots(label, probability, threshold)
        run.figures({f"plots/{prefix}/{name}": figure for name, figure in plots.items()})
    return {"metrics": metrics}

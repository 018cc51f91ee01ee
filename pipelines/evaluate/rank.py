"""What one rank of an evaluation does: predict its share of the test split, then join in."""

import os
from typing import Any

import keras

from pipelines.distributed.collectives import Collectives
from pipelines.evaluate.judge import judge
from pipelines.lake.version import DatasetVersion
from pipelines.models.predict import predict_batches
from pipelines.progress import Progress, Report
from pipelines.recipe import Recipe
from pipelines.stream.columns import baseline_columns, feature_columns
from pipelines.stream.split_stream import SplitStream
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
        feature_columns(spec, baseline_columns(spec)),
        rank=collectives.rank,
        size=collectives.size,
        global_batch_size=recipe.train.global_batch_size,
        canonical_shards=recipe.stream.canonical_shards,
        shuffle=False,
        seed=0,
        readers=recipe.stream.readers,
        block_rows=recipe.stream.block_rows,
    )
    report(Progress(f"predicting {stream.rows:,} test rows"))
    found = predict_batches(model, stream.batches(epoch=0))
    found = {name: collectives.gather(array) for name, array in found.items()}
    if collectives.rank != 0:
        return {}
    metrics, plots = judge(found, spec.label, recipe.evaluate.threshold)
    store = Store.of(recipe, payload["workdir"], os.environ)
    report(Progress("logging metrics and plots"))
    with resume_run(store, payload["run_id"]) as run:
        prefix = payload["prefix"]
        run.metrics({f"{prefix}_{name}": value for name, value in metrics.items()})
        run.figures({f"plots/{prefix}/{name}": figure for name, figure in plots.items()})
    return {"metrics": metrics}

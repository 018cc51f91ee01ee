"""Make a model version of a trained model: what raw rows need, and what it is to be judged by."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pyarrow as pa

from headrace.errors import RemovedError
from headrace.lake.build import read_sidecar_text
from headrace.lake.histogram import AXES
from headrace.lake.version import DatasetVersion
from headrace.models.predict import Predictor, on_cpu
from headrace.models.raw import export_network, export_raw_model
from headrace.models.reference import answers, count_predictions, prediction_axis
from headrace.models.threshold import choose_threshold
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.redaction import redact_text
from headrace.tracking.golden import write_golden
from headrace.tracking.model import ModelVersion, RawInput, register
from headrace.tracking.run import TrackedRun, artifact_folder
from headrace.train.input_example import example_rows
from headrace.transform.arrow import ArrowTransform, stacked_inputs
from headrace.transform.spec import RawColumn, TransformSpec

if TYPE_CHECKING:
    import pandas as pd

# What is recorded and what another machine makes of it may differ by rounding, of 16-bit arithmetic
# more: of probabilities, and of numbers on the scale of training.
_TOLERANCE = {"float32": 1e-5, "mixed_float16": 0.02, "mixed_bfloat16": 0.05}
_RELATIVE = 1e-6

HeldOut = tuple[np.ndarray, np.ndarray]
"""Labels as the dataset has them, and the model's output, of rows that were not trained on."""


def register_model(
    run: TrackedRun,
    model: keras.Model,
    spec: TransformSpec,
    recipe: Recipe,
    dataset: DatasetVersion,
    held_out: HeldOut | None,
    report: Report,
) -> ModelVersion:
    """Log a trained model to its run and register it.

    Args:
        run: of the training.
        model: with the weights that count.
        spec: of the dataset.
        recipe: how the threshold is chosen.
        dataset: what it was trained on; some of its raw rows go with the model.
        held_out: of the validation split, where there is one.
        report: is told what the model will lack.

    Raises:
        TrainError: no threshold is as the recipe asks.
    """
    threshold, chosen = _threshold(recipe.evaluate.threshold, held_out)
    with artifact_folder() as folder:
        files = {
            "saved_model": str(folder / "saved_model"),
            "network": str(folder / "network"),
            "keras_model": str(folder / "model.keras"),
            "transform": str(folder / "transform.json"),
            "golden": str(folder / "golden.parquet"),
            "reference": str(folder / "reference.json"),
        }
        export_raw_model(model, spec, files["saved_model"])
        model.save(files["keras_model"])
        Path(files["transform"]).write_text(dataset.transform_json, encoding="utf-8")
        reference = _columns(dataset, report)
        if held_out:
            reference |= _predictions(held_out[1], spec, threshold)
        Path(files["reference"]).write_text(json.dumps(reference), encoding="utf-8")
        example = example_rows(spec)
        tolerance = _TOLERANCE[recipe.train.precision]
        _write_golden(files["golden"], dataset.raw_examples(), example, model, spec, tolerance)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        export_network(model, spec, files["network"])  # the same weights again: not of the size
        return register(
            run,
            files=files,
            label_kind=spec.label.kind,
            inputs=[RawInput(c.name, c.kind) for c in spec.raw],
            example=example,
            threshold=threshold if spec.label.has_threshold else None,
            facts={
                "dataset_root": redact_text(dataset.root),
                "dataset_version": dataset.version,
                "dataset_digest": dataset.digest,
                "transform_digest": dataset.build.transform_digest,
                "model_bytes": size,
                "network": "network",
                **({"threshold": threshold, **chosen} if spec.label.has_threshold else {}),
            },
        )


def _threshold(
    wanted: "float | s.Choice", held_out: HeldOut | None
) -> tuple[float, dict[str, Any]]:
    """The threshold, and of a chosen one what it does on the validation split."""
    if isinstance(wanted, float):
        return wanted, {}
    truth, output = held_out or (np.zeros(0), np.zeros(0))
    # Several labels count as rows of one.
    chosen = choose_threshold(
        truth.reshape(-1), output.reshape(-1), wanted.choose, getattr(wanted, "at_least", 0.0)
    )
    return chosen.threshold, {"threshold_chosen": {**wanted.model_dump(), **asdict(chosen)}}


def _columns(dataset: DatasetVersion, report: Report) -> dict[str, Any]:
    """How the columns of the train rows are distributed that the transform was fitted on.

    Empty where an older Headrace prepared the dataset and kept no counts, or they were removed:
    what took hours to train is registered all the same.
    """
    build = dataset.build
    try:
        axes = read_sidecar_text(dataset.root, build.transform_of or build.build_id, AXES)
        found = dataset.fitted_profile.distributions
    except RemovedError as error:
        report(Progress(f"scoring with this model will not measure drift of its inputs: {error}"))
        return {"axes": [], "counts": {}, "unknown": {}}
    return {
        "axes": json.loads(axes),
        "counts": {d.name: list(d.counts["train"]) for d in found},
        "unknown": {d.name: d.unknown["train"] for d in found if d.unknown},
    }


def _predictions(output: np.ndarray, spec: TransformSpec, threshold: float) -> dict[str, Any]:
    """How the predictions of the validation split are distributed."""
    output = answers(output, spec.label)
    axis = prediction_axis(output, spec.label)
    counts = list(count_predictions(axis, output, spec.label, threshold))
    return {"predictions": {"axis": asdict(axis), "counts": counts}}


def _write_golden(
    path: str,
    raw: pa.Table | None,
    example: "pd.DataFrame",
    model: keras.Model,
    spec: TransformSpec,
    tolerance: float,
) -> None:
    """Raw rows and what the network makes of them, by the transform's other execution."""
    if raw is None or not raw.num_rows:
        raw = _as_arrow(example, spec.raw)
    inputs = stacked_inputs(ArrowTransform(spec)(raw), spec)
    with on_cpu():  # a GPU may round far more (TF32), and who compares may have none
        output = answers(Predictor(model).outputs(inputs), spec.label)
    if spec.label.kind == "classes":
        best, ranked = output.argmax(axis=1), np.sort(output, axis=1)
        clear = ranked[:, -1] - ranked[:, -2:-1].max(axis=1, initial=0) > 2 * tolerance
        names = [spec.label.classes[i] if c else None for i, c in zip(best, clear, strict=True)]
        recorded = {
            "prediction": pa.array(names, pa.string()),  # null where rounding decides
            "probability": pa.array(output.max(axis=1).astype(np.float64)),
        }
    elif spec.label.kind == "multi_label":
        recorded = {"probability": pa.array(list(output.astype(np.float64)))}
    elif spec.label.kind == "regression":
        recorded = {"prediction": pa.array(output)}
    else:
        # Not the class: a probability at the threshold may be rounded to either side.
        recorded = {"probability": pa.array(output.astype(np.float64))}
    numbers = spec.label.kind == "regression"
    write_golden(
        path,
        raw,
        recorded,
        absolute=tolerance * (spec.label.scale if numbers else 1.0),
        relative=_RELATIVE if numbers else 0.0,
    )


def _as_arrow(frame: "pd.DataFrame", raw: "tuple[RawColumn, ...]") -> pa.Table:
    """Rows that were made up, as the lake's own are kept."""
    import pandas as pd

    types = {
        "integer": pa.int64(), "real": pa.float64(), "string": pa.string(), "bytes": pa.binary(),
        "integers": pa.list_(pa.int64()), "reals": pa.list_(pa.float64()),
        "strings": pa.list_(pa.string()), "timestamp": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    columns = []
    for column in raw:
        values = frame[column.name]
        if column.kind == "timestamp":
            values = pd.to_datetime(values, utc=True)
        elif column.kind == "integer":
            values = values.astype("Int64")
        columns.append(pa.Array.from_pandas(values, type=types[column.kind]))
    return pa.Table.from_arrays(columns, names=[column.name for column in raw])

"""Register a trained model: export it with its transform, and log what it is checked against.

That is a threshold, distributions of inputs and predictions for drift, and golden rows with the
answers that every other machine has to give. MLflow itself is behind `tracking`.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from headrace.columns.histogram import AXES_FILE
from headrace.errors import DamagedError, RemovedError, UnreachableError
from headrace.labels.losses.kinds import describe_loss
from headrace.lake.damage import explain_damage
from headrace.lake.sidecar import read_sidecar_text
from headrace.lake.task import describe_dataset_task
from headrace.lake.version import DatasetVersion
from headrace.models.items import Catalog
from headrace.models.load import check_loadable, load_keras_model
from headrace.models.predict import Predictor, place_on_cpu
from headrace.models.raw import export_network, export_raw_model
from headrace.models.reference import count_predictions, make_prediction_axis
from headrace.models.table_parts import SplitModel
from headrace.models.threshold import choose_threshold
from headrace.models.top_k import export_top_k
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.input_road import describe_road
from headrace.recipe.task import CLASSES
from headrace.redaction import redact_text
from headrace.tracking.golden import write_golden
from headrace.tracking.model import (
    FILE_NAMES,
    TEXTS,
    ModelVersion,
    RawInput,
    register_version,
)
from headrace.tracking.run import TrackedRun, make_artifact_folder
from headrace.train.finite import check_predictions
from headrace.train.golden_rows import add_rows_that_break_rules
from headrace.train.input_example import make_example_rows
from headrace.train.table_reading import TableReader
from headrace.train.variables import list_whole_variables
from headrace.transform.arrow import ArrowTransform, stack_inputs
from headrace.transform.rules import find_rejected
from headrace.transform.spec import RawColumn, TransformSpec

if TYPE_CHECKING:
    import pandas as pd

# Golden answers and those of another machine may differ by rounding, with 16-bit arithmetic by
# more; absolute, of probabilities and of numbers on the scale of training.
_TOLERANCE = {"float32": 1e-5, "mixed_float16": 0.02, "mixed_bfloat16": 0.05}
_RELATIVE = 1e-6
_RECORDED_CLASSES = 200

LabelsAndOutputs = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Labels as the dataset has them, the model's output, and sample weights where rows have them, of
rows that were not trained on."""


def register_model(
    run: TrackedRun,
    model: keras.Model,
    spec: TransformSpec,
    recipe: Recipe,
    dataset: DatasetVersion,
    validation_predictions: LabelsAndOutputs | None,
    report: Report,
    tables: TableReader | None = None,
    catalog: Catalog | None = None,
) -> ModelVersion:
    """Log a trained model to its run and register it.

    Args:
        run: the tracked run of the training.
        model: with the weights of the best epoch.
        spec: the dataset's transform.
        recipe: evaluate.threshold and train.precision count.
        dataset: what it was trained on; some of its raw rows are logged with the model.
        validation_predictions: labels and output of the validation split, where there is one.
        report: called with what the model will lack.
        tables: reads the rows of sharded tables; None where the model has all of them.
        catalog: all items, of a two-tower model.

    Raises:
        TrainError: no threshold meets the recipe's condition, or a prediction is not finite.
    """
    if validation_predictions:
        check_predictions(validation_predictions[1], "validation rows", recipe.train)
    threshold, chosen = _resolve_threshold(recipe.evaluate, validation_predictions)
    with make_artifact_folder() as folder:
        files = {
            "saved_model": str(folder / "saved_model"),
            "network": str(folder / "network"),
            "keras_model": str(folder / "model.keras"),
            "transform": str(folder / "transform.json"),
            "golden": str(folder / "golden.parquet"),
            "reference": str(folder / "reference.json"),
        }
        if tables is None:
            export_raw_model(model, spec, files["saved_model"])
            check_loadable(model, files["keras_model"], "the trained model")
        else:
            _export_split_model(model, spec, recipe.model, tables, files)
        Path(files["transform"]).write_text(dataset.transform_json, encoding="utf-8")
        if spec.stored_texts:
            files[TEXTS] = str(folder / FILE_NAMES[TEXTS])
            _copy_texts(spec, Path(files[TEXTS]))
        reference = _describe_columns(dataset, report)
        if validation_predictions:
            reference |= _describe_predictions(validation_predictions[1], spec, threshold)
        Path(files["reference"]).write_text(json.dumps(reference), encoding="utf-8")
        example = make_example_rows(spec)
        tolerance = _TOLERANCE[recipe.train.precision]
        raw = _read_raw_examples(dataset, report)
        predict = tables.predict_inputs if tables else Predictor(model).predict_inputs
        _write_golden(files["golden"], raw, example, predict, spec, tolerance, recipe.train)
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        if tables is None:
            # The same weights again: not in the size.
            export_network(model, spec, files["network"])
        else:
            del files["network"]  # of a model with such tables `saved_model` has both signatures
        top_k = {}
        if catalog is not None and isinstance(recipe.model, s.TwoTower):
            files["top_k"] = str(folder / "top_k")
            export_top_k(model, spec, recipe.model, catalog, files["top_k"])
            size_of_top_k = sum(f.stat().st_size for f in Path(files["top_k"]).rglob("*"))
            top_k = {"top_k": {"items": len(catalog), "bytes": size_of_top_k}}
            text = f"top_k: {len(catalog):,} items, {size_of_top_k / 2**20:,.1f} MiB"
            report(Progress(text))
        return register_version(
            run,
            report,
            files=files,
            kind=spec.label.definition,
            inputs=[
                *(RawInput(c.name, c.kind) for c in spec.raw),
                *(RawInput(c.name, c.kind, is_required=False) for c in spec.rule_columns),
            ],
            has_reasons=bool(spec.rejecting_rules),
            example=example,
            threshold=threshold if spec.label.has_threshold else None,
            metadata={
                "dataset_root": redact_text(dataset.root),
                "dataset_version": dataset.version,
                "dataset_digest": dataset.digest,
                **_describe_input(dataset, spec),
                "transform_digest": dataset.build.transform_digest,
                "model_bytes": size,
                "network": "network" if "network" in files else "saved_model",
                **top_k,
                **describe_loss(spec.label.loss),
                **_describe_task(dataset),
                **({"threshold": threshold, **chosen} if spec.label.has_threshold else {}),
            },
        )


def _export_split_model(
    model: keras.Model,
    spec: TransformSpec,
    section: s.Model,
    tables: TableReader,
    files: Mapping[str, str],
) -> None:
    """Write the SavedModel and the `.keras` file of a model with sharded tables."""
    weights = [np.array(v) for v in list_whole_variables(model, None).weights]
    split = SplitModel(section, spec, tables.names, weights, tables.read_rows)
    split.export(files["saved_model"])
    split.save(files["keras_model"])
    load_keras_model(files["keras_model"], "the trained model")


def _copy_texts(spec: TransformSpec, folder: Path) -> None:
    """Copy the files of a transform's vocabularies, which are compared with their names."""
    folder.mkdir()
    for texts in {texts.file: texts for texts in spec.stored_texts}.values():
        texts.open_index()
        assert texts.files is not None
        shutil.copyfile(texts.files.locate_file(texts.file), folder / texts.file)


def _describe_input(dataset: DatasetVersion, spec: TransformSpec) -> dict[str, Any]:
    """Describe how raw rows have to come to the model: as those of its dataset did."""
    columns = {c.name: c.stored_as or c.kind for c in (*spec.raw, *spec.rule_columns)}
    try:
        recipe = Recipe.model_validate(dataset.build.recipe)
    except ValidationError:  # of an older Headrace, with keys that are gone
        return {}
    return {"input": describe_road(recipe, columns)}


def _describe_task(dataset: DatasetVersion) -> dict[str, Any]:
    """Return what the model predicts, for the time when its dataset is gone.

    Names of many classes are left out: the transform, a file of the model, has them.
    """
    task = describe_dataset_task(dataset)
    if task is None:
        return {}
    plain = task.model_dump(mode="json")
    if len(plain["label"].get(CLASSES, ())) > _RECORDED_CLASSES:
        del plain["label"][CLASSES]
    return {"task": plain}


def _read_raw_examples(dataset: DatasetVersion, report: Report) -> pa.Table | None:
    """Read the dataset's raw rows; None where there are none, or another user's alone."""
    try:
        return dataset.read_raw_examples()
    except (DamagedError, UnreachableError) as error:
        text = f"the model is checked against made-up rows, not those of the dataset: {error}"
        report(Progress(text))
        return None


def _resolve_threshold(
    settings: s.Evaluate, validation_predictions: LabelsAndOutputs | None
) -> tuple[float, dict[str, Any]]:
    """Return the threshold and, where it is chosen here, its record for the model's metadata.

    Args:
        settings: a fixed threshold, or how to choose one on the validation split, and whether rows
            weigh as they do in training.
        validation_predictions: of the validation split, where there is one.
    """
    setting = settings.threshold
    if isinstance(setting, float):
        return setting, {}
    truth, output, weight = validation_predictions or (np.zeros(0), np.zeros(0), None)
    if weight is None or not settings.weighted:
        weight = np.ones(len(truth))
    # Each of several labels counts as a row.
    chosen = choose_threshold(
        truth.reshape(-1),
        output.reshape(-1),
        setting.choose,
        getattr(setting, "at_least", 0.0),
        np.repeat(weight, truth[0].size if len(truth) else 1),
    )
    return chosen.threshold, {"threshold_chosen": {**setting.model_dump(), **asdict(chosen)}}


def _describe_columns(dataset: DatasetVersion, report: Report) -> dict[str, Any]:
    """Describe the distributions of the raw columns in the train split, as scoring needs them.

    The result is empty where an older Headrace prepared the dataset and recorded no counts, or
    they were removed: what took hours to train is registered all the same.
    """
    build = dataset.build
    try:
        axes = read_sidecar_text(dataset.root, build.transform_of or build.build_id, AXES_FILE)
        profile, rows = dataset.fitted_profile, dataset.fitted_rows
        with explain_damage(f"dataset {dataset.root}: {AXES_FILE}"):
            plain_axes = json.loads(axes)
    except (RemovedError, DamagedError) as error:
        report(Progress(f"scoring with this model will not measure drift of its inputs: {error}"))
        return {"axes": [], "counts": {}, "unknown": {}, "missing": {}, "rows": 0}
    distributions = profile.distributions
    return {
        "axes": plain_axes,
        "counts": {d.name: list(d.counts["train"]) for d in distributions},
        "unknown": {d.name: d.unknown["train"] for d in distributions if d.unknown},
        "missing": {column.name: column.missing.get("train", 0) for column in profile.columns},
        "rows": rows,
    }


def _describe_predictions(
    output: np.ndarray, spec: TransformSpec, threshold: float
) -> dict[str, Any]:
    """Describe the distribution of the predictions for the validation split.

    Args:
        output: the model's output, (rows,) or (rows, classes).
        spec: its label says what the output means.
        threshold: of a label that has one.
    """
    predictions = spec.label.definition.convert_output(output, spec.label)
    axis = make_prediction_axis(predictions, spec.label)
    counts = list(count_predictions(axis, predictions, spec.label, threshold))
    return {"predictions": {"axis": asdict(axis), "counts": counts}}


def _write_golden(
    path: str,
    raw: pa.Table | None,
    example: "pd.DataFrame",
    predict: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    spec: TransformSpec,
    tolerance: float,
    settings: s.Train,
) -> None:
    """Write raw rows and the network's answers, by way of the transform's Arrow kernels.

    The registered model has the transform in its graph: whoever compares, checks that both agree.
    Where the dataset has no raw rows, those of the example are used. Each rule is broken by a row.
    """
    if raw is None or not raw.num_rows:
        raw = _convert_frame(example, spec.raw)
    raw = add_rows_that_break_rules(raw, spec)
    kinds = {column.name: column.kind for column in (*spec.raw, *spec.rule_columns)}
    rejected = np.asarray(find_rejected(raw, kinds, spec.rules or ()).any(axis=1))
    inputs = stack_inputs(ArrowTransform(spec)(raw), spec)
    with place_on_cpu():  # a GPU may round far more (TF32), and the machine that compares has none
        output = predict(inputs)
    check_predictions(output[~rejected], "raw rows that are recorded with it", settings)
    kind = spec.label.definition
    answers = kind.convert_output(output, spec.label)
    recorded = kind.record_golden(answers, spec.label, tolerance)
    size = spec.label.scale
    if kind.golden_is_scaled and (spec.label.center, size) == (0.0, 1.0):
        # Numbers that are not standardized may be far smaller than their unit.
        size = min(size, float(np.abs(answers[~rejected]).max(initial=0.0)))
    write_golden(
        path,
        raw,
        recorded,
        rejected if spec.rejecting_rules else None,
        absolute=tolerance * size,
        relative=_RELATIVE if kind.golden_is_scaled else 0.0,
        probabilities=not kind.golden_is_scaled,
    )


def _convert_frame(frame: "pd.DataFrame", raw: "tuple[RawColumn, ...]") -> pa.Table:
    """Convert example rows to a table with the types of the lake's own raw rows."""
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

"""Warm-start a training with the weights of another model."""

from contextlib import nullcontext
from pathlib import Path

import keras

from headrace.errors import ModelError, TrainError
from headrace.models.load import load_keras_model
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.run import make_artifact_folder
from headrace.tracking.store import Store
from headrace.train.finite import check_model


def load_initial_weights(model: keras.Model, source: str, store: Store) -> None:
    """Set the weights of `model` to those of a `.keras` file or of a registered model.

    Args:
        model: whose weights are set.
        source: path of a file, or `models:/NAME/VERSION`.
        store: where registered models are.

    Raises:
        TrainError: there is no such file, it is no model, its weights have other shapes, or they
            are not finite.
        ModelError: the registry has no such model.
    """
    is_registered = source.startswith("models:/")
    with make_artifact_folder() if is_registered else nullcontext(Path()) as folder:
        file = source
        if is_registered:
            file = download_model_file(store, find_model(store, source), "keras_model", str(folder))
        elif not Path(file).is_file():
            raise TrainError(f"train.initial_model {source} does not exist")
        try:
            source_model = load_keras_model(file, f"train.initial_model {source}")
        except ModelError as error:
            raise TrainError(str(error)) from None
    check_model(source_model, None, f"in train.initial_model {source}")
    shapes = [tuple(weight.shape) for weight in model.weights]
    source_shapes = [tuple(weight.shape) for weight in source_model.weights]
    if shapes != source_shapes:
        difference = ""
        for weight, source_shape in zip(model.weights, source_shapes, strict=False):
            if tuple(weight.shape) != source_shape:
                difference = f"; {weight.path} is {tuple(weight.shape)}, there {source_shape}"
                break
        raise TrainError(
            f"train.initial_model {source} has {len(source_shapes)} weights, the recipe's model "
            f"{len(shapes)}{difference}; use the model section and the dataset that it was "
            "trained on"
        )
    model.set_weights(source_model.get_weights())

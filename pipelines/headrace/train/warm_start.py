"""Begin a training with the weights of another model."""

from contextlib import nullcontext
from pathlib import Path

import keras

from headrace.errors import TrainError
from headrace.tracking.model import find_model, model_file
from headrace.tracking.run import artifact_folder
from headrace.tracking.store import Store


def take_weights(model: keras.Model, source: str, store: Store) -> None:
    """Give `model` the weights of a `.keras` file or of a registered model.

    Raises:
        TrainError: there is no such file, it is no model, or its weights have other shapes.
        ModelError: the registry has no such model.
    """
    registered = source.startswith("models:/")
    with artifact_folder() if registered else nullcontext(Path()) as folder:
        file = source
        if registered:
            file = model_file(store, find_model(store, source), "keras_model", str(folder))
        elif not Path(file).is_file():
            raise TrainError(f"train.initial_model {source} is not there")
        try:
            found = keras.saving.load_model(file, compile=False, safe_mode=True)
        except (ValueError, OSError) as error:
            first = str(error).splitlines()[0]
            raise TrainError(f"train.initial_model {source} cannot be read: {first}") from None
    wanted = [(weight.path, tuple(weight.shape)) for weight in model.weights]
    given = [tuple(weight.shape) for weight in found.weights]
    if [shape for _, shape in wanted] != given:
        pairs = zip(wanted, given, strict=False)
        odd = [
            f"{path} is {shape}, there {other}" for (path, shape), other in pairs if shape != other
        ]
        raise TrainError(
            f"train.initial_model {source} has {len(given)} weights, the recipe's model "
            f"{len(wanted)}{'; ' + odd[0] if odd else ''}; use the model section and the dataset "
            "that it was trained on"
        )
    model.set_weights(found.get_weights())

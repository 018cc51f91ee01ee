"""Load a Keras model from its file, in safe mode: what it is made of is known, or refused."""

import re
from pathlib import Path

import keras

from headrace.errors import ModelError, get_first_line
from headrace.models.mapped_tables import load_mapped_model

_MAPPED_ABOVE = 2**28
"""Tables of more bytes stay in the file where only some of their rows are asked for."""


def load_keras_model(file: str | Path, name: str) -> keras.Model:
    """Load a `.keras` file. Tables of more than 256 MiB stay in it, see `mapped_tables`.

    Layers and functions of the user's own are known where they are registered with Keras and their
    module is imported.

    Args:
        file: path of the file.
        name: of the model, in messages.

    Raises:
        ModelError: it is no model, or has a layer that nobody can find or may run.
    """
    try:
        if Path(file).stat().st_size > _MAPPED_ABOVE:
            mapped = load_mapped_model(file, _MAPPED_ABOVE)
            if mapped is not None:
                return mapped
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (TypeError, ValueError, OSError, ImportError, AttributeError) as error:
        text = str(error)
        # Keras puts what was found at the end of what it was found in.
        found = re.search(r"Could not locate [^\n]*|Exception encountered: [^\n]*", text)
        reason = found[0].partition(". ")[0] if found else get_first_line(error)
        reason = reason or type(error).__name__
        if "Could not locate" in text or "custom" in text.lower():
            reason += (
                "; decorate each layer and function of your own with "
                "@keras.saving.register_keras_serializable(), give layers a get_config, and build "
                "them in the module that model.function names"
            )
        elif "safe_mode" in text or "Lambda" in text:
            reason += "; use a layer of your own in place of Lambda, whose code is not loaded"
        raise ModelError(f"{name} cannot be loaded: {reason[:700]}") from None


def check_loadable(model: keras.Model, file: str, name: str) -> None:
    """Save a model and load it again: what is registered has to be found by those who evaluate it.

    Args:
        model: to be saved.
        file: path to save it at, which ends with `.keras`.
        name: of the model, in messages.

    Raises:
        ModelError: see `load_keras_model`; or what is loaded has other weights.
    """
    try:
        model.save(file)
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = get_first_line(error) or type(error).__name__
        raise ModelError(
            f"{name} cannot be saved: {reason[:500]}; give each layer of your own a get_config "
            "that returns plain values"
        ) from None
    loaded = load_keras_model(file, name)
    shapes = [tuple(weight.shape) for weight in model.weights]
    loaded_shapes = [tuple(weight.shape) for weight in loaded.weights]
    if shapes != loaded_shapes:
        raise ModelError(
            f"{name} is not the same when it is loaded again: it has {len(loaded_shapes)} weights "
            f"of shapes {loaded_shapes[:5]}, expected {len(shapes)} of {shapes[:5]}; a get_config "
            "lacks arguments of its layer"
        )
    for weight, other in zip(model.weights, loaded.weights, strict=True):
        same = keras.ops.convert_to_numpy(weight) == keras.ops.convert_to_numpy(other)
        if not same.all():
            raise ModelError(
                f"{name} is not the same when it is loaded again: {weight.path} has other values"
            )

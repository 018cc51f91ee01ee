"""Model and optimizer of a recipe: seeds and precision."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.train.model import build_initial_model
from tests.models.specs import NUMBER, WORD, make_spec
from tests.tiny import tiny_recipe

SPEC = make_spec(NUMBER, WORD)


@pytest.fixture(autouse=True)
def own_dtype_policy() -> Iterator[None]:
    yield
    keras.config.set_dtype_policy("float32")


def build(folder: Path, *overrides: str, rank: int = 0) -> tuple[keras.Model, Any, Any]:
    collectives = SoloCollectives()
    collectives.rank = rank
    return build_initial_model(tiny_recipe(folder, *overrides), SPEC, collectives)


def weights_of(*arguments: Any, **options: Any) -> list[list[float]]:
    model, *_ = build(*arguments, **options)
    return [weights.reshape(-1).tolist() for weights in model.get_weights()]


def test_weights_are_drawn_from_the_recipes_seed_and_the_rank(tmp_path: Path) -> None:
    first = weights_of(tmp_path, "train.seed=3")
    assert weights_of(tmp_path, "train.seed=3") == first
    assert weights_of(tmp_path, "train.seed=4") != first
    assert weights_of(tmp_path, "train.seed=3", rank=1) != first


def test_the_optimizer_is_built_for_the_models_variables(tmp_path: Path) -> None:
    model, optimizer, _ = build(
        tmp_path, "train.optimizer.kind=sgd", "train.optimizer.momentum=0.9"
    )
    shapes = [tuple(v.shape) for v in optimizer.variables if v.path.endswith("momentum")]
    assert shapes == [tuple(variable.shape) for variable in model.trainable_variables]


def test_precision_reaches_layers_and_optimizer(tmp_path: Path) -> None:
    model, optimizer, _ = build(tmp_path, "train.precision=mixed_float16")
    assert model.get_layer("hidden.0").compute_dtype == "float16"
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)

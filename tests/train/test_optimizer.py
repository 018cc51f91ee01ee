"""Optimizers as the recipe describes them."""

from typing import Any

import keras
import pytest

from headrace.recipe.sections import Optimizer
from headrace.train.optimizer import build_optimizer
from headrace.train.row_optimizer import get_rate_variable


def build(kind: str, precision: str = "float32", **settings: Any) -> keras.optimizers.Optimizer:
    return build_optimizer(Optimizer.model_validate({"kind": kind, **settings}), precision)


def test_sgd() -> None:
    optimizer = build("sgd", learning_rate=0.5, momentum=0.9, nesterov=True)
    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == 0.5
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


@pytest.mark.parametrize(
    ("kind", "expected", "decay"),
    [
        ("adam", keras.optimizers.Adam, None),
        ("adamw", keras.optimizers.AdamW, 0.1),
        ("lamb", keras.optimizers.Lamb, 0.1),
    ],
)
def test_the_adam_family(kind: str, expected: type, decay: float | None) -> None:
    """Adam itself has no weight decay: that of the recipe belongs to adamw and lamb."""
    optimizer = build(
        kind, learning_rate=0.25, beta_1=0.5, beta_2=0.75, epsilon=1e-3, weight_decay=0.1
    )
    assert type(optimizer) is expected
    assert float(optimizer.learning_rate) == 0.25
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.5, 0.75, 1e-3)
    assert optimizer.weight_decay == decay


def test_gradients_are_clipped_together_or_one_by_one() -> None:
    assert build("adam", clip_norm=2.0).global_clipnorm == 2.0
    assert build("adam", clip_value=0.5).clipvalue == 0.5
    plain = build("adam")
    assert (plain.global_clipnorm, plain.clipnorm, plain.clipvalue) == (None, None, None)


def test_float16_alone_scales_the_loss() -> None:
    assert isinstance(build("sgd", "mixed_float16"), keras.optimizers.LossScaleOptimizer)
    assert type(build("sgd", "mixed_bfloat16")) is keras.optimizers.SGD


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_the_rate_variable_is_the_one_that_updates_use(precision: str) -> None:
    optimizer = build("sgd", precision, learning_rate=0.5)
    get_rate_variable(optimizer).assign(0.25)
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert float(inner.learning_rate) == 0.25

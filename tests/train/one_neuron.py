"""Build a network of one neuron whose steps can be worked out by hand, and its batches."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.features.scaled import ScaledFeature
from headrace.labels.spec import LabelSpec
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp, Optimizer
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions
from headrace.transform.spec import RawColumn, TransformSpec

BINARY = LabelSpec()
REGRESSION = LabelSpec(kind="regression")
LABELS = LabelSpec(kind="multi_label", classes=("a", "b"))
CLASSES = LabelSpec(kind="classes", classes=("a", "b", "c"))


def spec(label: LabelSpec) -> TransformSpec:
    return TransformSpec(
        raw=(RawColumn(name="x", kind="real", nullable=False),),
        derived=(),
        features=(ScaledFeature(name="x", column="x"),),
        label=label,
    )


def batch(
    x: list[float], label: list[float], weight: list[float], **more: list[float]
) -> dict[str, tf.Tensor]:
    return {
        "numeric": tf.constant([[value] for value in x], tf.float32),
        "label": tf.constant(label, tf.int32 if isinstance(label[0], int) else tf.float32),
        "weight": tf.constant(weight, tf.float32),
        **{name: tf.constant(values, tf.float32) for name, values in more.items()},
    }


def one_neuron(l2: float = 0.0, label: LabelSpec = BINARY) -> keras.Model:
    """Logit 1 · relu(0.5 · x) - 0.25, biases 0 but the last."""
    model = build_model(Mlp(kind="mlp", hidden=[1], l2=l2), spec(label))
    model.set_weights([np.array([[0.5]]), np.array([0.0]), np.array([[1.0]]), np.array([-0.25])])
    return model


def sgd_step(model: keras.Model, rows: dict[str, Any], label: LabelSpec = BINARY) -> list[float]:
    """Loss and weight of one step at rate 0.1."""
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    result = TrainStep(model, optimizer, SoloCollectives(), label.kind)(rows, rate=0.1)
    return [float(result.loss), float(result.weight)]


def build_step(accumulate: int = 1) -> tuple[keras.Model, TrainStep]:
    """Return a model and its step, with momentum and a rate that is not that of the steps."""
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=5.0, momentum=0.9))
    optimizer.build(model.trainable_variables)
    options = StepOptions(accumulate=accumulate)
    return model, TrainStep(model, optimizer, SoloCollectives(), "binary", options)

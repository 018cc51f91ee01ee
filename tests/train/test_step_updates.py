"""Updates over several steps: accumulation, rates, loss scaling, dropout, and what is undone."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.features.image import ImageFeature
from headrace.features.scaled import ScaledFeature
from headrace.models.build import build_model
from headrace.recipe.sections import Mlp, Optimizer
from headrace.train.gradient_sums import _choose_scales
from headrace.train.optimizer import build_optimizer
from headrace.train.step import TrainStep
from headrace.train.step_options import StepOptions, make_step_options
from tests.tiny import tiny_recipe
from tests.train.one_neuron import (
    BINARY,
    batch,
    build_step,
    one_neuron,
    sgd_step,
    spec,
)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_float32_weights_and_outputs(precision: str) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(1)
        model = build_model(Mlp(kind="mlp", hidden=[8], normalize="batch"), spec(BINARY))
        assert model.get_layer("hidden.0").compute_dtype == precision.removeprefix("mixed_")
        optimizer = build_optimizer(Optimizer(kind="adam"), precision)
        optimizer.build(model.trainable_variables)
        step = TrainStep(model, optimizer, SoloCollectives(), "binary")
        rows = batch([-2.0, -1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0], [1.0] * 4)
        losses = [float(step(rows, n, rate=0.05).loss) for n in range(30)]
        assert losses[-1] < 0.5 * losses[0]
        assert {w.dtype for w in model.weights} == {"float32"}
        assert model({"numeric": rows["numeric"]}).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_step_whose_scaled_gradients_overflow_is_left_out() -> None:
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1), "mixed_float16")
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, SoloCollectives(), "binary")
    before = model.get_weights()
    scale = float(optimizer.dynamic_scale)
    step(batch([float("inf")], [1.0], [1.0]), rate=0.1)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(optimizer.dynamic_scale) < scale


def test_label_smoothing_by_hand() -> None:
    """Logit 0.75, label 1 smoothed by 0.2 to 0.9: 0.9 · 0.3868710 + 0.1 · 1.1368710."""
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    options = StepOptions(label_smoothing=0.2)
    result = TrainStep(model, optimizer, SoloCollectives(), "binary", options)(
        batch([2.0], [1.0], [1.0]), rate=0.1
    )
    assert float(result.loss) == pytest.approx(0.9 * 0.3868710 + 0.1 * 1.1368710, abs=1e-6)


def test_every_update_has_the_rate_of_its_step_and_not_the_optimizers() -> None:
    model = one_neuron()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=5.0))
    optimizer.build(model.trainable_variables)
    step = TrainStep(model, optimizer, SoloCollectives(), "binary")
    # d loss / d output bias is -0.3208213 at first; of a batch of padding it is 0
    step(batch([2.0], [1.0], [1.0]), 0, rate=0.1)
    assert float(model.get_weights()[3][0]) == pytest.approx(-0.25 + 0.1 * 0.3208213, abs=1e-6)
    step(batch([2.0], [1.0], [0.0]), 1, rate=0.02)
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def test_two_batches_make_the_update_of_one_batch_of_both() -> None:
    """And so do the next two: what was accumulated before the first update is gone."""
    rows = [(2.0, 1.0, 1.0), (-1.0, 0.0, 3.0), (5.0, 0.0, 0.5), (1.0, 1.0, 2.0)]
    apart, step_apart = build_step(accumulate=2)
    together, step_together = build_step()
    results = []
    for number, (x, label, weight) in enumerate(rows):
        single = batch([x], [label], [1.0], sample_weight=[weight])
        results.append(step_apart(single, number, rate=0.1, update=number % 2 == 1))
    for number in (0, 2):
        xs, labels, weights = zip(*rows[number : number + 2], strict=True)
        double = batch(list(xs), list(labels), [1.0, 1.0], sample_weight=list(weights))
        expected = step_together(double, number, rate=0.1)
        assert float(results[number].weight) == float(results[number].loss) == 0.0
        assert float(results[number + 1].weight) == float(expected.weight)
        assert float(results[number + 1].loss) == pytest.approx(float(expected.loss), abs=1e-6)
    for x, y in zip(apart.get_weights(), together.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    assert int(step_apart.updates) == int(step_together.updates) == 2


def test_a_batch_that_makes_no_update_moves_nothing() -> None:
    model, step = build_step(accumulate=2)
    before = model.get_weights()
    step(batch([2.0], [1.0], [1.0]), 0, rate=0.1, update=False)
    for x, y in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert int(step.updates) == 0


def test_flags_are_summed_at_an_update_alone() -> None:
    _, step = build_step(accumulate=2)
    rows = batch([2.0], [1.0], [1.0])
    assert float(step(rows, 0, rate=0.1, request=1.0, update=False).requests) == 0.0
    assert float(step(rows, 1, rate=0.1, request=3.0).requests) == 3.0
    step(rows, 2, rate=0.1, update=False)
    assert float(step(rows, 3, rate=0.1).requests) == 0.0


def test_mixed_labels_share_the_loss() -> None:
    """Logit 0.75: label 1 has loss 0.3868710 and label 0 has 1.1368710, here 3 to 1."""
    rows = batch([2.0], [1.0], [1.0], mixup_label=[0.0], mixup_weight=[0.75])
    loss, _ = sgd_step(one_neuron(), rows)
    assert loss == pytest.approx(0.75 * 0.3868710 + 0.25 * 1.1368710, abs=1e-6)


def test_an_elastic_rank_takes_back_what_batches_since_the_update_did() -> None:
    """Here to the moving statistics of batch normalization, twice within an update."""
    model = build_model(Mlp(kind="mlp", hidden=[2], normalize="batch"), spec(BINARY))
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    collectives = SoloCollectives()
    collectives.is_elastic = True
    step = TrainStep(model, optimizer, collectives, "binary", StepOptions(accumulate=3))
    rows = batch([2.0, 5.0], [1.0, 0.0], [1.0, 1.0])
    for number in range(3):
        step(rows, number, rate=0.1, update=number == 2)
    after_update = model.get_weights()
    step.undo_batches()  # there is nothing to undo
    for number in (3, 4):
        step(rows, number, rate=0.1, update=False)
    changed = [
        not np.array_equal(x, y) for x, y in zip(after_update, model.get_weights(), strict=True)
    ]
    assert any(changed)
    step.undo_batches()
    for x, y in zip(after_update, model.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_dropout_is_a_function_of_seed_rank_and_step() -> None:
    def drop(number: int, seed: int = 3, rank: int = 0) -> float:
        keras.utils.set_random_seed(1)
        model = build_model(Mlp(kind="mlp", hidden=[64], dropout=0.5), spec(BINARY))
        optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
        optimizer.build(model.trainable_variables)
        collectives = SoloCollectives()
        collectives.rank = rank
        step = TrainStep(model, optimizer, collectives, "binary", StepOptions(seed=seed))
        return float(step(batch([2.0], [1.0], [1.0]), number, rate=0.1).loss)

    assert drop(7) == drop(7)
    assert len({drop(7), drop(8), drop(7, seed=4), drop(7, rank=1)}) == 4


def test_one_rank_needs_no_time_to_sum() -> None:
    _, step = build_step()
    assert step.measure_allreduce_seconds() == 0.0


class TwoAlikeRanks(SoloCollectives):
    """Two ranks that have the same rows: a sum is twice what one rank has."""

    size = 2

    def __init__(self) -> None:
        super().__init__()
        self.summed: list[list[str]] = []

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        self.summed.append([tensor.dtype.name for tensor in tensors])
        return [2 * tensor for tensor in tensors]

    def allreduce_bfloat16(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        self.summed.append([f"bfloat16 of {tensor.dtype.name}" for tensor in tensors])
        return [tf.cast(2 * tf.cast(tensor, tf.bfloat16), tf.float32) for tensor in tensors]


def build_step_of_two(compression: str = "none") -> tuple[keras.Model, TrainStep, TwoAlikeRanks]:
    model, collectives = one_neuron(), TwoAlikeRanks()
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(model.trainable_variables)
    options = StepOptions(compression=compression)
    return model, TrainStep(model, optimizer, collectives, "binary", options), collectives


@pytest.mark.parametrize(
    ("compression", "sums", "tolerance"),
    [
        ("none", [["float32"] * 7], 1e-7),
        ("fp16", [["float32"] * 4, ["float16"] * 4], 1e-3),
        ("bf16", [["bfloat16 of float32"] * 4, ["float32"] * 3], 1e-2),
    ],
)
def test_gradients_alone_are_compressed_between_ranks(
    compression: str, sums: list[list[str]], tolerance: float
) -> None:
    """The mean over two ranks of the same rows is that of one; the loss is never rounded."""
    alone = one_neuron()
    loss, _ = sgd_step(alone, batch([2.0], [1.0], [1.0]))
    model, step, collectives = build_step_of_two(compression)
    result = step(batch([2.0], [1.0], [1.0]), rate=0.1, request=1.0)
    assert collectives.summed == sums
    assert float(result.loss) == pytest.approx(loss, rel=1e-6)
    assert (float(result.weight), float(result.requests)) == (2.0, 2.0)
    for x, y in zip(alone.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=tolerance)


def test_a_sum_is_timed_once_with_all_that_a_step_sums() -> None:
    _, step, collectives = build_step_of_two()
    seconds = step.measure_allreduce_seconds()
    assert 0 < seconds < 60
    assert collectives.summed == [["float32"] * 7]  # traced once
    assert step.measure_allreduce_seconds() == seconds
    assert len(collectives.summed) == 1


def test_rows_are_augmented_before_the_network_sees_them() -> None:
    class Doubling:
        is_active = True

        def __call__(self, rows: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
            return {**rows, "numeric": rows["numeric"] * 2}

    def compute_loss(x: float, **options: Any) -> float:
        model = one_neuron()
        optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
        optimizer.build(model.trainable_variables)
        step = TrainStep(model, optimizer, SoloCollectives(), "binary", StepOptions(**options))
        return float(step(batch([x], [1.0], [1.0]), rate=0.1).loss)

    assert compute_loss(1.0, augmentation=Doubling()) == compute_loss(2.0)
    assert compute_loss(1.0) != compute_loss(2.0)


def test_options_of_steps_are_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path, "train.label_smoothing=0.1", "train.accumulate=3", "train.compression=fp16",
        "train.seed=9",
    )  # fmt: skip
    features = (
        ScaledFeature(name="x", column="x"),
        ImageFeature(name="photo", column="p", height=2, width=2, channels=3),
    )
    transform = spec(BINARY).model_copy(update={"features": features})
    collectives = TwoAlikeRanks()
    collectives.rank = 1
    options = make_step_options(recipe, transform, collectives)
    assert (options.label_smoothing, options.accumulate) == (0.1, 3)
    assert (options.compression, options.seed) == ("fp16", 9)
    augmentation = options.augmentation
    assert augmentation is not None
    assert augmentation._images == ("photo",)
    assert (augmentation._seed, augmentation._rank, augmentation._size) == (9, 1, 2)


class ManyUnlikeRanks(SoloCollectives):
    """Several ranks of which this one has the largest gradients: a sum is up to `size` times it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def allreduce(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.add_n([tensor] * self.size) for tensor in tensors]


@pytest.mark.parametrize("size", [2, 3, 8, 64])
@pytest.mark.parametrize("weight", [1e-12, 1e-4, 1.0, 500.0, 65_504.0, 1e9, 1e30])
def test_sixteen_bits_hold_the_gradients_of_any_weights(size: int, weight: float) -> None:
    """The update depends on weights relative to each other, and so it does with compression."""
    exact, compressed = one_neuron(), one_neuron()
    sgd_step(exact, batch([2.0], [1.0], [1.0]))
    optimizer = build_optimizer(Optimizer(kind="sgd", learning_rate=0.1))
    optimizer.build(compressed.trainable_variables)
    step = TrainStep(
        compressed, optimizer, ManyUnlikeRanks(size), "binary", StepOptions(compression="fp16")
    )
    step({**batch([2.0], [1.0], [1.0]), "sample_weight": tf.constant([weight])}, rate=0.1)
    for x, y in zip(exact.get_weights(), compressed.get_weights(), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-3)


@pytest.mark.parametrize("bound", [1e-38, 1e-6, 0.7, 1.0, 2.0**15, 65_504.0, 1e30, 3e38])
def test_a_scale_is_a_power_of_two_that_fills_sixteen_bits(bound: float) -> None:
    (scale,) = _choose_scales(tf.constant([bound])).numpy()
    assert np.log2(scale) == round(np.log2(scale))
    assert bound * scale <= 2.0**15 * (1 + 1e-6)
    assert bound * scale > 2.0**14 * (1 - 1e-6) or bound < 1e-20
    assert _choose_scales(tf.constant([0.0])).numpy() == [1.0]

"""`to_keras` gives, bit for bit, what the rank of a training reads; and `model.fit` takes it."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml

from headrace.api import Dataset
from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import OptionError
from headrace.lake.version import DatasetVersion
from headrace.recipe import build_recipe
from headrace.stream.columns import build_feature_columns, list_weight_columns
from headrace.stream.dataset import read_tf_batches
from headrace.train.preflight import load_trainable_spec
from headrace.train.streams import SplitStreams

Batches = list[tuple[dict[str, Any], Any, Any]]


def read_as_training(folder: Path, split: Any, epochs: list[int], *overrides: str) -> Batches:
    """Read the batches as `rank_training` does, on one rank."""
    tree = yaml.safe_load((folder / "tiny.yaml").read_text())
    recipe = build_recipe(
        tree, source="tiny", overrides=overrides, workdir=str(folder), environment={}
    )
    dataset = DatasetVersion.open(recipe.dataset.path)
    spec = load_trainable_spec(recipe, dataset)
    weights = list_weight_columns(spec) if split == "train" else {}
    streams = SplitStreams(recipe, dataset, str(folder))
    stream = streams.open_split(split, build_feature_columns(spec, weights), SoloCollectives())
    batches = []
    for tensors in read_tf_batches(stream, epochs):
        batch = {name: tensor.numpy() for name, tensor in tensors.items()}
        label, weight = batch.pop("label"), batch.pop("weight")
        batches.append((batch, label, weight * batch.pop("sample_weight", np.float32(1))))
    return batches


def read_passes(dataset: Dataset, split: Any, passes: int, **options: Any) -> Batches:
    stream = dataset.to_keras(split, **options)
    return [batch for _ in range(passes) for batch in stream.as_numpy_iterator()]


def assert_same(ours: Batches, theirs: Batches) -> None:
    assert len(ours) == len(theirs) > 0
    for (x, y, w), (other_x, other_y, other_w) in zip(ours, theirs, strict=True):
        assert x.keys() == other_x.keys()
        for name in x:
            assert x[name].dtype == other_x[name].dtype
            assert x[name].tobytes() == other_x[name].tobytes(), name
        assert y.tobytes() == other_y.tobytes()
        assert w.tobytes() == other_w.tobytes()


def test_passes_are_the_epochs_of_a_training(dataset: Dataset, notebook_folder: Path) -> None:
    ours = read_passes(dataset, "train", 3)
    assert_same(ours, read_as_training(notebook_folder, "train", [0, 1, 2]))
    steps = len(ours) // 3
    assert ours[0][1].tobytes() != ours[steps][1].tobytes()  # another order


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        (["train.global_batch_size=32"], {"batch_size": 32}),
        (["train.global_batch_size=8"], {"batch_size": 8}),
        (["train.seed=7"], {"seed": 7}),
        (["stream.shuffle=false"], {"shuffle": False}),
        (["train.global_batch_size=512", "train.seed=3"], {"batch_size": 512, "seed": 3}),
    ],
)
def test_settings_are_those_of_a_recipe(
    dataset: Dataset, notebook_folder: Path, overrides: list[str], options: dict[str, Any]
) -> None:
    ours = read_passes(dataset, "train", 2, **options)
    assert_same(ours, read_as_training(notebook_folder, "train", [0, 1], *overrides))


def test_a_later_epoch_is_begun_with(dataset: Dataset, notebook_folder: Path) -> None:
    ours = read_passes(dataset, "train", 1, epoch=5)
    assert_same(ours, read_as_training(notebook_folder, "train", [5]))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_keep_their_order(dataset: Dataset, notebook_folder: Path, split: Any) -> None:
    ours = read_passes(dataset, split, 2)
    assert_same(ours, read_as_training(notebook_folder, split, [0, 0]))
    labels = np.concatenate([label[weight > 0] for _, label, weight in ours[: len(ours) // 2]])
    assert len(labels) == dataset.rows[split]  # every row once, and padding has no weight


def test_a_batch_that_no_shard_can_share_is_refused(dataset: Dataset) -> None:
    with pytest.raises(OptionError, match=r"batch_size is 30, .*choose a multiple of 8"):
        dataset.to_keras("train", batch_size=30)
    with pytest.raises(OptionError, match=r"batch_size is 0, expected"):
        dataset.to_keras("train", batch_size=0)


def test_a_model_is_fitted_on_it(dataset: Dataset, notebook_folder: Path) -> None:
    import keras

    train = dataset.to_keras("train", batch_size=64)
    inputs = {
        name: keras.Input(spec.shape[1:], dtype=spec.dtype.name)
        for name, spec in train.element_spec[0].items()
    }
    output = keras.layers.Dense(1, activation="sigmoid")(inputs["numeric"])

    class Recording(keras.Model):
        seen: ClassVar[Batches] = []

        def train_step(self, data: Any) -> Any:
            x, y, weight = data
            numbers = {name: value.numpy() for name, value in x.items()}
            self.seen.append((numbers, y.numpy(), weight.numpy()))
            return super().train_step(data)

    model = Recording(inputs, output)
    model.compile(optimizer="adam", loss="binary_crossentropy", run_eagerly=True)
    history = model.fit(train, epochs=2, validation_data=dataset.to_keras("validation"), verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    assert_same(model.seen, read_as_training(notebook_folder, "train", [0, 1]))
    assert len(train) == len(model.seen) // 2

"""Tell the items of a two-tower model apart, and list all those that a train split has.

An item is a distinct combination of what the item's tower reads. Rows are told by a key of 64 bits
that a graph computes as NumPy does; that no two items share a key is checked where they are listed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.errors import TrainError
from headrace.features.kind import IdsKind, NumbersKind
from headrace.features.kinds import find_feature_kind
from headrace.models.feature_columns import locate_features
from headrace.transform.spec import ModelInput, TransformSpec

_SEED = 20_190_916  # of the multipliers; another one makes other keys


@dataclass(frozen=True)
class ItemColumns:
    """The parts of a model's inputs that the item's tower reads.

    Attributes:
        columns: input -> its columns, in order; None for an input that is read whole.
        inputs: the model's inputs, all of them.
    """

    columns: Mapping[str, tuple[int, ...] | None]
    inputs: Mapping[str, ModelInput]

    @staticmethod
    def from_features(features: Iterable[str], spec: TransformSpec) -> "ItemColumns":
        """Return the columns of the item's features."""
        own, columns = {*features}, dict[str, tuple[int, ...] | None]()
        for name, (owner, positions) in locate_features(spec).items():
            if name in own:
                before = columns.get(owner) or ()
                columns[owner] = None if positions is None else (*before, *positions)
        return ItemColumns(columns, spec.inputs)

    @property
    def dataset_columns(self) -> dict[str, ModelInput]:
        """Return what is read of a dataset for the items alone, by input."""
        return {
            name: self.inputs[name]
            if columns is None
            else ModelInput(
                self.inputs[name].dtype,
                (len(columns),),
                tuple(self.inputs[name].columns[i] for i in columns),
            )
            for name, columns in self.columns.items()
        }

    def fill_inputs(self, items: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the model's inputs for items, with zeros for what the query's tower reads.

        Args:
            items: arrays of `dataset_columns`, (items, …).
        """
        count = len(next(iter(items.values())))
        filled = {n: np.zeros((count, *i.shape), i.dtype) for n, i in self.inputs.items()}
        for name, columns in self.columns.items():
            if columns is None:
                filled[name] = items[name]
            else:
                filled[name][:, columns] = items[name]
        return filled

    def compute_keys(self, items: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the key of each row, int64 (rows,).

        Args:
            items: arrays of `dataset_columns`, (rows, …).
        """
        words = []
        for name in self.columns:
            array = np.ascontiguousarray(items[name])
            array = array.astype(np.int32) if array.dtype == np.uint8 else array.view(np.int32)
            words.append(array.reshape(len(array), self._count_words(name)))
        mixed = np.concatenate(words, axis=1).astype(np.int64)
        offsets, factors, factor = self._draw_multipliers()
        mixed = (mixed + offsets) * factors
        mixed = (mixed ^ (mixed >> 32)) * factor
        total = (mixed ^ (mixed >> 29)).sum(axis=1)
        return np.asarray((total ^ (total >> 32)) * factor)

    def compute_key_tensor(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return the key of each row, as `compute_keys` does, of the model's inputs."""
        words = []
        for name, columns in self.columns.items():
            tensor = batch[name]
            if columns is not None:
                tensor = tf.gather(tensor, tf.constant(columns), axis=1)
            is_bytes = tensor.dtype == tf.uint8
            tensor = tf.cast(tensor, tf.int32) if is_bytes else tf.bitcast(tensor, tf.int32)
            words.append(tf.reshape(tensor, [tf.shape(tensor)[0], self._count_words(name)]))
        mixed = tf.cast(tf.concat(words, axis=1), tf.int64)
        offsets, factors, factor = self._draw_multipliers()
        mixed = (mixed + offsets) * factors
        mixed = _shift_and_mix(mixed, 32) * factor
        total = tf.reduce_sum(_shift_and_mix(mixed, 29), axis=1)
        return _shift_and_mix(total, 32) * factor

    def _count_words(self, name: str) -> int:
        columns = self.columns[name]
        return int(np.prod(self.inputs[name].shape)) if columns is None else len(columns)

    def _draw_multipliers(self) -> tuple[np.ndarray, np.ndarray, np.int64]:
        """Return what each word is mixed with, int64; factors are odd, so that nothing is lost."""
        words = sum(self._count_words(name) for name in self.columns)
        random = np.random.default_rng(_SEED)
        numbers = random.integers(-(2**63), 2**63 - 1, 2 * words + 1, np.int64)
        return numbers[:words], numbers[words:-1] | 1, np.int64(numbers[-1] | 1)


@dataclass(frozen=True)
class Catalog:
    """All items of a train split.

    Attributes:
        columns: what tells items apart.
        keys: of the items, int64 (items,), ascending.
        counts: rows of each item, int64 (items,).
        items: what the item's tower reads, arrays of `ItemColumns.dataset_columns`.
    """

    columns: ItemColumns
    keys: np.ndarray
    counts: np.ndarray
    items: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def log_shares(self) -> np.ndarray:
        """Return the logarithm of the share of rows of each item, float32 (items,)."""
        return np.log(self.counts / self.counts.sum()).astype(np.float32)

    def name_values(self, spec: TransformSpec, features: Iterable[str]) -> dict[str, np.ndarray]:
        """Return what people see of the items, by feature: words of ids, and numbers.

        Texts are object arrays of str, numbers float64, NaN where missing. Features that are lists
        or images are left out.
        """
        own, locations, values = {*features}, locate_features(spec), dict[str, Any]()
        for feature in spec.features:
            kind = find_feature_kind(feature)
            owner, positions = locations[feature.name]
            if feature.name not in own or positions is None:
                continue
            first = (self.columns.columns[owner] or ()).index(positions[0])
            array = self.items[owner][:, first : first + len(positions)]
            if isinstance(kind, IdsKind):
                words = np.array(kind.name_ids(feature), object)
                values[feature.name] = words[np.minimum(array[:, 0], len(words) - 1)]
            elif isinstance(kind, NumbersKind):
                parts = {n: array[:, i] for i, n in enumerate(feature.dataset_columns)}
                values[feature.name] = kind.restore_numbers(feature, parts)
        return values


def merge_items(
    columns: ItemColumns, items: Mapping[str, np.ndarray], counts: np.ndarray
) -> Catalog:
    """Return the distinct items among rows, each with the sum of its counts.

    Args:
        columns: what tells items apart.
        items: arrays of `ItemColumns.dataset_columns`, (rows, …).
        counts: of the rows, int64 (rows,).

    Raises:
        TrainError: two items have one key.
    """
    keys = columns.compute_keys(items)
    distinct, first, positions = np.unique(keys, return_index=True, return_inverse=True)
    positions = positions.reshape(-1)
    for name, array in items.items():
        if not np.array_equal(_get_bits(array), _get_bits(array[first])[positions]):
            raise TrainError(
                f"two items, which differ in {name}, have one key of 64 bits; round or bin the "
                "numbers among model.item.features, or leave out one of them"
            )
    total = np.bincount(positions, counts, len(distinct)).astype(np.int64)
    return Catalog(columns, distinct, total, {n: array[first] for n, array in items.items()})


def _get_bits(array: np.ndarray) -> np.ndarray:
    """Return numbers as bits, of which NaN equals itself."""
    return array if array.dtype == np.uint8 else np.ascontiguousarray(array).view(np.int32)


def _shift_and_mix(words: tf.Tensor, bits: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(words, tf.constant(bits, tf.int64))
    return tf.bitwise.bitwise_xor(words, shifted)

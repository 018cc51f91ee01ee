"""Plan which features of a transform a graph computes together, and read their columns together.

An operation for each column makes a graph whose building, saving and loading take minutes with two
thousand columns. Columns of one kind are read as one tensor, and features of one kind computed on
it at once; their kind says which (`FeatureKind.get_stack_key`).
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from headrace.columns.values import RawKind
from headrace.features.kind import FeatureKind, FittedFeature
from headrace.features.kinds import find_feature_kind
from headrace.features.tensors import Block, Column, read_tensor
from headrace.transform.rules import select_null_rules
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class FeatureStack:
    """Features that are computed together.

    Attributes:
        kind: of all of them.
        features: each reads one column.
        columns: what each reads.
    """

    kind: FeatureKind[Any, Any]
    features: tuple[FittedFeature, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class StackPlan:
    """How a graph computes the features of a transform.

    Attributes:
        stacks: by the name of each; its columns are all as they came, or all computed before.
        alone: the features that are in none.
    """

    stacks: Mapping[str, FeatureStack]
    alone: tuple[FittedFeature, ...]


def plan_stacks(spec: TransformSpec) -> StackPlan:
    """Plan which features are computed together."""
    kinds: dict[str, RawKind] = {column.name: column.kind for column in spec.raw}
    kinds |= {column.name: column.kind for column in spec.derived}
    changed = {str(rule.column) for rule in select_null_rules(spec.rules or ())}
    changed |= {column.name for column in spec.derived}
    members: dict[Hashable, list[FittedFeature]] = {}
    alone = []
    for feature in spec.features:
        kind = find_feature_kind(feature)
        key = kind.get_stack_key(feature)
        if key is None:
            alone.append(feature)
            continue
        (column,) = feature.source_columns
        is_raw = column not in changed
        members.setdefault((kind, key, kinds[column], is_raw), []).append(feature)
    stacks = {
        f"stack_{position}": FeatureStack(
            find_feature_kind(features[0]),
            tuple(features),
            tuple(feature.source_columns[0] for feature in features),
        )
        for position, features in enumerate(members.values())
    }
    return StackPlan(stacks, tuple(alone))


class GraphColumns(Mapping[str, Column]):
    """The columns of a batch: raw ones, each read when it is first asked for, and computed ones."""

    def __init__(self, spec: TransformSpec, raw: Mapping[str, tf.Tensor]) -> None:
        """
        Args:
            spec: names the columns.
            raw: tensors by name, see `TransformSpec.tensors`.
        """
        self._raw = {c.name: (raw[tensor], c.kind) for tensor, c in spec.tensors.items()}
        self._read: dict[str, Column] = {}
        self._computed: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name in self._computed:
            return self._computed[name]
        if name not in self._read:
            self._read[name] = read_tensor(*self._raw[name])
        return self._read[name]

    def __setitem__(self, name: str, column: Column) -> None:
        self._computed[name] = column

    def __iter__(self) -> Iterator[str]:
        return iter({**self._raw, **self._computed})

    def __len__(self) -> int:
        return len({**self._raw, **self._computed})

    def get_raw(self, name: str) -> tuple[tf.Tensor, RawKind]:
        """Return the tensor of a raw column as it came, and its kind."""
        return self._raw[name]

    def stack(self, names: Sequence[str]) -> Column:
        """Return scalar columns of one kind beside each other, (batch, columns)."""
        if not any(name in self._computed for name in names):
            tensors, kinds = zip(*(self._raw[name] for name in names), strict=True)
            return read_tensor(tf.stack(tensors, axis=1), kinds[0])
        columns = [self[name] for name in names]
        return Column(
            columns[0].kind,
            tf.stack([column.tensor for column in columns], axis=1),
            tf.stack([column.missing for column in columns], axis=1),
        )


def select_columns(blocks: Sequence[Block], names: Sequence[str]) -> tf.Tensor:
    """Return columns of blocks in an order, (batch, columns).

    Args:
        blocks: a column that is asked for is in one of them; of the others any may be missing.
        names: of the columns.
    """
    wanted = set(names)
    chosen = [block for block in blocks if not wanted.isdisjoint(block.names)]
    available = [name for block in chosen for name in block.names]
    tensors = [block.tensor for block in chosen]
    joined = tf.concat(tensors, axis=1) if len(tensors) > 1 else tensors[0]
    if available == list(names):
        return joined
    places = {name: position for position, name in enumerate(available)}
    return tf.gather(joined, [places[name] for name in names], axis=1)

"""Plan the embedding tables of a model: categoricals of equal width are blocks of one table.

A table has a block of rows per feature. The id of a feature plus its offset is the row, so that two
hundred vocabularies are one variable and one operation, where a layer each would be built, traced,
exported and loaded two hundred times. What a table takes is known from the fitted transform, before
anything is built.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.features.kind import FittedFeature
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

# Rows are numbered by int32.
_MOST_ROWS = 2**31 - 1


@dataclass(frozen=True)
class EmbeddingTable:
    """An embedding table and the categoricals that share it.

    Attributes:
        name: of its Keras layer.
        width: numbers of a row.
        features: names of the categoricals, in the order of their blocks.
        positions: column of each of them in the input `categorical`.
        block_rows: rows of each of their blocks.
        divisors: of a composed table, by what each feature's ids are divided: its block has a row
            for each quotient and then for each remainder. Empty where an id has a row of its own.
        is_shared: whether features may share it; otherwise it is that of one feature, and its layer
            is built as an older Headrace did.
    """

    name: str
    width: int
    features: tuple[str, ...]
    positions: tuple[int, ...]
    block_rows: tuple[int, ...]
    divisors: tuple[int, ...] = ()
    is_shared: bool = True

    @property
    def rows(self) -> int:
        """Return the rows of all blocks."""
        return sum(self.block_rows)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Return the first row of each feature's block."""
        ends = np.cumsum(self.block_rows).tolist()
        return (0, *ends[:-1])

    @property
    def ids_per_row(self) -> int:
        """Return how many rows are looked up for a row of a batch."""
        return len(self.features) * (2 if self.divisors else 1)

    def locate_blocks(self) -> dict[str, range]:
        """Return the rows of each feature's block, by the feature's name."""
        pairs = zip(self.features, self.offsets, self.block_rows, strict=True)
        return {name: range(offset, offset + count) for name, offset, count in pairs}


def choose_embedding_width(cardinality: int, max_width: int) -> int:
    """Choose the columns of an embedding: the square root of its ids, at most `max_width`."""
    return min(max_width, math.ceil(math.sqrt(cardinality)))


def plan_tables(
    categorical: Sequence[FittedFeature],
    choose_width: Callable[[int], int],
    *,
    shared: bool = True,
    prefix: str = "table",
    compose_above: int | None = None,
) -> tuple[EmbeddingTable, ...]:
    """Plan a table for every width, in the order in which the widths first occur.

    Args:
        categorical: the features of the input `categorical`, in the order of its columns.
        choose_width: returns the width of an embedding by the number of its ids.
        shared: whether features share tables; otherwise each has its own, in their order.
        prefix: of the layers' names: `prefix.WIDTH`, with `.1`, `.2`, … after it where one table
            would have more rows than int32 can number. A table that is not shared is
            `embed.FEATURE` in place of `table.FEATURE`.
        compose_above: features of more ids are in composed tables, `composed.WIDTH`, after the
            others; None for none.
    """
    if compose_above is not None:
        few = [f.cardinality <= compose_above for f in categorical]
        plans = [
            _plan_group(categorical, [p for p, is_few in enumerate(few) if is_few == own],
                        choose_width, shared, prefix if own else "composed")
            for own in (True, False)
        ]  # fmt: skip
        return (*plans[0], *plans[1])
    return _plan_group(categorical, range(len(categorical)), choose_width, shared, prefix)


def _plan_group(
    categorical: Sequence[FittedFeature],
    positions: Sequence[int],
    choose_width: Callable[[int], int],
    shared: bool,
    prefix: str,
) -> tuple[EmbeddingTable, ...]:
    """Plan the tables of the features at some positions; see `plan_tables`."""
    is_composed = prefix == "composed"
    if not shared:
        prefix = "embed" if prefix == "table" else prefix
        own = [
            (p, f"{prefix}.{categorical[p].name}", categorical[p].cardinality) for p in positions
        ]
        return tuple(
            replace(
                _make_table(name, choose_width(ids), categorical, [position], is_composed),
                is_shared=is_composed,
            )
            for position, name, ids in own
        )
    groups: dict[int, list[list[int]]] = {}
    for position in positions:
        feature = categorical[position]
        tables = groups.setdefault(choose_width(feature.cardinality), [[]])
        rows = sum(categorical[p].cardinality for p in tables[-1])
        if tables[-1] and rows + feature.cardinality > _MOST_ROWS:
            tables.append([])
        tables[-1].append(position)
    return tuple(
        _make_table(
            f"{prefix}.{width}" + (f".{number}" if number else ""),
            width,
            categorical,
            members,
            is_composed,
        )
        for width, tables in groups.items()
        for number, members in enumerate(tables)
    )


def _make_table(
    name: str,
    width: int,
    categorical: Sequence[FittedFeature],
    positions: Sequence[int],
    is_composed: bool,
) -> EmbeddingTable:
    ids = [categorical[p].cardinality for p in positions]
    divisors = tuple(math.ceil(math.sqrt(count)) for count in ids) if is_composed else ()
    pairs = zip(ids, divisors, strict=False)
    blocks = [-(-count // divisor) + divisor for count, divisor in pairs] if divisors else ids
    return EmbeddingTable(
        name=name,
        width=width,
        features=tuple(categorical[p].name for p in positions),
        positions=tuple(positions),
        block_rows=tuple(blocks),
        divisors=divisors,
    )


def list_model_tables(model: s.Model, spec: TransformSpec) -> tuple[EmbeddingTable, ...]:
    """List the tables of categoricals that a model has, of every family but the user's own.

    Lists of ids have a table each, `embed.NAME`, which is not among them.
    """
    match model:
        case s.Python():
            return ()
        case s.WideDeep():
            return (*list_tables(model, spec), *list_wide_tables(model, spec))
        case _:
            return list_tables(model, spec)


def list_tables(model: s.Model, spec: TransformSpec) -> tuple[EmbeddingTable, ...]:
    """List the tables in which a family looks the categoricals up.

    All rows of a table are as wide as the residual stream of a Transformer over a table, or as
    `embedding_width` of dlrm; elsewhere the width follows from the number of ids.
    """
    match model:
        case s.Transformer() if model.over == "table":
            widest, is_fixed = model.width, True
        case s.Dlrm():
            widest, is_fixed = model.embedding_width, True
        case _:
            widest, is_fixed = model.embedding_width, False
    return plan_tables(
        spec.categorical,
        lambda ids: widest if is_fixed else choose_embedding_width(ids, widest),
        shared=model.embeddings.shared,
        compose_above=model.embeddings.compose_above,
    )


def list_wide_tables(model: s.WideDeep, spec: TransformSpec) -> tuple[EmbeddingTable, ...]:
    """List the tables of the linear part of wide and deep, one weight wide."""
    return plan_tables(spec.categorical, lambda _: 1, shared=model.embeddings.shared, prefix="wide")

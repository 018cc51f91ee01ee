"""Decide how an embedding table is trained, and predict what that takes; nothing is built for it.

Two questions. Is its gradient a list of rows? Where the table is larger than what ranks would send
of a batch. Is it updated by row? Where the optimizer has a rule that is exact, or was asked to be
lazy.
"""

from dataclasses import dataclass

from headrace.models.table_plans import choose_embedding_width, list_model_tables
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec

_ROWS_PER_ID = 2
"""A table with fewer rows for each id of an update has a dense gradient: the sum of all its rows
then costs less than to gather and to sum those that were looked up."""

_RULES = ("sgd", "adagrad", "rowwise_adagrad", "adam", "adamw")
_NUMBER_BYTES = {"none": 4, "fp16": 2, "bf16": 2}
_ID_BYTES = 4


def has_rule(settings: s.Optimizer) -> bool:
    """Return whether tables are updated row by row under these settings, exactly or as asked."""
    if settings.kind not in _RULES:
        return False
    return settings.sparse == "lazy" or is_exact(settings)


def is_exact(settings: s.Optimizer) -> bool:
    """Return whether the rule changes a table as an update of all its rows does."""
    return (settings.kind == "sgd" and not settings.momentum) or "adagrad" in settings.kind


def is_sparse(rows: int, ids_per_row: int, settings: s.Train) -> bool:
    """Return whether the gradient of a table of so many rows is a list of rows.

    It is none where `ids_per_row` is 0, not known: an update may touch more rows than there are.
    """
    ids = ids_per_row * settings.global_batch_size * settings.accumulate
    return ids > 0 and rows > _ROWS_PER_ID * ids


def is_sharded(rows: int, width: int, shard_above: int | None) -> bool:
    """Return whether a table's rows are split over ranks; `shard_above` in bytes, None for none."""
    return shard_above is not None and 4 * rows * width > shard_above


def is_by_row(settings: s.Optimizer, *, sparse: bool) -> bool:
    """Return whether a table is updated by row.

    Args:
        settings: of the optimizer.
        sparse: whether its gradient is a list of rows. What is lazy, or one sum per row, is what
            the recipe says for tables of every size.
    """
    if not has_rule(settings):
        return False
    return sparse or not is_exact(settings) or settings.kind == "rowwise_adagrad"


@dataclass(frozen=True)
class TableCost:
    """What an embedding table takes on every rank.

    Attributes:
        name: of its layer.
        rows, width: its shape.
        table_bytes: float32 numbers of the table, or of the rank's share of it.
        moment_bytes: numbers that the optimizer keeps beside them.
        is_sparse, is_by_row: how it is trained.
        sent_bytes: what a rank sends of its gradient in an update, at most; 0 of a single rank. Of
            a sharded table also ids that are looked up, and rows that others asked for.
        shares: number of ranks that its rows are split over; 1 where each has all of them.
    """

    name: str
    rows: int
    width: int
    table_bytes: int
    moment_bytes: int
    is_sparse: bool
    is_by_row: bool
    sent_bytes: int
    shares: int = 1


def predict_table_costs(recipe: s.Model, spec: TransformSpec, settings: s.Train) -> list[TableCost]:
    """Predict what the tables of a model take; those of a `python` model are not known.

    Args:
        recipe: the section of the model.
        spec: the fitted transform, with the sizes of vocabularies.
        settings: optimizer, ranks, batch and compression count.
    """
    tables = [
        (table.name, table.rows, table.width, table.ids_per_row)
        for table in list_model_tables(recipe, spec)
    ]
    if not isinstance(recipe, s.Python):
        tables += [
            (f"embed.{feature.name}", feature.cardinality, width, feature.shape[0])
            for feature in spec.select_features("tokens")
            for width in [_find_token_width(recipe, feature.cardinality)]
        ]
    # A regularizer of embeddings makes every row count in every step.
    has_dense = isinstance(recipe, s.WideDeep) and bool(recipe.l1 or recipe.l2)
    return [
        predict_cost(
            *table,
            settings,
            recipe.embeddings.shard_above,
            dense=has_dense and table[0].startswith("wide."),
        )
        for table in tables
    ]


def _find_token_width(recipe: s.Model, cardinality: int) -> int:
    if isinstance(recipe, s.Transformer) and recipe.over == "text":
        return recipe.width
    if isinstance(recipe, s.Dlrm):
        return recipe.embedding_width
    return choose_embedding_width(cardinality, recipe.embedding_width)


def predict_cost(
    name: str,
    rows: int,
    width: int,
    ids_per_row: int,
    settings: s.Train,
    shard_above: int | None = None,
    *,
    dense: bool = False,
) -> TableCost:
    """Predict what one table takes.

    Args:
        name: of its layer.
        rows, width: its shape.
        ids_per_row: ids that are looked up for a row of a batch.
        settings: optimizer, ranks, batch, accumulation and compression count.
        shard_above: tables of more bytes are split over ranks; None for none.
        dense: whether something else makes every row count.
    """
    optimizer = settings.optimizer
    sharded = not dense and is_sharded(rows, width, shard_above)
    sparse = sharded or (not dense and is_sparse(rows, ids_per_row, settings))
    by_row = not dense and is_by_row(optimizer, sparse=sparse)
    moments = {"adam": 2, "adamw": 2, "lamb": 2, "adagrad": 1, "rowwise_adagrad": 1}
    per_row = moments.get(optimizer.kind, 1 if optimizer.momentum else 0) * width
    if by_row and optimizer.kind == "rowwise_adagrad":
        per_row = 1
    number_bytes = _NUMBER_BYTES[settings.compression]
    sent = rows * width * number_bytes
    if sparse:
        # An id is sent once for each of a rank's shards, and messages are filled up by an eighth.
        ids = ids_per_row * settings.global_batch_size * settings.accumulate // settings.rank_count
        sent = ids * (_ID_BYTES + width * number_bytes)
        if sharded:
            sent += ids * (_ID_BYTES + width * _NUMBER_BYTES["none"])
        else:
            sent = sent * 9 // 8
    shares = settings.rank_count if sharded else 1
    own_rows = -(-rows // shares)
    return TableCost(
        name=name,
        rows=rows,
        width=width,
        table_bytes=4 * own_rows * width,
        moment_bytes=4 * own_rows * per_row,
        is_sparse=sparse,
        is_by_row=by_row,
        sent_bytes=sent if settings.rank_count > 1 else 0,
        shares=shares,
    )


def describe_cost(cost: TableCost) -> str:
    """Describe in words what a table takes on every rank."""
    moments = f" and {_format_mib(cost.moment_bytes)} of moments" if cost.moment_bytes else ""
    way = "updated by row" if cost.is_by_row else "updated as a whole"
    sent = ""
    if cost.sent_bytes:
        kind = "rows" if cost.is_sparse else "dense gradient"
        kind = f"{kind} and of its gradient" if cost.shares > 1 else kind
        sent = f"; a rank sends at most {_format_mib(cost.sent_bytes)} of its {kind} in an update"
    share = f" on each of {cost.shares} ranks" if cost.shares > 1 else ""
    return (
        f"{cost.name}: {cost.rows:,} rows of {cost.width}, {_format_mib(cost.table_bytes)}{share}"
        f"{moments}, {way}{sent}"
    )


def _format_mib(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"

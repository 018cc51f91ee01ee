"""Say which columns the rows to score must have, of which types, and as what they are written."""

from collections.abc import Collection, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.columns.values import RawKind
from headrace.errors import LakeError
from headrace.schema import Column, ColumnType
from headrace.source.raw_schema import RawSchema
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql.types import DataType

_T = ColumnType
# Types of raw columns that can be taken for a kind of the model, as in `prepare`.
_ACCEPTED_TYPES: dict[RawKind, frozenset[ColumnType]] = {
    "integer": frozenset({_T.INTEGER, _T.BOOLEAN}),
    "real": frozenset({_T.REAL, _T.INTEGER, _T.BOOLEAN}),
    "string": frozenset({_T.STRING}),
    "timestamp": frozenset({_T.TIMESTAMP}),
    "bytes": frozenset({_T.BINARY}),
    "integers": frozenset({_T.INTEGERS}),
    "reals": frozenset({_T.REALS, _T.INTEGERS}),
    "strings": frozenset({_T.STRINGS}),
}
_WRITABLE = frozenset(_T) - {_T.OTHER}
# SQL types of columns that are the same where the tasks read them: they are written as they were
# read, and a boolean would come as a number.
_LATE_AS_READ = ("bigint", "double", "string")


def list_contract(spec: TransformSpec, written: Sequence[str]) -> list[Column]:
    """Return the columns that rows must have: the model's, and those that are written."""
    contract = [Column(c.name, _ACCEPTED_TYPES[c.kind], "the model") for c in spec.raw]
    return contract + [Column(name, _WRITABLE, "score.key, score.columns") for name in written]


def refuse_other_types(schema: RawSchema, spec: TransformSpec, table: str) -> None:
    """Refuse columns of another type than the model's rules were made for.

    Raises:
        LakeError: there is one.
    """
    for column in spec.rule_columns:
        found = schema.types.get(column.name)
        if found is not None and found not in _ACCEPTED_TYPES[column.kind]:
            raise LakeError(
                f"column {column.name!r} of table {table!r} has type {found.value}, and a rule of "
                f"the model was made for {column.kind}; declare it in source.tables.{table}"
                ".columns, or leave the column out"
            )


def check_kinds(schema: RawSchema, spec: TransformSpec, table: str) -> dict[str, RawKind]:
    """Return the model's raw columns and their kinds.

    Raises:
        LakeError: a column has another type; only windows add one after the contract was checked.
    """
    for column in spec.raw:
        if schema.types[column.name] not in _ACCEPTED_TYPES[column.kind]:
            raise LakeError(
                f"column {column.name!r} of table {table!r} has type "
                f"{schema.types[column.name].value}, expected {column.kind}, as the model was "
                f"trained with; declare it in source.tables.{table}.columns, or repair the table"
            )
    return {column.name: column.kind for column in spec.raw}


def find_as_read(schema: RawSchema, written: Collection[str]) -> dict[str, RawKind]:
    """Return the kinds of written columns that are the same where the tasks read them.

    Args:
        schema: of the main table.
        written: columns that are written as they are.
    """
    return {
        name: schema.get_raw_kind(name)
        for name, sql in schema.sql_types.items()
        if name in written and sql in _LATE_AS_READ
    }


def get_arrow_types(schema: RawSchema, written: list[str]) -> dict[str, pa.DataType]:
    """Return the types of the written columns, as Spark hands them to Arrow."""
    import pyspark.sql.types as T
    from pyspark.sql.pandas.types import to_arrow_schema

    fields = [T.StructField(f"c{i}", get_written_type(n, schema)) for i, n in enumerate(written)]
    # From Spark 4.1 on the zone of timestamps is an argument, and without it a timestamp fails.
    zone: dict[str, Any] = (
        {"timezone": "UTC"} if "timezone" in signature(to_arrow_schema).parameters else {}
    )
    kinds = to_arrow_schema(T.StructType(fields), **zone).types
    return dict(zip(written, kinds, strict=True))


def get_written_type(name: str, schema: RawSchema) -> "DataType":
    """Return the type of a column as it is written.

    It is the one that was read; but a time without a zone becomes one in UTC, which every reader of
    Delta supports.
    """
    import pyspark.sql.types as T

    kind = schema.spark_types[name]
    return T.TimestampType() if isinstance(kind, T.TimestampNTZType) else kind

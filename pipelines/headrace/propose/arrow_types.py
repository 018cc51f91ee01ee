"""Arrow's column types in the words of the column contract, as Spark has them."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.schema import ColumnType

PLAIN: dict[ColumnType, pa.DataType] = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.REAL: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.STRING: pa.string(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.INTEGERS: pa.list_(pa.int64()),
    ColumnType.REALS: pa.list_(pa.float64()),
    ColumnType.STRINGS: pa.list_(pa.string()),
}
"""One Arrow type for each type that a feature can be made of."""


def type_of(found: pa.DataType) -> ColumnType:
    """The contract's type; OTHER where no feature can be made of it."""
    kind = pa.types
    if kind.is_dictionary(found):
        return type_of(found.value_type)
    if kind.is_uint64(found):  # a decimal number to Spark
        return ColumnType.REAL
    if kind.is_integer(found) or kind.is_duration(found) or kind.is_null(found):
        return ColumnType.INTEGER
    if kind.is_floating(found) or kind.is_decimal(found):
        return ColumnType.REAL
    if kind.is_boolean(found):
        return ColumnType.BOOLEAN
    if kind.is_string(found) or kind.is_large_string(found):
        return ColumnType.STRING
    if kind.is_timestamp(found) or kind.is_date(found):
        return ColumnType.TIMESTAMP
    if kind.is_binary(found) or kind.is_large_binary(found) or kind.is_fixed_size_binary(found):
        return ColumnType.BINARY
    if kind.is_list(found) or kind.is_large_list(found) or kind.is_fixed_size_list(found):
        elements = {
            ColumnType.INTEGER: ColumnType.INTEGERS,
            ColumnType.REAL: ColumnType.REALS,
            ColumnType.STRING: ColumnType.STRINGS,
        }
        return elements.get(type_of(found.value_type), ColumnType.OTHER)
    return ColumnType.OTHER


def joined_type(types: set[ColumnType]) -> ColumnType | None:
    """The type that holds values of all of these; None where there is none."""
    if len(types) == 1:
        return next(iter(types))
    if types == {ColumnType.INTEGER, ColumnType.REAL}:
        return ColumnType.REAL
    return None


def plain(array: pa.ChunkedArray, wanted: ColumnType) -> pa.ChunkedArray:
    """The column as `PLAIN` has it."""
    target = PLAIN[wanted]
    if pa.types.is_dictionary(array.type):
        array = pa.chunked_array(
            [chunk.dictionary_decode() for chunk in array.chunks], array.type.value_type
        )
    if array.type == target:
        return array
    if pa.types.is_duration(array.type):
        return pc.cast(array, pa.int64())
    if wanted is ColumnType.TIMESTAMP:
        # A time without a zone is one in UTC, as in Spark's session.
        return pc.cast(pc.cast(array, pa.timestamp("us"), safe=False), target)
    return pc.cast(array, target, safe=False)

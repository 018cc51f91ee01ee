"""Map Arrow's types to the column types that Spark reads them as, and cast arrays to them."""

import pyarrow as pa
import pyarrow.compute as pc

from headrace.schema import ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.REAL: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.STRING: pa.string(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.INTEGERS: pa.list_(pa.int64()),
    ColumnType.REALS: pa.list_(pa.float64()),
    ColumnType.STRINGS: pa.list_(pa.string()),
}
"""One Arrow type for each column type that a feature can be made of."""


def get_column_type(arrow_type: pa.DataType) -> ColumnType:
    """Return the column contract's type; OTHER where no feature can be made of it."""
    kind = pa.types
    if kind.is_dictionary(arrow_type):
        return get_column_type(arrow_type.value_type)
    if kind.is_uint64(arrow_type):  # a decimal number to Spark
        return ColumnType.REAL
    if kind.is_integer(arrow_type) or kind.is_duration(arrow_type) or kind.is_null(arrow_type):
        return ColumnType.INTEGER
    if kind.is_floating(arrow_type) or kind.is_decimal(arrow_type):
        return ColumnType.REAL
    if kind.is_boolean(arrow_type):
        return ColumnType.BOOLEAN
    if kind.is_string(arrow_type) or kind.is_large_string(arrow_type):
        return ColumnType.STRING
    if kind.is_timestamp(arrow_type) or kind.is_date(arrow_type):
        return ColumnType.TIMESTAMP
    if (
        kind.is_binary(arrow_type)
        or kind.is_large_binary(arrow_type)
        or kind.is_fixed_size_binary(arrow_type)
    ):
        return ColumnType.BINARY
    if (
        kind.is_list(arrow_type)
        or kind.is_large_list(arrow_type)
        or kind.is_fixed_size_list(arrow_type)
    ):
        list_types = {
            ColumnType.INTEGER: ColumnType.INTEGERS,
            ColumnType.REAL: ColumnType.REALS,
            ColumnType.STRING: ColumnType.STRINGS,
        }
        return list_types.get(get_column_type(arrow_type.value_type), ColumnType.OTHER)
    return ColumnType.OTHER


def cast_array(array: pa.ChunkedArray, column_type: ColumnType) -> pa.ChunkedArray:
    """Return the array cast to the Arrow type that `ARROW_TYPES` has for the column type."""
    target = ARROW_TYPES[column_type]
    if pa.types.is_dictionary(array.type):
        array = pa.chunked_array(
            [chunk.dictionary_decode() for chunk in array.chunks], array.type.value_type
        )
    if array.type == target:
        return array
    if pa.types.is_duration(array.type):
        return pc.cast(array, pa.int64())
    if column_type is ColumnType.TIMESTAMP:
        # A time without a zone is one in UTC, as in Spark's session.
        return pc.cast(pc.cast(array, pa.timestamp("us"), safe=False), target)
    return pc.cast(array, target, safe=False)

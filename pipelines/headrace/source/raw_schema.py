"""Hold the columns of rows on Spark and their types, read from a DataFrame once and passed along.

Spark derives a schema anew for every DataFrame, so a function that makes one also makes its
`RawSchema` and returns both; a step that adds columns says which (`with_columns`). Translating
Spark's types into those of the column contract is left to `types.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.columns.values import RawKind
from headrace.schema import ColumnType
from headrace.source.internal_columns import is_internal
from headrace.source.types import RAW_KINDS, to_column_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(),
    "bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(), "string": pa.string(),
    "binary": pa.binary(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}  # fmt: skip


@dataclass(frozen=True)
class RawSchema:
    """Columns of rows on Spark, in their order.

    Attributes:
        spark_types: column -> Spark's type.
        types: column -> type as the column contract names it.
        sql_types: column -> Spark's type as SQL writes it, for example `array<bigint>`.
    """

    spark_types: Mapping[str, "DataType"]
    types: Mapping[str, ColumnType]
    sql_types: Mapping[str, str]

    @staticmethod
    def from_frame(frame: "DataFrame") -> "RawSchema":
        """Return the schema of a DataFrame; no row is read."""
        return RawSchema.from_spark_types({f.name: f.dataType for f in frame.schema.fields})

    @staticmethod
    def from_spark_types(spark_types: "Mapping[str, DataType]") -> "RawSchema":
        """Return the schema of columns of these types."""
        return RawSchema(
            spark_types=dict(spark_types),
            types={name: to_column_type(kind) for name, kind in spark_types.items()},
            sql_types={name: kind.simpleString() for name, kind in spark_types.items()},
        )

    @property
    def names(self) -> list[str]:
        """Return all columns, those that Headrace added included."""
        return list(self.spark_types)

    @property
    def raw_types(self) -> dict[str, ColumnType]:
        """Return the types of the table's own columns, without those that Headrace added."""
        return {name: kind for name, kind in self.types.items() if not is_internal(name)}

    def get_raw_kind(self, column: str) -> RawKind:
        """Return the kind that the transform uses for a column.

        Raises:
            KeyError: there is no such column, or no kind for its type; the column contract refuses
                such columns before.
        """
        return RAW_KINDS[self.types[column]]

    def get_arrow_type(self, column: str) -> pa.DataType:
        """Return the type that a column of one value has where Spark hands it to Arrow.

        Raises:
            KeyError: it is of another type.
        """
        import pyspark.sql.types as T

        kind = self.spark_types[column]
        if isinstance(kind, T.DecimalType):
            return pa.decimal128(kind.precision, kind.scale)
        return _ARROW_TYPES[self.sql_types[column]]

    def with_columns(self, spark_types: "Mapping[str, DataType]") -> "RawSchema":
        """Return the schema with further columns at the end; a column that it already has keeps its
        position and takes the new type."""
        return RawSchema.from_spark_types({**self.spark_types, **spark_types})

    def without_columns(self, *columns: str) -> "RawSchema":
        """Return the schema without some columns, whether it has them or not."""
        rest = {name: kind for name, kind in self.spark_types.items() if name not in columns}
        return RawSchema.from_spark_types(rest)

"""The columns of rows on Spark, asked once and handed on."""

import pyspark.sql.types as T
import pytest

from headrace.schema import ColumnType
from headrace.source.internal_columns import FILE, name_before_cast
from headrace.source.raw_schema import RawSchema

SCHEMA = RawSchema.from_spark_types(
    {
        "id": T.ShortType(),
        "price": T.DecimalType(10, 2),
        name_before_cast("price"): T.StringType(),
        "tags": T.ArrayType(T.StringType()),
        "pixels": T.ArrayType(T.ArrayType(T.IntegerType())),
        "facts": T.MapType(T.StringType(), T.StringType()),
        FILE: T.LongType(),
    }
)


def test_types_in_the_words_of_the_contract_and_of_sql() -> None:
    assert SCHEMA.names[:2] == ["id", "price"]
    assert SCHEMA.raw_types == {
        "id": ColumnType.INTEGER,
        "price": ColumnType.REAL,
        "tags": ColumnType.STRINGS,
        "pixels": ColumnType.INTEGERS,
        "facts": ColumnType.OTHER,
    }
    assert SCHEMA.types[FILE] is ColumnType.INTEGER
    assert SCHEMA.sql_types["price"] == "decimal(10,2)"
    assert SCHEMA.sql_types["pixels"] == "array<array<int>>"


def test_kinds_are_those_of_the_transform() -> None:
    kinds = [SCHEMA.get_raw_kind(name) for name in ("id", "price", "tags")]
    assert kinds == ["integer", "real", "strings"]
    with pytest.raises(KeyError):
        SCHEMA.get_raw_kind("facts")


def test_columns_are_added_replaced_and_removed() -> None:
    more = SCHEMA.with_columns({"new": T.BooleanType(), "id": T.LongType()})
    assert more.names == [*SCHEMA.names, "new"]  # a column that is there keeps its place
    assert more.sql_types["id"] == "bigint"
    assert SCHEMA.sql_types["id"] == "smallint"
    less = more.without_columns("price", "no such column")
    assert "price" not in less.types
    assert len(less.names) == len(more.names) - 1


@pytest.mark.spark
def test_a_frame_has_the_schema_that_spark_says(spark: object) -> None:
    frame = spark.sql("SELECT 1 AS a, 'x' AS `b.c`, array(1.5) AS d, date'2020-01-01' AS e")
    schema = RawSchema.from_frame(frame)
    assert schema.sql_types == {
        "a": "int", "b.c": "string", "d": "array<decimal(2,1)>", "e": "date"
    }  # fmt: skip
    assert [kind.value for kind in schema.types.values()] == [
        "integer", "string", "list[real]", "timestamp"
    ]  # fmt: skip

"""Follow the rows of joined tables: which keys have other rows than before.

Rows of the main table carry a hash of each join's key (`add_join_key`), which is kept by source
partition; of a joined table a digest of every row is kept. Where the table changes, its two lists
of digests differ in some keys, and only partitions with rows of these keys have to be looked up
again.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.source.contract import list_needed_columns
from headrace.source.internal_columns import col, name_join_key, with_safe_names
from headrace.source.joined_table import load_joined_table
from headrace.source.keys import DIGEST_BYTES, encode_value, has_whole_key
from headrace.source.listing import Listing
from headrace.source.needed_columns import NeededColumns
from headrace.source.raw_schema import RawSchema
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import open_table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MAX_LOOKUP_ROWS = 20_000_000
"""Rows of a joined table beyond which it is not followed: the driver needs some 130 bytes of each
to compare it (measured: 243 MiB and 2.8 s for 2 million rows)."""
DIGESTS = pa.schema([("key", pa.int64()), ("row", pa.binary(DIGEST_BYTES))])
"""Columns of a joined table's digests: hash of a row's key, digest of the whole row."""
_RESULT_DDL = "digests binary"


@dataclass(frozen=True)
class Lookup:
    """A joined table as it was read for a join, and followed.

    Attributes:
        name: of the join, see `name_lookup`.
        rows: its key and the columns that the join adds; a plan of Spark, cached.
        schema: of `rows`.
        key: columns of the key.
        key_types: what the key's values are, in words; hashes of others cannot be compared.
    """

    name: str
    rows: "DataFrame"
    schema: RawSchema
    key: tuple[str, ...]
    key_types: tuple[str, ...]

    def digest_rows(self) -> pa.Table:
        """Return the digests of the rows, as DIGESTS; rows without a whole key match nothing and
        are left out."""
        import pyspark.sql.functions as F

        encoded = (
            F.coalesce(encode_value(col(name), kind), F.lit("~"))
            for name, kind in self.schema.spark_types.items()
        )
        digest = F.unhex(F.substring(F.sha2(F.concat(*encoded), 256), 1, 2 * DIGEST_BYTES))
        rows = self.rows.where(has_whole_key(self.key)).select(
            _hash_key(self.key, self.schema).alias("key"), digest.alias("row")
        )
        packed = with_safe_names(rows).mapInArrow(_pack_digests, _RESULT_DDL).collect()
        tables = [pq.read_table(io.BytesIO(bytes(row["digests"]))) for row in packed]
        return pa.concat_tables(tables) if tables else DIGESTS.empty_table()


def _pack_digests(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pack a task's digests, whose columns come without their names."""
    found = [
        pa.Table.from_arrays(
            [batch.column(0), batch.column(1).cast(pa.binary(DIGEST_BYTES))], schema=DIGESTS
        )
        for batch in batches
    ]
    if found:
        packed = pack_digests(pa.concat_tables(found))
        yield pa.RecordBatch.from_arrays([pa.array([packed], pa.binary())], ["digests"])


def pack_digests(digests: pa.Table) -> bytes:
    """Return digests as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(digests, sink, use_dictionary=False, write_page_checksum=True)
    return sink.getvalue()


def name_lookup(recipe: Recipe, position: int) -> str:
    """Return the name of a join under which its table is followed."""
    return f"{position}:{recipe.source.joins[position].table}"


def make_lookup(name: str, rows: "DataFrame", join: s.Join) -> Lookup:
    """Make the lookup of a join from its table's rows: the key, and the columns that are added."""
    schema = RawSchema.from_frame(rows)
    return Lookup(name, rows, schema, tuple(join.key), describe_key(join.key, schema))


def read_lookup(
    spark: "SparkSession", recipe: Recipe, position: int, listing: Listing | None
) -> Lookup | None:
    """Read the joined table of a join by itself.

    Args:
        position: of the join in the recipe.
        listing: the table's files; None where only Spark knows them.

    Returns:
        None where it has too many rows to be followed.

    Raises:
        LakeError: it is missing or unreadable, or has two rows for a key.
    """
    join = recipe.source.joins[position]
    needed = list_needed_columns(recipe, None).get(join.table, NeededColumns({}))
    table = open_table(spark, join.table, recipe.source.tables[join.table], needed, listing)
    with explain_spark_errors(f"source.joins.{position}, table {join.table!r} ({table.where})"):
        joined = load_joined_table(table, join)
        joined.cached.unpersist()  # it is read once more, where rows are processed
    name = name_lookup(recipe, position)
    return make_lookup(name, joined.rows, join) if joined.count <= MAX_LOOKUP_ROWS else None


def add_join_key(
    rows: "DataFrame", schema: RawSchema, join: s.Join, position: int
) -> "tuple[DataFrame, tuple[str, ...]]":
    """Add a hash of a join's key to the rows of the main table; null where they have no whole key.

    Returns:
        the rows with the column; and what the key's values are, in words.
    """
    import pyspark.sql.functions as F

    hashed = F.when(has_whole_key(join.key), _hash_key(join.key, schema))
    return rows.withColumn(name_join_key(position), hashed), describe_key(join.key, schema)


def describe_key(key: Iterable[str], schema: RawSchema) -> tuple[str, ...]:
    """Describe what a key's values are; two columns of the same description are hashed alike."""
    words = {ColumnType.INTEGER: "integer", ColumnType.REAL: "real", ColumnType.STRING: "string"}
    return tuple(
        words.get(schema.types[name], schema.sql_types[name])
        if not schema.sql_types[name].startswith("decimal")
        else schema.sql_types[name]
        for name in key
    )


def _hash_key(key: Iterable[str], schema: RawSchema) -> "Column":
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    columns = []
    for name in key:
        kind = schema.spark_types[name]
        if isinstance(kind, T.FloatType | T.DoubleType):
            columns.append(col(name).cast("double") + F.lit(0.0))  # -0.0 is 0.0
        elif schema.types[name] == ColumnType.INTEGER:
            columns.append(col(name).cast("long"))
        else:
            columns.append(col(name))
    return F.xxhash64(*columns)


def find_changed_keys(before: pa.Table, now: pa.Table) -> np.ndarray:
    """Find the keys whose rows are not the same in two lists of digests.

    Args:
        before, now: as DIGESTS.

    Returns:
        int64 hashes of keys, rising.
    """
    digests = pa.concat_tables([before, now]).combine_chunks()
    halves = _list_halves(digests["row"])
    is_now = np.arange(len(halves)) >= before.num_rows
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    halves, is_now = halves[order], is_now[order]
    # A row that is in both lists has the same digest next to its own.
    same = (halves[1:] == halves[:-1]).all(axis=1) & (is_now[1:] != is_now[:-1])
    is_shared = np.zeros(len(halves), bool)
    is_shared[1:] |= same
    is_shared[:-1] |= same
    return np.unique(digests["key"].to_numpy()[order[~is_shared]])


def _list_halves(digests: pa.ChunkedArray) -> np.ndarray:
    """Return digests as uint64 of shape (rows, 2), without a copy where they are one chunk."""
    array = digests.combine_chunks()
    buffer = array.buffers()[1]
    if buffer is None:
        return np.zeros((0, 2), np.uint64)
    halves = np.frombuffer(buffer, "<u8").reshape(-1, 2)
    return halves[array.offset : array.offset + len(array)]


def shorten_keys(keys: np.ndarray) -> np.ndarray:
    """Return the upper halves of int64 hashes of keys, as int32: 4 bytes of each are kept."""
    return (keys >> np.int64(32)).astype(np.int32)

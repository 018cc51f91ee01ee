"""Handle text columns as texts or as dictionaries, whichever is shorter.

Parquet files hold most texts as dictionaries. Left as they are, rows are moved as numbers, and
texts are counted and looked up once for each distinct value. A dictionary that goes with few rows
is larger than their texts, so columns are decoded before rows are partitioned. A column may arrive
either way where rows are put together.
"""

import pyarrow as pa
import pyarrow.compute as pc


def concat_to_one_chunk(tables: list[pa.Table]) -> pa.Table:
    """Concatenate tables of the same columns, with one chunk for each column."""
    return concat_tables(tables).combine_chunks()


def concat_tables(tables: list[pa.Table]) -> pa.Table:
    """Concatenate tables of the same columns without a copy, in the chunks that they have."""
    return pa.concat_tables(unify_dictionaries(tables))


def unify_dictionaries(tables: list[pa.Table]) -> list[pa.Table]:
    """Decode every column that is not a dictionary in all of the tables."""
    schemas = [table.schema for table in tables]
    if all(schema.equals(schemas[0]) for schema in schemas[1:]):
        return tables
    names = schemas[0].names
    mixed = [n for n in names if len({str(schema.field(n).type) for schema in schemas}) > 1]
    return [
        _replace_columns(table, {n: decode_column(table[n]) for n in mixed}) for table in tables
    ]


def decode_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the texts of a column that may be a dictionary; other columns as they are."""
    if not pa.types.is_dictionary(column.type):
        return column
    chunks = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.value_type)


def encode_texts(table: pa.Table) -> pa.Table:
    """Encode all text columns as dictionaries, one chunk each: from here on texts are counted and
    looked up once for each distinct value."""
    columns = []
    for column in table.columns:
        array = combine_chunks(column)
        columns.append(array.dictionary_encode() if array.type == pa.string() else array)
    return pa.Table.from_arrays(columns, names=table.column_names)


def take_rows(tables: list[pa.Table], rows: pa.Array, partitions: int) -> pa.Table:
    """Take rows that are about to be partitioned, one chunk for each column.

    A dictionary stays one if it is less than half as long as a partition's share of the rows.

    Args:
        tables: of the same columns.
        rows: int64 positions in all of them together.
        partitions: how many the rows go to.
    """
    names = tables[0].column_names
    longest = len(rows) // (2 * partitions)
    columns = [
        _take_column([c for t in tables for c in t[name].chunks], rows, longest) for name in names
    ]
    return pa.Table.from_arrays(columns, names=names)


def _take_column(chunks: list[pa.Array], rows: pa.Array, longest: int) -> pa.Array:
    if not pa.types.is_dictionary(chunks[0].type):
        return pa.concat_arrays(chunks).take(rows)
    if max(len(chunk.dictionary) for chunk in chunks) <= longest:
        return pa.concat_arrays(chunks).take(rows)  # makes one dictionary
    dictionaries: list[pa.Array] = []
    indices, begin, end = [], 0, 0
    for chunk in chunks:
        if not (dictionaries and _is_same_memory(dictionaries[-1], chunk.dictionary)):
            dictionaries.append(chunk.dictionary)
            begin, end = end, end + len(chunk.dictionary)
        indices.append(pc.add(chunk.indices, pa.scalar(begin, pa.int32())))
    if end > sum(map(len, chunks)):
        # Each file's dictionary has far more texts than there are rows of it.
        texts = [chunk.dictionary.take(chunk.indices) for chunk in chunks]
        return pa.concat_arrays(texts).take(rows)
    # One behind the other: to look for texts that are in several takes longer than to write them.
    return pa.concat_arrays(dictionaries).take(pa.concat_arrays(indices).take(rows))


def _is_same_memory(one: pa.Array, other: pa.Array) -> bool:
    """Return whether two arrays are the same one; those that only look alike cost a comparison."""
    places = [
        (len(array), array.offset, [buffer and buffer.address for buffer in array.buffers()])
        for array in (one, other)
    ]
    return places[0] == places[1]


def estimate_decoded_bytes(table: pa.Table) -> int:
    """Estimate the bytes of a table as if it had no dictionaries, which are shared by tables."""
    size = 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                mean = chunk.dictionary.nbytes / max(len(chunk.dictionary), 1)
                size += int(len(chunk) * mean)  # offsets included
        else:
            size += column.nbytes
    return size


def _replace_columns(table: pa.Table, columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    return pa.Table.from_arrays(
        [columns.get(name, table[name]) for name in table.column_names], names=table.column_names
    )


def combine_chunks(column: "pa.ChunkedArray | pa.Array") -> pa.Array:
    """Return a column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

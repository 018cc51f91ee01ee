"""Text columns, as texts or as dictionaries: a dictionary where it is shorter than the texts.

Parquet files hold most texts as dictionaries. Left as they are, rows are moved as numbers, and
texts are counted and looked up once a distinct value. A dictionary that goes with few rows is
larger than their texts, so columns are decoded before rows are dealt to many places. Either way of
a column may arrive where rows are put together.
"""

import pyarrow as pa
import pyarrow.compute as pc


def joined(tables: list[pa.Table]) -> pa.Table:
    """All rows, one chunk a column."""
    return stacked(tables).combine_chunks()


def stacked(tables: list[pa.Table]) -> pa.Table:
    """All rows, in the chunks that there are."""
    return pa.concat_tables(alike(tables))


def alike(tables: list[pa.Table]) -> list[pa.Table]:
    """The tables; a column that is not a dictionary everywhere is none."""
    schemas = [table.schema for table in tables]
    if all(schema.equals(schemas[0]) for schema in schemas[1:]):
        return tables
    names = schemas[0].names
    mixed = [n for n in names if len({str(schema.field(n).type) for schema in schemas}) > 1]
    return [_with(table, {n: decoded(table[n]) for n in mixed}) for table in tables]


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(column.type):
        return column
    chunks = [chunk.dictionary.take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.value_type)


def encoded(table: pa.Table) -> pa.Table:
    """Texts as dictionaries: they are counted and looked up once a distinct value from here on."""
    columns = []
    for column in table.columns:
        array = _one_chunk(column)
        columns.append(array.dictionary_encode() if array.type == pa.string() else array)
    return pa.Table.from_arrays(columns, names=table.column_names)


def taken(tables: list[pa.Table], rows: pa.Array, places: int) -> pa.Table:
    """Rows that are about to be dealt to so many places, one chunk a column.

    A dictionary stays one if it is less than half as long as a place's share of the rows.

    Args:
        tables: of the same columns.
        rows: int64 positions in all of them together.
        places: among which the taken rows are dealt.
    """
    names = tables[0].column_names
    longest = len(rows) // (2 * places)
    columns = [_taken([c for t in tables for c in t[name].chunks], rows, longest) for name in names]
    return pa.Table.from_arrays(columns, names=names)


def _taken(chunks: list[pa.Array], rows: pa.Array, longest: int) -> pa.Array:
    if not pa.types.is_dictionary(chunks[0].type):
        return pa.concat_arrays(chunks).take(rows)
    if max(len(chunk.dictionary) for chunk in chunks) <= longest:
        return pa.concat_arrays(chunks).take(rows)  # makes one dictionary
    # One behind the other: to look for texts that are in several takes longer than to write them.
    dictionaries: list[pa.Array] = []
    indices, begin, end = [], 0, 0
    for chunk in chunks:
        if not (dictionaries and dictionaries[-1].equals(chunk.dictionary)):
            dictionaries.append(chunk.dictionary)
            begin, end = end, end + len(chunk.dictionary)
        indices.append(pc.add(chunk.indices, pa.scalar(begin, pa.int32())))
    return pa.concat_arrays(dictionaries).take(pa.concat_arrays(indices).take(rows))


def bytes_decoded(table: pa.Table) -> int:
    """About what the table would hold if it had no dictionaries: those are shared by tables."""
    size = 0
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                mean = chunk.dictionary.nbytes / max(len(chunk.dictionary), 1)
                size += int(len(chunk) * mean)  # offsets included
        else:
            size += column.nbytes
    return size


def _with(table: pa.Table, columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    return pa.Table.from_arrays(
        [columns.get(name, table[name]) for name in table.column_names], names=table.column_names
    )


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

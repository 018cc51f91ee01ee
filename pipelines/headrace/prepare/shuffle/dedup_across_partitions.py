"""Rows that are not read again, and still compete: a dedup key may span source partitions.

A build that processes some source partitions has to know which keys the others hold. What is
published says it: a row's `row_id` is the hash of its key. Where a row that is read has the key of
a published row elsewhere, a contact, that partition is processed as well, so that both meet. Rows
that lost against a row of another partition are written down (crossings), so that their partition
is processed when the winner goes, and so that they are not taken for new when it does not.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.lake.build import sidecar_folder
from headrace.lake.storage import open_files
from headrace.prepare.shuffle.arrow_blobs import BEATEN, BLOB_DDL, RIVALS, Blobs
from headrace.prepare.shuffle.partitioner import Layout
from headrace.prepare.shuffle.task_counts import Counts
from headrace.recipe import Recipe
from headrace.source.internal_columns import PARTITION, ROW_ID, TWIN
from headrace.source.listing import same_files
from headrace.source.partition_index import Places

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.lake.version import DatasetVersion
    from headrace.prepare.plan import Plan

FOLDER = "duplicates"
_CROSSINGS = pa.schema(
    [
        (ROW_ID, pa.int64()),
        (TWIN, pa.int64()),
        ("loser", pa.string()),
        ("winner", pa.string()),
    ]
)
_RIVALS = pa.schema([(ROW_ID, pa.int64()), ("partition", pa.dictionary(pa.int32(), pa.string()))])
_ROWS_A_BLOB = 1 << 20


def spans_partitions(recipe: Recipe, partitions: Iterable[str]) -> bool:
    """Whether two source partitions can have rows of one dedup key.

    They cannot where the key has all of the columns that folders are named after.
    """
    dedup = recipe.clean.dedup
    if dedup is None:
        return False
    names = list(partitions)
    if len(names) < 2 and names != []:
        return False
    folders = {part.partition("=")[0] for name in names for part in name.split("/")}
    # Spark may read `day=1` and `day=01` as one value.
    return not folders <= {*dedup.key} or len({*map(_as_values, names)}) < len(names)


def _as_values(name: str) -> tuple[str, ...]:
    """A source partition's folders with numbers as numbers."""
    values = []
    for part in name.split("/"):
        column, _, text = part.partition("=")
        try:
            values.append(f"{column}={float(text)}")
        except ValueError:
            values.append(f"{column}={text.casefold()}")
    return tuple(values)


@dataclass(frozen=True)
class Known:
    """What is known of rows that are not read, at one target.

    Attributes:
        rivals: ROW_ID and partition of published rows of partitions that are kept.
        beaten: rows, read again, that lost against a row of such a partition before.
    """

    rivals: pa.Table
    beaten: pa.Table

    @staticmethod
    def of(rivals: list[pa.Table], beaten: list[pa.Table]) -> "Known":
        return Known(
            pa.concat_tables(rivals).unify_dictionaries() if rivals else _RIVALS.empty_table(),
            pa.concat_tables(beaten) if beaten else _CROSSINGS.empty_table(),
        )

    def settled(
        self,
        table: pa.Table,
        kept: np.ndarray,
        losses: np.ndarray,
        places: Places,
        counts: Counts,
    ) -> tuple[np.ndarray, pa.Table]:
        """The rows that stay, and the crossings to write down.

        Args:
            table: all rows of the target.
            kept, losses: as `distinct_rows` returns them.
            places: of the rows.
            counts: takes the crossings and contacts.
        """
        if TWIN not in table.column_names:
            return kept, _CROSSINGS.empty_table()
        names = np.array(places.names, object)
        partition = table[PARTITION].to_numpy()
        identity = table[ROW_ID].to_numpy()
        twin = pc.fill_null(table[TWIN], 0).to_numpy()
        keyed = table[TWIN].is_valid().to_numpy()
        across = losses[partition[losses[:, 0]] != partition[losses[:, 1]]]
        found = [
            _crossings(
                identity[across[:, 0]],
                twin[across[:, 0]],
                names[partition[across[:, 0]]],
                names[partition[across[:, 1]]],
            )
        ]
        if self.beaten.num_rows:
            mine = self.beaten.filter(pc.is_in(self.beaten[ROW_ID], value_set=table[ROW_ID]))
            before = {
                (row[ROW_ID], row[TWIN], row["loser"]): row["winner"] for row in mine.to_pylist()
            }
            again = [
                (position, before[key])
                for position in kept[keyed[kept]].tolist()
                if (key := (identity[position], twin[position], names[partition[position]]))
                in before
            ]
            gone = np.array([position for position, _ in again], np.int64)
            kept = np.setdiff1d(kept, gone, assume_unique=True)
            winners = np.array([winner for _, winner in again], object)
            found.append(_crossings(identity[gone], twin[gone], names[partition[gone]], winners))
        if self.rivals.num_rows:
            mine = pa.array(identity[kept[keyed[kept]]])
            met = self.rivals.filter(pc.is_in(self.rivals[ROW_ID], value_set=mine))
            for pair in met["partition"].value_counts().to_pylist():
                counts.contacts[pair["values"]] += pair["counts"]
        crossings = pa.concat_tables(found)
        for row in (
            crossings.group_by(["loser", "winner"]).aggregate([([], "count_all")]).to_pylist()
        ):
            counts.crossings[row["loser"], row["winner"]] += row["count_all"]
        return kept, crossings


def write_crossings(crossings: pa.Table, folder: str, target: int) -> None:
    """Keep them beside the build's other files."""
    files, path = open_files(folder)
    files.makedirs(path, exist_ok=True)
    with files.open(f"{path}/{target:08d}.parquet", "wb") as stream:
        pq.write_table(crossings, stream)


def duplicates_folder(root: str, build_id: str) -> str:
    return f"{sidecar_folder(root, build_id)}/{FOLDER}"


def kept_rows(base: "DatasetVersion", plan: "Plan") -> int:
    """Published rows of partitions that are kept."""
    return sum(file.rows for file in base.build.files if file.partition in plan.kept)


def rivals_of(
    spark: "SparkSession", base: "DatasetVersion", plan: "Plan", layout: Layout
) -> "DataFrame | None":
    """Blobs of published rows that are kept, and of rows that they beat, dealt to the targets.

    Args:
        base: the version that has them.
        plan: which source partitions are kept.
        layout: of the rows that are read.
    """
    kept = plan.kept
    work: list[tuple[str, str, str]] = [
        (RIVALS, f"{base.root}/{file.path}", file.partition)
        for file in base.build.files
        if file.partition in kept
    ]
    losers = {c.loser for c in base.build.crossings if c.winner in kept}
    # Rows of a partition that changed are other rows, whatever their keys: they meet the winners.
    again = [
        p
        for p in base.build.partitions
        if p.name in losers & plan.process and same_files(plan.partitions[p.name], p.files)
    ]
    for build_id in sorted({p.build_id for p in again}):
        names = [p.name for p in again if p.build_id == build_id]
        folder = duplicates_folder(base.root, build_id)
        files, path = open_files(folder)
        if files.exists(path):
            work += [
                (BEATEN, files.unstrip_protocol(file), name)
                for file in files.ls(path, detail=False)
                if file.endswith(".parquet")
                for name in names
            ]
    if not work:
        return None
    frame = spark.createDataFrame(work, "kind string, path string, name string")
    cores = spark.sparkContext.defaultParallelism
    frame = frame.repartition(min(len(work), cores))
    return frame.mapInArrow(_reading(layout, kept), BLOB_DDL)


def _reading(layout: Layout, kept: frozenset[str]) -> Callable[..., Iterator[pa.RecordBatch]]:
    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: dict[str, list[pa.Table]] = {RIVALS: [], BEATEN: []}
        for batch in batches:
            for work in batch.to_pylist():
                kind = work["kind"]
                held[kind].append(_read(work, kept))
                if sum(table.num_rows for table in held[kind]) >= _ROWS_A_BLOB:
                    yield from _dealt(kind, held.pop(kind), layout)
                    held[kind] = []
        for kind, tables in held.items():
            yield from _dealt(kind, tables, layout)

    return read


def _read(work: dict[str, str], kept: frozenset[str]) -> pa.Table:
    columns = ["row_id"] if work["kind"] == RIVALS else None
    files, path = open_files(work["path"])
    with files.open(path, "rb") as stream:
        table = pq.read_table(stream, columns=columns)
    if work["kind"] == RIVALS:
        code = np.zeros(table.num_rows, np.int32)
        name = pa.DictionaryArray.from_arrays(code, [work["name"]])
        return pa.Table.from_arrays([table["row_id"], name], schema=_RIVALS)
    mine = pc.equal(table["loser"], work["name"])
    still = pc.is_in(table["winner"], value_set=pa.array(sorted(kept)))
    return table.filter(pc.and_(mine, still))


def _dealt(kind: str, tables: list[pa.Table], layout: Layout) -> Iterator[pa.RecordBatch]:
    """The rows as a blob a target: of many files together, or blobs would be many and small."""
    if not sum(table.num_rows for table in tables):
        return
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    target = layout.target_of(table[ROW_ID].to_numpy())
    order = np.argsort(target, kind="stable")
    table, target = table.take(pa.array(order)), target[order]
    turns = np.flatnonzero(np.diff(target)) + 1
    for begin, end in zip([0, *turns.tolist()], [*turns.tolist(), len(target)], strict=True):
        blobs = Blobs()
        blobs.add_table(kind, "", int(target[begin]), table.slice(begin, end - begin), "lz4")
        yield blobs.batch()


def _crossings(identity: Any, twin: Any, loser: Any, winner: Any) -> pa.Table:
    arrays = [pa.array(identity, pa.int64()), pa.array(twin, pa.int64())]
    arrays += [pa.array(list(names), pa.string()) for names in (loser, winner)]
    return pa.Table.from_arrays(arrays, schema=_CROSSINGS)

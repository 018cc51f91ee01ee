"""Deduplicate across source partitions, of which a build reads some: a dedup key may span them.

A build has to know the keys of the partitions that it does not read. Published rows have them: a
row's `row_id` is the hash of its key. Where a row that is read shares the key of a published row
elsewhere, that partition is processed as well, so that both meet. Rows that lost against a row of
another partition are recorded (cross duplicates), so that their partition is processed when the
winner goes, and so that they are not taken for new when it stays.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.lake.damage import read_parquet
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import make_private_folder, open_filesystem, open_private
from headrace.prepare.shuffle.arrow_blobs import BLOB_DDL, LOST_KEYS, PUBLISHED_KEYS
from headrace.prepare.shuffle.buckets import divide_rows
from headrace.prepare.shuffle.partitioner import Partitioner
from headrace.prepare.shuffle.run_row_ids import describe_runs, read_run_row_ids
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.recipe import Recipe
from headrace.source.dictionaries import concat_tables
from headrace.source.internal_columns import KEY_DIGEST, PARTITION, ROW_ID
from headrace.source.listing import has_same_files
from headrace.source.partition_index import PartitionIndex
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.lake.version import DatasetVersion
    from headrace.prepare.plan import Plan

_FOLDER = "duplicates"
_CROSS_DUPLICATES = pa.schema(
    [
        (ROW_ID, pa.int64()),
        (KEY_DIGEST, pa.binary()),
        ("loser", pa.string()),
        ("winner", pa.string()),
    ]
)
_PUBLISHED_KEYS = pa.schema(
    [(ROW_ID, pa.int64()), ("partition", pa.dictionary(pa.int32(), pa.string()))]
)
_ROWS_PER_BLOB = 1 << 20


def can_span_partitions(recipe: Recipe, partitions: Iterable[str]) -> bool:
    """Return whether two source partitions can have rows of one dedup key.

    They cannot where the key has all of the columns that folders are named after.
    """
    names = list(partitions)
    if recipe.clean.dedup is None or len(names) < 2:
        return False
    # Spark may read `day=1` and `day=01` as one value.
    return bool(find_columns_beside_key(recipe, names)) or len({*map(_parse_values, names)}) < len(
        names
    )


def find_columns_beside_key(recipe: Recipe, partitions: Iterable[str]) -> list[str]:
    """Find the columns that folders are named after and the dedup key does not have, sorted; none
    where there is no such key, or no source partitions."""
    dedup = recipe.clean.dedup
    folders = {part.partition("=")[0] for name in partitions if name for part in name.split("/")}
    return sorted(folders - {*dedup.key}) if dedup else []


def _parse_values(name: str) -> tuple[str, ...]:
    """Return the values of a source partition's folders, with numbers as numbers."""
    values = []
    for part in name.split("/"):
        column, _, text = part.partition("=")
        try:
            values.append(f"{column}={float(text)}")
        except ValueError:
            values.append(f"{column}={text.casefold()}")
    return tuple(values)


@dataclass(frozen=True)
class UnreadKeys:
    """The keys at one target of published rows that are not read, and of rows that lost to them.

    Attributes:
        published: ROW_ID and partition of the published rows of retained partitions.
        lost: keys of rows, read again, that lost against a row of such a partition before.
    """

    published: pa.Table
    lost: pa.Table

    @staticmethod
    def from_tables(published: list[pa.Table], lost: list[pa.Table]) -> "UnreadKeys":
        """Return the keys of all tables, of which there may be none."""
        return UnreadKeys(
            concat_tables(published).unify_dictionaries()
            if published
            else _PUBLISHED_KEYS.empty_table(),
            pa.concat_tables(lost) if lost else _CROSS_DUPLICATES.empty_table(),
        )

    def settle_duplicates(
        self,
        table: pa.Table,
        distinct: np.ndarray,
        losses: np.ndarray,
        index: PartitionIndex,
        counts: TaskCounts,
    ) -> tuple[np.ndarray, pa.Table]:
        """Settle which rows stay, and which lost against rows of other partitions.

        Args:
            table: all rows of the target.
            distinct, losses: as `find_distinct_rows` returns them.
            index: source partitions of the rows.
            counts: takes the cross duplicates and shared keys.

        Returns:
            positions of the rows that stay, rising; and the cross duplicates to record.
        """
        if KEY_DIGEST not in table.column_names:
            return distinct, _CROSS_DUPLICATES.empty_table()
        names = np.array(index.names, object)
        partition = table[PARTITION].to_numpy()
        identity = table[ROW_ID].to_numpy()
        has_key = table[KEY_DIGEST].is_valid().to_numpy()
        across = losses[partition[losses[:, 0]] != partition[losses[:, 1]]]
        recorded = [
            _build_cross_duplicates(
                table, across[:, 0], names[partition[across[:, 0]]], names[partition[across[:, 1]]]
            )
        ]
        if self.lost.num_rows:
            winner_of = {
                (row[ROW_ID], row[KEY_DIGEST], row["loser"]): row["winner"]
                for row in self.lost.to_pylist()
            }
            proposed = distinct[has_key[distinct]]
            proposed = proposed[np.isin(identity[proposed], self.lost[ROW_ID].to_numpy())]
            digests = table[KEY_DIGEST].take(pa.array(proposed, pa.int64())).to_pylist()
            lost_again = [
                (position, winner_of[key])
                for position, digest in zip(proposed.tolist(), digests, strict=True)
                if (key := (identity[position], digest, names[partition[position]])) in winner_of
            ]
            losers = np.array([position for position, _ in lost_again], np.int64)
            distinct = np.setdiff1d(distinct, losers, assume_unique=True)
            winners = np.array([winner for _, winner in lost_again], object)
            recorded.append(
                _build_cross_duplicates(table, losers, names[partition[losers]], winners)
            )
        if self.published.num_rows:
            keys = pa.array(identity[distinct[has_key[distinct]]])
            shared = self.published.filter(pc.is_in(self.published[ROW_ID], value_set=keys))
            for pair in shared["partition"].value_counts().to_pylist():
                counts.shared_keys[pair["values"]] += pair["counts"]
        cross_duplicates = pa.concat_tables(recorded)
        pairs = cross_duplicates.group_by(["loser", "winner"]).aggregate([([], "count_all")])
        for row in pairs.to_pylist():
            counts.cross_duplicates[row["loser"], row["winner"]] += row["count_all"]
        return distinct, cross_duplicates


def write_cross_duplicates(cross_duplicates: pa.Table, folder: str, target: int) -> None:
    """Write the cross duplicates of a target to the build's folder of duplicates."""
    files, path = open_filesystem(folder)
    make_private_folder(files, path)
    with open_private(files, f"{path}/{target:08d}.parquet") as stream:
        pq.write_table(cross_duplicates, stream, write_page_checksum=True)


def locate_duplicates(root: str, build_id: str) -> str:
    """Return the folder of a build's cross duplicates."""
    return f"{locate_sidecar(root, build_id)}/{_FOLDER}"


def count_rows(base: "DatasetVersion", partitions: Collection[str]) -> int:
    """Count the published rows of some source partitions."""
    return sum(file.count_rows(partitions) for file in base.build.files)


def read_unread_keys(
    spark: "SparkSession",
    base: "DatasetVersion",
    plan: "Plan",
    partitioner: Partitioner,
    compared: frozenset[str],
) -> "DataFrame | None":
    """Read the keys of published rows that are retained, and of rows that lost against them.

    Args:
        spark: the session.
        base: the version that has them.
        plan: which source partitions are retained.
        partitioner: of the rows that are read.
        compared: retained partitions whose published rows are read; the keys of others are looked
            up, see `probe_keys.py`.

    Returns:
        blobs for the buckets, not yet computed; None where there are no such rows.
    """
    work, losers = list_unread_files(base, plan, compared)
    if not work:
        return None
    frame = spark.createDataFrame(work, "kind string, path string, name string")
    cores = find_engine(spark).get_parallelism()
    frame = frame.repartition(min(len(work), cores))
    return frame.mapInArrow(_build_reader(partitioner, plan.retained, losers), BLOB_DDL)


def list_unread_files(
    base: "DatasetVersion", plan: "Plan", compared: frozenset[str]
) -> tuple[list[tuple[str, str, str]], dict[str, list[str]]]:
    """List the files that have keys of rows that are not read again, each of them once.

    Args:
        base, plan, compared: see `read_unread_keys`.

    Returns:
        kind, path and name of each file: of a data file what `describe_runs` returns, of recorded
        losses their build; and the partitions of each build whose losses are wanted.
    """
    retained = plan.retained
    work: list[tuple[str, str, str]] = [
        (PUBLISHED_KEYS, f"{base.root}/{file.path}", describe_runs(file, compared))
        for file in base.build.files
        if file.count_rows(compared)
    ]
    losers = {pair.loser for pair in base.build.crossings if pair.winner in retained}
    # Rows of a partition that changed are other rows, whatever their keys: they meet the winners.
    unchanged = [
        p
        for p in base.build.partitions
        if p.name in losers & plan.processed and has_same_files(plan.partitions[p.name], p.files)
    ]
    losers_of: dict[str, list[str]] = {}
    for partition in unchanged:
        losers_of.setdefault(partition.build_id, []).append(partition.name)
    for build_id in sorted(losers_of):
        folder = locate_duplicates(base.root, build_id)
        files, path = open_filesystem(folder)
        if files.exists(path):
            work += [
                (LOST_KEYS, files.unstrip_protocol(file), build_id)
                for file in files.ls(path, detail=False)
                if file.endswith(".parquet")
            ]
    return work, losers_of


def _build_reader(
    partitioner: Partitioner, retained: frozenset[str], losers: Mapping[str, Sequence[str]]
) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that reads files and partitions their keys.

    Args:
        partitioner: of the keys.
        retained: source partitions whose rows are not read.
        losers: build -> partitions whose rows that lost are wanted.
    """

    def read_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: dict[str, list[pa.Table]] = {PUBLISHED_KEYS: [], LOST_KEYS: []}
        for batch in batches:
            for work in batch.to_pylist():
                kind = work["kind"]
                held[kind].append(_read_keys(work, retained, losers))
                if sum(table.num_rows for table in held[kind]) >= _ROWS_PER_BLOB:
                    yield from _partition_keys(kind, held.pop(kind), partitioner)
                    held[kind] = []
        for kind, tables in held.items():
            yield from _partition_keys(kind, tables, partitioner)

    return read_batches


def _read_keys(
    work: dict[str, str], retained: frozenset[str], losers: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Read the keys of one file: a data file, or one of recorded cross duplicates."""
    if work["kind"] == PUBLISHED_KEYS:
        runs = read_run_row_ids(work["path"], work["name"])
        codes = np.repeat(np.arange(len(runs), dtype=np.int32), [len(ids) for _, ids in runs])
        name = pa.DictionaryArray.from_arrays(codes, pa.array([n for n, _ in runs], pa.string()))
        identity = np.concatenate([ids for _, ids in runs])
        return pa.Table.from_arrays([pa.array(identity), name], schema=_PUBLISHED_KEYS)
    files, path = open_filesystem(work["path"])
    with files.open(path, "rb") as stream:
        table = read_parquet(stream, work["path"])
    of_partition = pc.is_in(table["loser"], value_set=pa.array(losers[work["name"]], pa.string()))
    still_lost = pc.is_in(table["winner"], value_set=pa.array(sorted(retained)))
    return table.filter(pc.and_(of_partition, still_lost))


def _partition_keys(
    kind: str, tables: list[pa.Table], partitioner: Partitioner
) -> Iterator[pa.RecordBatch]:
    """Yield keys as one blob for each bucket: of many files together, or blobs would be many and
    small."""
    if not sum(table.num_rows for table in tables):
        return
    identity = pa.concat_tables([table.select([ROW_ID]) for table in tables])[ROW_ID].to_numpy()
    bucket = partitioner.assign_buckets(identity)
    yield from divide_rows(kind, tables, bucket, partitioner.buckets)


def _build_cross_duplicates(
    table: pa.Table, rows: np.ndarray, loser: np.ndarray, winner: np.ndarray
) -> pa.Table:
    """Return cross duplicates: the keys of some rows, and the source partitions of both."""
    keys = table.select([ROW_ID, KEY_DIGEST]).take(pa.array(rows, pa.int64()))
    if pa.types.is_fixed_size_binary(keys[KEY_DIGEST].type):  # files have bytes of any length
        keys = keys.set_column(1, KEY_DIGEST, keys[KEY_DIGEST].cast(pa.binary()))
    for column, names in (("loser", loser), ("winner", winner)):
        keys = keys.append_column(column, pa.array(list(names), pa.string()))
    return keys.replace_schema_metadata(None)

"""Keep which keys of joins the rows of every source partition have, for `prepare/lookups.py`.

A task of the first job writes one file of the keys that it saw; all files of a build together have
the keys of the partitions that it processed.
"""

import uuid
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.lake.damage import read_parquet
from headrace.lake.sidecar import locate_sidecar
from headrace.lake.storage import explain_storage_errors, open_filesystem, write_object
from headrace.lake.walk import list_folder
from headrace.source.lookups import shorten_keys

_FOLDER = "join_keys"
_HELD_KEYS = 1 << 22  # before doubles are dropped
# A join's position in the recipe, a source partition, and half of the hash of a key.
_KEYS = pa.schema(
    [
        ("join", pa.int32()),
        ("partition", pa.dictionary(pa.int32(), pa.string())),
        ("key", pa.int32()),
    ]
)


def locate_join_keys(root: str, build_id: str) -> str:
    """Return the folder of the keys of a build."""
    return f"{locate_sidecar(root, build_id)}/{_FOLDER}"


class JoinKeys:
    """The keys of joins that a task saw."""

    def __init__(self, columns: Mapping[int, str]) -> None:
        """
        Args:
            columns: position of a join -> column of its keys' hashes.
        """
        self._columns = columns
        self._held: dict[int, list[np.ndarray]] = {position: [] for position in columns}
        self._count = 0

    def add_rows(self, batch: pa.RecordBatch, partition: np.ndarray) -> None:
        """Add the keys of rows, with the int32 positions of their source partitions."""
        for position, column in self._columns.items():
            keys = batch[column]
            whole = keys.is_valid().to_numpy(zero_copy_only=False)
            hashes = keys.drop_null().to_numpy()
            pairs = partition[whole].astype(np.int64) << np.int64(32)
            pairs |= shorten_keys(hashes).view(np.uint32).astype(np.int64)
            self._held[position].append(np.unique(pairs))
            self._count += len(self._held[position][-1])
        if self._count > _HELD_KEYS:
            self._drop_doubles()

    def _drop_doubles(self) -> None:
        for position, held in self._held.items():
            self._held[position] = [np.unique(np.concatenate(held))] if held else []
        self._count = sum(len(pairs) for held in self._held.values() for pairs in held)

    def write(self, folder: str, names: tuple[str, ...]) -> None:
        """Write the keys to a file of the folder, unless there is none.

        Args:
            folder: of the build's keys.
            names: of the source partitions, by position.
        """
        self._drop_doubles()
        if not self._count:
            return
        tables = []
        for position, held in self._held.items():
            pairs = held[0] if held else np.zeros(0, np.int64)
            partition = pa.DictionaryArray.from_arrays(
                (pairs >> np.int64(32)).astype(np.int32), pa.array(names, pa.string())
            )
            key = (pairs & np.int64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
            join = np.full(len(pairs), position, np.int32)
            tables.append(pa.Table.from_arrays([pa.array(join), partition, key], schema=_KEYS))
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.concat_tables(tables),
            sink,
            use_dictionary=["join", "partition"],
            column_encoding={"key": "DELTA_BINARY_PACKED"},
            compression="zstd",
            write_page_checksum=True,
        )
        write_object(folder, f"{uuid.uuid4().hex}.parquet", sink.getvalue())


def list_key_files(folder: str) -> list[str]:
    """List the names of a build's files of keys."""
    filesystem, path = open_filesystem(folder)
    with explain_storage_errors(folder):
        return sorted(name.rpartition("/")[2] for name in list_folder(filesystem, path))


def find_partitions_with_keys(
    folder: str, files: Collection[str], keys: Mapping[int, np.ndarray], names: Collection[str]
) -> frozenset[str]:
    """Find the source partitions with rows of some keys.

    Args:
        folder: of a build's keys.
        files: their names, see `list_key_files`; where one is gone, all partitions are found.
        keys: position of a join -> int32 keys, see `shorten_keys`.
        names: partitions to look for.

    Returns:
        those of them that have one of the keys; hardly ever one without.
    """
    filesystem, path = open_filesystem(folder)
    found: set[str] = set()
    with explain_storage_errors(folder):
        for file in files:
            try:
                content = filesystem.cat_file(f"{path}/{file}")
            except FileNotFoundError:
                return frozenset(names)
            table = read_parquet(bytes(content), f"{folder}/{file}").cast(_KEYS)
            joins, values = table["join"].to_numpy(), table["key"].to_numpy()
            has_key = np.zeros(table.num_rows, bool)
            for position, wanted in keys.items():
                has_key |= (joins == position) & np.isin(values, wanted)
            found |= {*table["partition"].filter(pa.array(has_key)).unique().to_pylist()}
    return frozenset(found & {*names})

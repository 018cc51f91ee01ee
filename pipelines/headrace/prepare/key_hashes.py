"""Write and read hashes of the published rows' keys, by source partition, beside a build's rows.

A night has to know which partitions that it does not read have a key of the rows that it reads. To
read the `row_id` of all published rows took as long as the history is. These files have the first
48 bits of each, sorted, so that the gaps between them take 3.5 to 5 bytes a row, in few files, of
all partitions that a task writes. A night looks up its own keys in them, and reads `row_id` where
one is found.

Few of those are found by chance: a night of N rows meets N * n / 2**48 hashes of a partition of n
rows, 0.004 where both are a million. A Bloom filter of 10 bits a row has 1% of false answers: a
night of a million rows would match every file.

Whose build has no such files, or whose do not agree with its index, is read as before.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import RemovedError
from headrace.lake.damage import explain_damage, read_parquet
from headrace.lake.sidecar import locate_sidecar, read_sidecar_text
from headrace.lake.storage import open_filesystem, write_object

INDEX_FILE = "key_hashes.json"
"""File of a sidecar: the files of hashes, and how many rows each source partition has in them."""
_FOLDER = "key_hashes"
_BITS = 48
_HELD_ROWS = 1 << 22  # of a task, 8 bytes each, before they are written
_HASHES = pa.schema([("partition", pa.dictionary(pa.int32(), pa.string())), ("hash", pa.int64())])


def locate_key_hashes(root: str, build_id: str) -> str:
    """Return the folder of a build's hashes of keys."""
    return f"{locate_sidecar(root, build_id)}/{_FOLDER}"


def shorten_row_ids(row_ids: np.ndarray) -> np.ndarray:
    """Return the first 48 bits of int64 row ids as int64, none of them negative."""
    return (row_ids.view(np.uint64) >> np.uint64(64 - _BITS)).view(np.int64)


class TaskKeyHashes:
    """The hashes of the rows that a task writes."""

    def __init__(self, root: str, build_id: str, attempt: int) -> None:
        """
        Args:
            root, build_id: of the dataset and the build.
            attempt: of the task; its files have names of their own.
        """
        self._folder = locate_key_hashes(root, build_id)
        self._attempt = attempt
        self._held: dict[str, list[np.ndarray]] = {}
        self._rows = self._target = 0

    def add_rows(self, partition: str, target: int, row_ids: np.ndarray) -> None:
        """Add the int64 row ids of a file of a source partition."""
        if not self._rows:
            self._target = target
        self._held.setdefault(partition, []).append(shorten_row_ids(row_ids))
        self._rows += len(row_ids)

    @property
    def is_full(self) -> bool:
        """Return whether hashes are to be written before others are added."""
        return self._rows >= _HELD_ROWS

    def write_file(self) -> tuple[str, Counter[str]] | None:
        """Write the hashes to a file, those of a partition sorted.

        Returns:
            the file's name, and its rows by partition; None where there are no hashes.
        """
        if not self._rows:
            return None
        name = f"{self._target:05d}-{self._attempt}.parquet"
        runs = {name: np.concatenate(held) for name, held in self._held.items()}
        self._held, self._rows = {}, 0
        return name, write_key_hashes(self._folder, name, runs)


def write_key_hashes(folder: str, name: str, runs: Mapping[str, np.ndarray]) -> Counter[str]:
    """Write a file of hashes.

    Args:
        folder: of `locate_key_hashes`.
        name: of the file.
        runs: source partition -> its hashes, int64, in any order.

    Returns:
        rows by partition.
    """
    names = sorted(runs)
    rows = [len(runs[partition]) for partition in names]
    codes = np.repeat(np.arange(len(names), dtype=np.int32), rows)
    partition = pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
    hashes = np.concatenate([np.sort(runs[partition]) for partition in names])
    table = pa.Table.from_arrays([partition, pa.array(hashes, pa.int64())], schema=_HASHES)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        use_dictionary=["partition"],
        column_encoding={"hash": "DELTA_BINARY_PACKED"},
        compression="zstd",
        write_page_checksum=True,
        write_statistics=False,
    )
    write_object(folder, name, sink.getvalue())
    return Counter(dict(zip(names, rows, strict=True)))


@dataclass(frozen=True)
class KeyHashIndex:
    """What a build's files of hashes have.

    Attributes:
        files: names.
        rows: source partition -> hashes, in all files.
    """

    files: tuple[str, ...]
    rows: Mapping[str, int]

    @staticmethod
    def from_files(files: Mapping[str, Mapping[str, int]]) -> "KeyHashIndex":
        """Return the index of files and their rows by partition."""
        rows = Counter[str]()
        for of_file in files.values():
            rows.update(of_file)
        return KeyHashIndex(tuple(sorted(files)), rows)

    def to_json(self) -> str:
        """Return the text of INDEX_FILE."""
        return json.dumps({"files": self.files, "rows": dict(sorted(self.rows.items()))})

    @staticmethod
    def read(root: str, build_id: str) -> "KeyHashIndex":
        """Read the index of a build; an empty one where it wrote none.

        Raises:
            DamagedError: it is not as it was written.
        """
        try:
            text = read_sidecar_text(root, build_id, INDEX_FILE)
        except RemovedError:
            return KeyHashIndex((), {})
        with explain_damage(f"dataset {root}: {INDEX_FILE} of build {build_id}"):
            plain = json.loads(text)
            return KeyHashIndex(tuple(plain["files"]), dict(plain["rows"]))


def read_key_hashes(path: str, partitions: Collection[str]) -> dict[str, np.ndarray]:
    """Read the hashes of some source partitions from a file.

    Args:
        path: path or URL.
        partitions: others are left out.

    Returns:
        partition -> int64 hashes, rising.

    Raises:
        FileNotFoundError: it is gone.
        DamagedError: it is damaged.
    """
    filesystem, inside = open_filesystem(path)
    table = read_parquet(bytes(filesystem.cat_file(inside)), path)
    with explain_damage(path):
        table = table.cast(_HASHES).combine_chunks()
        column = table["partition"].combine_chunks()
        names = column.dictionary.to_pylist()
        codes, hashes = column.indices.to_numpy(), table["hash"].to_numpy()
        bounds = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        runs = {}
        for begin, end in pairwise(bounds):
            if end > begin and (name := names[codes[begin]]) in partitions:
                runs[name] = hashes[begin:end]
        if any(np.any(np.diff(run) < 0) for run in runs.values()):
            raise ValueError("hashes of a partition are not sorted")
    return runs


def count_matches(hashes: np.ndarray, keys: np.ndarray) -> int:
    """Count how many of some hashes are among others; int64 both, rising."""
    few, many = (hashes, keys) if len(hashes) < len(keys) else (keys, hashes)
    if not len(few):
        return 0
    place = np.minimum(np.searchsorted(many, few), len(many) - 1)
    return int(np.count_nonzero(many[place] == few))

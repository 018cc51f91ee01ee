"""Read mutated copies of a Parquet file in a process of its own: `python -m tests.stream.mutated`.

Every way of ours into a file is gone: the stream, which has an index of it, and pyarrow by itself.
What is wrong may be told or not by the second; the first has to tell, or to give the same rows. The
number of each mutation is printed before it is read, so that who waits knows the last one.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from tests.stream.rows import stream

_EXPECTED = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError)


def main(root: str, index: str, first: str, end: str) -> None:
    """Read mutations `first` up to `end` of the file that `index` (JSON) is of."""
    file = DataFile.model_validate_json(index)
    path = Path(root) / file.path
    whole = path.read_bytes()
    expected = rows_of(Path(root), file)
    counts = {"refused": 0, "same": 0, "read by pyarrow": 0}
    for number in range(int(first), int(end)):
        print(number, flush=True)
        path.write_bytes(mutated(whole, number))
        try:
            found = rows_of(Path(root), file)
        except StreamError:
            counts["refused"] += 1
        else:
            assert_same(found, expected)
            counts["same"] += 1
        try:
            read_all(path)
        except _EXPECTED:
            continue
        counts["read by pyarrow"] += 1
    print(json.dumps(counts), flush=True)


def mutated(whole: bytes, number: int) -> bytes:
    """The file with one of the damages that disks, networks and people do to files."""
    chance = random.Random(number)
    content = bytearray(whole)
    # Half of them where it hurts: in the footer, which is at the end.
    low = 0 if number % 2 else max(0, len(whole) - 4000)
    place = chance.randrange(low, len(whole))
    match number % 6:
        case 0 | 1:
            content[place] ^= 1 << chance.randrange(8)
        case 2:
            for _ in range(chance.randrange(2, 9)):
                content[chance.randrange(low, len(whole))] = chance.randrange(256)
        case 3:
            del content[place : place + chance.randrange(1, 64)]
        case 4:
            size = min(chance.randrange(1, 512), len(whole) - place)
            content[place : place + size] = bytes(size)
        case 5:
            content[place:place] = chance.randbytes(chance.randrange(1, 16))
    return bytes(content)


def rows_of(root: Path, file: DataFile) -> list[dict[str, np.ndarray]]:
    return [
        {name: array.copy() for name, array in batch.items()}
        for batch in stream(root, (file,), shuffle=False).batches(0)
    ]


def read_all(path: Path) -> Any:
    with pa.OSFile(str(path)) as source:
        table = pq.ParquetFile(source).read(use_threads=False)
    return table.validate(full=True)


def assert_same(found: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name, array in other.items():
            np.testing.assert_array_equal(one[name], array)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Read mutated copies of a Parquet file in a process of its own: run as a module.

Each mutation is read by the stream, which has an index of the file, and by pyarrow alone. The
stream has to raise an error or to return the same rows; pyarrow may do neither. The number of each
mutation is printed before it is read, so that the caller knows the last one.
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
from tests.stream.rows import make_stream

_EXPECTED = (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError)


def main(root: str, index: str, first: str, end: str) -> None:
    """Read mutations `first` up to `end` of a file; `index` is its `DataFile` as JSON."""
    file = DataFile.model_validate_json(index)
    path = Path(root) / file.path
    whole = path.read_bytes()
    expected = read_batches(Path(root), file)
    counts = {"refused": 0, "same": 0, "read by pyarrow": 0}
    for number in range(int(first), int(end)):
        print(number, flush=True)
        path.write_bytes(mutate_bytes(whole, number))
        try:
            batches = read_batches(Path(root), file)
        except StreamError:
            counts["refused"] += 1
        else:
            assert_same_batches(batches, expected)
            counts["same"] += 1
        try:
            read_with_pyarrow(path)
        except _EXPECTED:
            continue
        counts["read by pyarrow"] += 1
    print(json.dumps(counts), flush=True)


def mutate_bytes(whole: bytes, number: int) -> bytes:
    """Damage a file as disks, networks and people do."""
    generator = random.Random(number)
    content = bytearray(whole)
    # Half of them where it hurts: in the footer, which is at the end.
    low = 0 if number % 2 else max(0, len(whole) - 4000)
    position = generator.randrange(low, len(whole))
    match number % 6:
        case 0 | 1:
            content[position] ^= 1 << generator.randrange(8)
        case 2:
            for _ in range(generator.randrange(2, 9)):
                content[generator.randrange(low, len(whole))] = generator.randrange(256)
        case 3:
            del content[position : position + generator.randrange(1, 64)]
        case 4:
            size = min(generator.randrange(1, 512), len(whole) - position)
            content[position : position + size] = bytes(size)
        case 5:
            content[position:position] = generator.randbytes(generator.randrange(1, 16))
    return bytes(content)


def read_batches(root: Path, file: DataFile) -> list[dict[str, np.ndarray]]:
    return [
        {name: array.copy() for name, array in batch.items()}
        for batch in make_stream(root, (file,), shuffle=False).read_batches(0)
    ]


def read_with_pyarrow(path: Path) -> Any:
    with pa.OSFile(str(path)) as source:
        table = pq.ParquetFile(source).read(use_threads=False)
    return table.validate(full=True)


def assert_same_batches(
    batches: list[dict[str, np.ndarray]], expected: list[dict[str, np.ndarray]]
) -> None:
    assert len(batches) == len(expected)
    for batch, expected_batch in zip(batches, expected, strict=True):
        for name, array in expected_batch.items():
            np.testing.assert_array_equal(batch[name], array)


if __name__ == "__main__":
    main(*sys.argv[1:])

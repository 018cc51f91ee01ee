"""Read a split of wide rows within some bytes, in a process of its own; print its peak."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil

from headrace.lake.data_file import DataFile
from headrace.stream.columns import Columns
from headrace.stream.split_stream import SplitStream
from headrace.transform.spec import ModelInput

COLUMNS = {
    "list": Columns({"x": ModelInput("float32", (1024,), ("x",))}),
    "table": Columns(
        {"x": ModelInput("float32", (64,), tuple(f"c{number}" for number in range(64)))}
    ),
}
"""Rows of 4,096 bytes in one column, and of 256 in 64 of them."""


def read_within(root: str, kind: str, memory: int | None, engine: str) -> list[int]:
    """Read two epochs, after two of the first file alone: what a process takes once is not counted.

    Returns:
        the bytes that the process grew by at most, those that were predicted, and shards.
    """
    index = json.loads(Path(root, "index").read_text(encoding="utf-8"))
    files = [DataFile.model_validate(item) for item in index]
    small, files = files[:1], files[1:]
    _read_epochs(root, small, kind, None, engine)
    before = psutil.Process().memory_info().rss
    stream = _read_epochs(root, files, kind, memory, engine)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return [peak * 1024 - before, stream.memory_bytes, stream.canonical_shards]


def _read_epochs(
    root: str, files: list[DataFile], kind: str, memory: int | None, engine: str
) -> SplitStream:
    version = SimpleNamespace(root=root, list_files=lambda split: tuple(files))
    stream = SplitStream.for_split(
        version, "train", COLUMNS[kind], rank=0, size=1, global_batch_size=256, shuffle=True,
        seed=1, memory=memory, engine=engine, readers=2,
    )  # fmt: skip
    for stack in stream.read_batch_stacks([0, 1]):
        del stack
    return stream


if __name__ == "__main__":
    root, kind, memory, engine = sys.argv[1:]
    print(json.dumps(read_within(root, kind, json.loads(memory), engine)))

"""Cached row groups: bounded, least recent evicted, shared by processes, never half written."""

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.stream.cache import Cache, DiskCache, MemoryCache, make_cache
from tests.stream.rows import list_row_ids, make_stream, write_files

ROWS = 10_000


def make_table(number: int) -> pa.Table:
    return pa.table({"n": pa.array([number] * ROWS, pa.int64())})


def make_caches(folder: Path, limit: int) -> list[Cache]:
    return [MemoryCache(limit), DiskCache(str(folder / "cache"), limit)]


def test_kinds(tmp_path: Path) -> None:
    assert make_cache(None, 1, str(tmp_path)) is None
    assert isinstance(make_cache("memory", 1, str(tmp_path)), MemoryCache)
    assert isinstance(make_cache("disk", 1, str(tmp_path)), DiskCache)


@pytest.mark.parametrize("kind", [0, 1])
def test_the_least_recently_used_table_is_evicted(tmp_path: Path, kind: int) -> None:
    size = make_table(0).nbytes + 2000
    cache = make_caches(tmp_path, 3 * size)[kind]
    for number in range(3):
        cache.put(str(number), make_table(number))
        time.sleep(0.02)
    assert cache.get("0") is not None
    time.sleep(0.02)
    cache.put("3", make_table(3))
    cached = [cache.get(str(number)) for number in range(4)]
    assert [entry is not None for entry in cached] == [True, False, True, True]
    assert cached[3] is not None
    assert cached[3].equals(make_table(3))
    assert cache.get("never") is None


@pytest.mark.parametrize("kind", [0, 1])
def test_a_table_larger_than_the_limit_is_not_stored(tmp_path: Path, kind: int) -> None:
    cache = make_caches(tmp_path, 1000)[kind]
    cache.put("a", make_table(1))
    assert cache.get("a") is None


def test_damaged_and_abandoned_files_are_no_entries(tmp_path: Path) -> None:
    cache = DiskCache(str(tmp_path), 10**9)
    cache.put("a", make_table(1))
    (path,) = tmp_path.glob("*.arrow")
    path.write_bytes(path.read_bytes()[:500])
    assert cache.get("a") is None
    old, new = tmp_path / "old.new", tmp_path / "young.new"
    old.touch()
    new.touch()
    import os

    os.utime(old, (1, 1))
    DiskCache(str(tmp_path), 10**9)
    assert not old.exists()
    assert new.exists()


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Four of them write and read the same keys where few fit: all that they get is right."""
    program = (
        "import sys; from tests.stream.test_cache import *; "
        f"cache = DiskCache({str(tmp_path)!r}, 5 * (make_table(0).nbytes + 2000))\n"
        "hits = 0\n"
        "for turn in range(200):\n"
        "    number = (turn // 3 * 7 + int(sys.argv[1])) % 9\n"
        "    entry = cache.get(str(number))\n"
        "    if entry is None:\n"
        "        cache.put(str(number), make_table(number))\n"
        "    else:\n"
        "        assert entry.equals(make_table(number)); hits += 1\n"
        "print(hits)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for n in range(4)
    ]
    for process in started:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        assert int(out.split()[-1]) > 0
    files = list(tmp_path.iterdir())
    assert not [f for f in files if f.suffix != ".arrow"]
    assert sum(f.stat().st_size for f in files) <= 9 * (make_table(0).nbytes + 2000)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_second_epoch_reads_no_data(tmp_path: Path, kind: int) -> None:
    root = tmp_path / "data"
    root.mkdir()
    files = write_files(root, [[50, 60], [31]])
    cache = make_caches(tmp_path, 10**8)[kind]
    source = make_stream(root, files, cache=cache)
    first = [list_row_ids(batch) for batch in source.read_batches(0)]
    for file in files[1:]:
        (root / file.path).unlink()
    path = root / files[0].path  # Petastorm looks into one file's footer
    whole = path.read_bytes()
    kept = int.from_bytes(whole[-8:-4], "little") + 8
    path.write_bytes(b"PAR1" + bytes(len(whole) - 4 - kept) + whole[-kept:])
    again = [
        make_stream(root, files, cache=cache, rank=rank, size=2).read_batches(0)
        for rank in range(2)
    ]
    both = [[i for b in step for i in list_row_ids(b)] for step in zip(*again, strict=True)]
    assert both == first

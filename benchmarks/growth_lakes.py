"""Measure what grows with partitions of a lake, with values of a vocabulary, and with row groups.

They are figures of `benchmarks.growth`:

    python -m benchmarks.growth --figures partitions vocabulary row_groups
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

_ROWS = 20_000
_LOOKED_UP = 65_536
_COLUMNS, _BOUND = 64, 4 * 2**30


def measure_partitions(partitions: int) -> dict[str, float]:
    """Prepare 20,000 rows in so many folders of a file each, and then one more folder.

    Returns:
        processor seconds of both builds, those of all their processes, and files of the first.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ids = np.arange(_ROWS)
        for number, own in enumerate(np.array_split(ids, partitions)):
            write_partition(root, number, own)
        recipe = root / "partitions.yaml"
        recipe.write_text(yaml.safe_dump(make_partition_recipe(root)), encoding="utf-8")
        first = _prepare(root, recipe)
        files = len(list((root / "dataset").rglob("part-*.parquet")))
        write_partition(root, partitions, np.arange(_ROWS, _ROWS + _ROWS // partitions))
        night = _prepare(root, recipe)
    return {"processor_seconds": first, "night_processor_seconds": night, "files": files}


def measure_vocabulary(values: int) -> dict[str, float]:
    """Build the index of so many texts, and look 65,536 up, half of them known."""
    from headrace.features.text_index import TextIndex

    texts = pa.array(np.char.add("u", np.arange(values).astype("U9")))
    started = time.process_time()
    index = TextIndex.from_texts(texts)
    built = time.process_time()
    wanted = np.random.default_rng(0).integers(0, 2 * values, _LOOKED_UP)
    found = index.find_positions(pa.array(np.char.add("u", wanted.astype("U9"))))
    ended = time.process_time()
    if not np.array_equal(found >= 0, wanted < values):
        raise RuntimeError("the index found other texts than it has")
    return {"build_seconds": built - started, "lookup_seconds": ended - built}


def measure_row_groups(rows: int) -> dict[str, float]:
    """Choose how a stream of 64 columns is cut where row groups have so many rows, within 4 GiB.

    Returns:
        bytes on all ranks together with the bound and without, and those that are read before the
        first batch.
    """
    from headrace.stream.memory import SplitSize, choose_shape

    row_bytes = 4 * _COLUMNS
    size = SplitSize(1000 * rows, rows, row_bytes, 4, 4096)
    free, bound = choose_shape(size), choose_shape(size, memory=_BOUND)
    block = min(bound.block_rows - 1 + rows, size.rows // bound.canonical_shards)
    return {
        "bound_bytes": bound.memory_bytes,
        "free_bytes": free.memory_bytes,
        "bytes_before_first_batch": bound.canonical_shards * block * row_bytes,
    }


def write_partition(root: Path, number: int, ids: np.ndarray) -> None:
    """Write a folder of the lake, `day=…`, with a file of rows that have these ids."""
    folder = root / "lake" / f"day={number:05d}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    columns: dict[str, Any] = {
        "id": ids,
        "x": rng.normal(size=len(ids)),
        "city": [f"c{code}" for code in rng.integers(0, 30, len(ids))],
        "late": rng.random(len(ids)) < 0.4,
    }
    pq.write_table(pa.table(columns), folder / "part-0.parquet")


def make_partition_recipe(root: Path) -> dict[str, Any]:
    """Return the recipe of the lake below a folder, and of a dataset beside it."""
    return {
        "name": "partitions",
        "source": {"tables": {"rows": {"path": f"{root}/lake"}}, "main": "rows"},
        "clean": {"dedup": {"key": ["id"]}},
        "label": {"kind": "binary", "expression": "late"},
        "split": {"key": ["id"]},
        "features": {"x": {"kind": "standardize"}, "city": {"kind": "vocabulary"}},
        "model": {"kind": "mlp", "hidden": [8]},
        "train": {"ranks": 1, "epochs": 1, "global_batch_size": 256},
        "dataset": {"path": f"{root}/dataset"},
    }


def _prepare(root: Path, recipe: Path) -> float:
    """Run the command, and return the processor seconds of all of its processes."""
    command = [sys.executable, "-m", "headrace.cli", "prepare", str(recipe), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--workdir", str(root / "work")], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr)
    if not json.loads(done.stdout.splitlines()[-1])["published"]:
        raise RuntimeError("the build found nothing to do")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

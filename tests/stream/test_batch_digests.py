"""Batches are what they were: digests of streams as the release before fingerprints read them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.stream.batch_assembly import Batch
from headrace.stream.dataset import read_tf_batches
from tests.stream.rows import make_stream, write_files

LAYOUT = [[300, 41, 7], [129], [64, 250]]
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "shuffled": ("dc2807e16ffe2a12", {}, 0),
    "resumed": ("88076030fe8061ed", {}, 5),
    "in order": ("610c0d4902789b27", {"shuffle": False}, 0),
    "long blocks": ("061cfeb46f060f18", {"block_rows": 500}, 0),
    "dropped": ("96915761d02fef82", {"drop_last": True, "block_rows": 90}, 3),
}


def compute_digest(batches: Any) -> str:
    digest = hashlib.sha256()
    batch: Batch
    for batch in batches:
        for name in sorted(batch):
            digest.update(name.encode() + np.ascontiguousarray(batch[name]).tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("engine", ["petastorm", "pyarrow"])
@pytest.mark.parametrize("case", [*CASES])
def test_batches_are_what_they_were(tmp_path: Path, case: str, engine: str) -> None:
    expected, options, first_step = CASES[case]
    stream = make_stream(tmp_path, write_files(tmp_path, LAYOUT), engine=engine, **options)
    assert compute_digest(stream.read_epochs([0, 3], first_step)) == expected


def test_tensors_are_the_same_batches(tmp_path: Path) -> None:
    expected, options, first_step = CASES["long blocks"]
    stream = make_stream(tmp_path, write_files(tmp_path, LAYOUT), **options)
    assert compute_digest(read_tf_batches(stream, [0, 3], first_step)) == expected

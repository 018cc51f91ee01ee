"""Damaged checkpoints are passed over with a word; none is half taken."""

import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from headrace.errors import FormatError, TrainError
from headrace.train.checkpoint import Checkpoints, read_checkpoint
from tests.security.mutations import mutate_bytes

ARRAYS = {
    "w0000": np.arange(12, dtype=np.float32).reshape(3, 4),
    "w0001": np.zeros((2, 0, 3), np.float64),
    "o0000": np.array(5, np.int64),
    "b0000": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
}
STATE = {"epoch": 3, "text": "é", "best": {"epoch": 2, "value": 0.5}}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.write_checkpoint("a", 1, STATE, ARRAYS)
    checkpoints.write_checkpoint("a", 2, STATE, ARRAYS)
    return checkpoints


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=pytest.mark.long)])
def test_mutated_files(checkpoints: Checkpoints, tmp_path: Path, count: int) -> None:
    newest = tmp_path / "a" / "step-000000002.ckpt"
    whole = newest.read_bytes()
    accepted = 0
    for seed in range(count):
        newest.write_bytes(mutate_bytes(whole, random.Random(seed)))
        saved, skipped = checkpoints.read_newest("a")
        assert saved is not None, seed
        step = int(saved.location[-6:-5])
        assert (step, len(skipped)) in [(2, 0), (1, 1)], seed
        accepted += step == 2  # a byte that means nothing, such as a time of a member
        assert {key: saved.state[key] for key in STATE} == STATE, seed
        assert saved.arrays.keys() == ARRAYS.keys(), seed
        for name, array in ARRAYS.items():
            found = saved.arrays[name]
            assert (found.dtype, found.shape) == (array.dtype, array.shape), seed
            assert np.array_equal(found, array), seed
    assert accepted < count // 3


def write_members(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def pack(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def pack_state(tree: object) -> bytes:
    return pack(np.frombuffer(json.dumps(tree).encode(), np.uint8))


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    """It took as much memory as it claimed."""
    header = pack(np.zeros(3)).replace(b"(3,), }           ", b"(1000000000000,), }")
    assert b"1000000000000" in header
    write_members(tmp_path / "x.ckpt", {"w0000": header, "state": pack_state({"format": 1})})
    tracemalloc.start()
    with pytest.raises(TrainError, match="is not as large as it says"):
        read_checkpoint(f"{tmp_path}/x.ckpt")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("missing", [*ARRAYS, "all", "one more"])
def test_arrays_that_are_not_those_of_the_manifest(tmp_path: Path, missing: str) -> None:
    """Eight damaged files were taken without the best weights, which were forgotten then."""
    location = Checkpoints(str(tmp_path)).write_checkpoint("a", 1, STATE, ARRAYS)
    with zipfile.ZipFile(location) as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    if missing == "one more":
        members["w0002"] = pack(np.zeros(1))
    else:
        members = {k: v for k, v in members.items() if k == "state" or missing not in (k, "all")}
    write_members(tmp_path / "x.ckpt", members)
    with pytest.raises(TrainError, match="its arrays are not those of its manifest"):
        read_checkpoint(f"{tmp_path}/x.ckpt")


@pytest.mark.parametrize("state", [[], 5, "text", None])
def test_a_state_that_is_none(tmp_path: Path, state: object) -> None:
    write_members(tmp_path / "x.ckpt", {"state": pack_state(state)})
    with pytest.raises(TrainError, match="its state is none") as refused:
        read_checkpoint(f"{tmp_path}/x.ckpt")
    assert not isinstance(refused.value, FormatError)  # which would not be passed over


def test_compressed_members_are_none(tmp_path: Path) -> None:
    """They could unfold to any size."""
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", pack(np.zeros(10**6)))
        archive.writestr("state.npy", pack_state({"format": 1}))
    with pytest.raises(TrainError, match="no member as they are written"):
        read_checkpoint(f"{tmp_path}/x.ckpt")

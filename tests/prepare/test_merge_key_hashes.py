"""Hashes of keys: few builds have those that are in use, none is lost, and few are copied."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.growth import fit_exponent
from headrace.lake.ledger import Ledger
from headrace.lake.sidecar import write_sidecar_files
from headrace.lake.source_partition import SourcePartition
from headrace.prepare import merge_key_hashes as module
from headrace.prepare.key_hashes import (
    INDEX_FILE,
    KeyHashIndex,
    TaskKeyHashes,
    locate_key_hashes,
    read_key_hashes,
    shorten_row_ids,
)
from headrace.prepare.merge_key_hashes import MAX_BUILDS, choose_builds, merge_key_hashes

EMPTY = Ledger(read=0, published={}, quarantined={}, duplicates=0, filtered={})


class Nights:
    """Nights on a folder, each of one new source partition, and now and then an older one again."""

    def __init__(self, root: Path, rows: int = 4) -> None:
        self.root, self.rows, self.number = str(root), rows, 0
        self.partitions: dict[str, SourcePartition] = {}
        self.row_ids: dict[str, np.ndarray] = {}
        self.copied = 0

    def run(self, *again: str) -> None:
        """A night: a new partition is written, and others once more, with other rows."""
        self.number += 1
        build_id = f"build-{self.number:04d}"
        names = [f"day={self.number:04d}", *again]
        task = TaskKeyHashes(self.root, build_id, 0)
        rng = np.random.default_rng(self.number)
        for name in names:
            self.row_ids[name] = rng.integers(-(2**62), 2**62, self.rows)
            task.add_rows(name, 0, self.row_ids[name])
        written = task.write_file()
        assert written is not None
        own = KeyHashIndex.from_files(dict([written]))
        retained = [p for name, p in self.partitions.items() if name not in names]
        rows = Counter({name: len(ids) for name, ids in self.row_ids.items()})
        merged = merge_key_hashes(self.root, build_id, own, retained, rows)
        self.copied += sum(len(self.row_ids[name]) for name in merged.moved)
        write_sidecar_files(self.root, build_id, {INDEX_FILE: merged.index.to_json()})
        for name in merged.moved:
            moved = {"hashes": build_id}
            self.partitions[name] = self.partitions[name].model_copy(update=moved)
        for name in names:
            self.partitions[name] = SourcePartition(
                name=name, build_id=build_id, files=(), ledger=EMPTY
            )

    @property
    def builds(self) -> set[str]:
        """The builds whose hashes are in use."""
        return {partition.hashes_build for partition in self.partitions.values()}

    def check_all(self) -> None:
        """Every row's hash is where its partition says, once, and the index counts it."""
        for name, partition in self.partitions.items():
            build_id = partition.hashes_build
            index = KeyHashIndex.read(self.root, build_id)
            folder = locate_key_hashes(self.root, build_id)
            runs = [read_key_hashes(f"{folder}/{file}", [name]) for file in index.files]
            found = np.concatenate([run[name] for run in runs if name in run])
            assert index.rows[name] == len(found)
            assert sorted(found) == sorted(shorten_row_ids(self.row_ids[name]))


def test_few_builds_are_looked_at_and_no_hash_is_lost(tmp_path: Path) -> None:
    nights, rng = Nights(tmp_path), random.Random(7)
    for _ in range(60):
        again = rng.sample(
            sorted(nights.partitions), min(len(nights.partitions), rng.choice([0, 0, 2]))
        )
        nights.run(*again)
        assert len(nights.builds) <= MAX_BUILDS
    nights.check_all()


@pytest.mark.parametrize("kind", ["equal", "uneven", "shrinking"])
def test_copies_are_a_logarithm_of_the_nights(kind: str) -> None:
    rng = random.Random(1)
    held: dict[str, int] = {}
    copied = total = 0
    shares = {}
    for number in range(1, 4097):
        chosen = choose_builds(held)
        assert len(chosen) != 1
        moved = sum(held.pop(build_id) for build_id in chosen)
        own = {"equal": 1, "uneven": rng.randint(1, 100), "shrinking": 10**6 // number}[kind]
        held[f"build-{number:04d}"] = own + moved
        copied, total = copied + moved, total + own
        shares[number] = copied / total
        assert len(held) <= MAX_BUILDS
    assert shares[MAX_BUILDS] == 0
    assert shares[256] < 2
    assert shares[4096] < 4.2
    sizes = [64, 256, 1024, 4096]  # a logarithm, and no power
    assert fit_exponent(sizes, [shares[size] for size in sizes]) < 0.4


def test_what_is_full_or_damaged_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_ROWS", 64)
    nights = Nights(tmp_path, rows=4)
    for _ in range(10):
        nights.run()
    damaged = Path(locate_key_hashes(nights.root, "build-0002"), "00000-0.parquet")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    gone = Path(locate_key_hashes(nights.root, "build-0003"), "00000-0.parquet")
    gone.unlink()
    for _ in range(70):
        nights.run()
    assert nights.partitions["day=0001"].hashes not in (None, "build-0001")
    assert nights.partitions["day=0002"].hashes is None
    assert nights.partitions["day=0003"].hashes is None
    held = Counter(p.hashes_build for p in nights.partitions.values())
    assert max(held.values()) * 4 <= 64 + 4
    damaged.write_bytes(content)
    del nights.partitions["day=0003"]
    nights.check_all()


def test_builds_are_chosen_by_their_rows() -> None:
    few = {f"b{number:02d}": 10 for number in range(MAX_BUILDS - 1)}
    assert choose_builds(few) == []
    assert choose_builds({**few, "large": module.FULL_ROWS}) == []
    assert choose_builds({**few, "c": 150}) == [*few, "c"]
    assert choose_builds({**few, "c": 151}) == [*few]  # more than all of them together
    half = module.FULL_ROWS // 2
    assert choose_builds(dict.fromkeys([*few, "c"], half)) == ["b00", "b01"]
    assert choose_builds({f"b{n:02d}": 2**n for n in range(MAX_BUILDS)}) == ["b00", "b01"]

"""Collectives without other ranks: one alone, and one whose peer is a copy of itself."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.build_collectives import build_collectives
from headrace.distributed.rank.collectives import SoloCollectives
from headrace.distributed.rank.horovod_collectives import HorovodCollectives
from headrace.distributed.rank.member_collectives import MemberCollectives, from_bits, to_bits
from headrace.distributed.rank.membership import Membership
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import assign_slots
from headrace.distributed.task import RankTask
from headrace.errors import RankError


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with patch.dict(os.environ):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> RankFolder:
    """The folder of a rank that was alone in generations 0 and 2."""
    folder = RankFolder(tmp_path)
    for generation in (0, 2):
        (slot,) = assign_slots(["a"], generation=generation, address="x", port=1, facts={"n": 1})
        folder.assign_slot(slot)
        if generation == 0:
            assert folder.read_slot(0) == slot
    return folder


def collectives(folder: RankFolder, *, is_elastic: bool = True) -> HorovodCollectives:
    return HorovodCollectives(Membership(folder, is_elastic), Heartbeat())


class Mirror:
    """Horovod of two ranks that do the same: every sum is twice the rank's own value."""

    Sum = "sum"

    def __init__(self) -> None:
        self.names: list[str] = []

    def grouped_allreduce(self, tensors: list[tf.Tensor], op: str, name: str) -> list[tf.Tensor]:
        assert op == self.Sum
        self.names.append(name)
        return [2 * tensor for tensor in tensors]


def mirrored(folder: RankFolder) -> tuple[HorovodCollectives, Mirror]:
    ranks, mirror = collectives(folder), Mirror()
    ranks.size, ranks._hvd, ranks._operations = 2, mirror, 0
    return ranks, mirror


def build(kind: str, folder: RankFolder) -> MemberCollectives:
    task = RankTask("a:b", {}, collectives=kind)
    return build_collectives(task, Membership(folder, is_elastic=False), Heartbeat())


def test_collectives_of_an_unknown_kind_are_refused(folder: RankFolder) -> None:
    with pytest.raises(RankError, match="collectives 'mpi', and it knows horovod and tensorflow"):
        build("mpi", folder)


@pytest.mark.parametrize("kind", ["solo", "horovod", "tensorflow"])
def test_a_single_rank_gets_its_own_values(kind: str, folder: RankFolder) -> None:
    ranks: Any = SoloCollectives() if kind == "solo" else build(kind, folder)
    tensor, array = tf.constant([1.0, 2.0]), np.array([[3], [4]])
    assert (ranks.rank, ranks.size, ranks.local_rank) == (0, 1, 0)
    assert ranks.allreduce([tensor])[0] is tensor
    assert ranks.allreduce_bfloat16([tensor])[0] is tensor
    assert ranks.allgather(array) is array
    assert ranks.broadcast_object({"a": 1}) == {"a": 1}
    ranks.shutdown()


def test_a_solo_rank_is_never_asked_to_change() -> None:
    assert not SoloCollectives().is_change_requested()
    with pytest.raises(AssertionError, match="not elastic"):
        SoloCollectives().join_next_generation()


def test_an_elastic_rank_joins_the_newest_generation(folder: RankFolder) -> None:
    """One that comes late takes the newest slot at once."""
    ranks = collectives(folder)
    assert (ranks.generation, ranks.carried_values) == (2, {"n": 1})
    (slot,) = assign_slots(["a"], generation=3, address="x", port=1, facts={"n": 2})
    folder.request_change(2)
    assert ranks.is_change_requested()
    folder.assign_slot(slot)
    ranks.join_next_generation()
    assert (ranks.generation, ranks.carried_values) == (3, {"n": 2})
    assert not ranks.is_change_requested()


def test_only_elastic_ranks_save_facts_and_change(folder: RankFolder) -> None:
    rigid = collectives(folder, is_elastic=False)
    folder.request_change(2)
    rigid.save_carried_values({"attempt": "x"})
    assert folder.read_carried_values() == {}
    assert not rigid.is_change_requested()
    collectives(folder).save_carried_values({"attempt": "x"})
    assert folder.read_carried_values() == {"attempt": "x"}


def test_the_gradient_of_a_sum_is_summed_over_ranks(folder: RankFolder) -> None:
    """y = (2x)² where each of two ranks adds x: dy/dx on both is 2 · 2 · 2x = 24 at x = 3."""
    ranks, _ = mirrored(folder)
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ranks.allreduce([x])[0] ** 2
    assert float(y) == 36.0
    assert float(tape.gradient(y, x)) == 24.0


def test_traced_sums_are_numbered_alike_in_every_process(folder: RankFolder) -> None:
    ranks, mirror = mirrored(folder)

    @tf.function
    def reduce(x: tf.Tensor) -> tf.Tensor:
        return ranks.allreduce([x])[0] + ranks.allreduce([x])[0]

    assert float(reduce(tf.constant(1.0))) == 4.0
    assert mirror.names == ["sum.0", "sum.1"]


def test_bits_of_bfloat16() -> None:
    """1 is 0x3F80; 1 + 2**-8 lies between two bfloat16 and is rounded to the even one, 1."""
    numbers = tf.constant([1.0, -2.0, 1.0 + 2**-8, 1.0 + 2**-7, 2.0**60])
    assert to_bits(numbers).numpy().tolist() == [0x3F80, 0xC000, 0x3F80, 0x3F81, 0x5D80]
    assert from_bits(to_bits(numbers)).numpy().tolist() == [1, -2, 1, 1 + 2**-7, 2.0**60]

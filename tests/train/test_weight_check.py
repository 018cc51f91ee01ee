"""Checksums of weights, and the rank that differs from the others."""

import hashlib

import keras
import numpy as np
import pytest

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.errors import TrainError
from headrace.train.weight_check import compare_weights, compute_weights_checksum
from tests.train.ranks_on_threads import ThreadCollectives, run_on_threads

WEIGHTS = [np.array([[0.5], [1.0]], np.float32), np.array([2.0], np.float32)]


def dense_model(bias: float = 2.0) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([WEIGHTS[0], np.array([bias])])
    return model


def compare_on_threads(*biases: float) -> list[list[str]]:
    models = [dense_model(bias) for bias in biases]

    def compare_on_rank(collectives: ThreadCollectives) -> list[str]:
        return compare_weights(models[collectives.rank], collectives, "after step 5")

    return run_on_threads(len(models), compare_on_rank)


def test_the_checksum_is_of_all_bytes() -> None:
    expected = hashlib.sha256(WEIGHTS[0].tobytes() + WEIGHTS[1].tobytes()).hexdigest()
    assert compute_weights_checksum(dense_model()) == expected
    last_bit = float(np.nextafter(np.float32(2.0), np.float32(3.0)))
    assert compute_weights_checksum(dense_model(last_bit)) != expected


def test_one_rank_agrees_with_itself() -> None:
    model = dense_model()
    checksums = compare_weights(model, SoloCollectives(), "at the end")
    assert checksums == [compute_weights_checksum(model)]


def test_equal_ranks_get_the_checksums_of_all() -> None:
    checksum = compute_weights_checksum(dense_model())
    assert compare_on_threads(2.0, 2.0) == [[checksum] * 2] * 2


def test_of_three_ranks_the_odd_one_is_named() -> None:
    with pytest.raises(TrainError, match=r"after step 5 the ranks have.*rank 1 differs from most"):
        compare_on_threads(2.0, 2.5, 2.0)


def test_of_two_ranks_either_may_be_wrong() -> None:
    with pytest.raises(TrainError, match=r"rank 0 \w{8}, rank 1 \w{8}; the ranks differ\)"):
        compare_on_threads(2.0, 2.5)

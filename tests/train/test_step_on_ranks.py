"""A step on two ranks is the step on one with the same global batch, whatever the policy."""

from typing import Any

import pytest

from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import TrainError
from headrace.progress import ignore_progress

pytestmark = pytest.mark.e2e

SGD = {"kind": "sgd", "learning_rate": 0.5, "momentum": 0.9}
ADAM = {"kind": "adam", "learning_rate": 0.05}


POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "nesterov": {"optimizer": {**SGD, "nesterov": True}},
    "clip_norm": {"optimizer": {**SGD, "clip_norm": 0.05}},
    "clip_value": {"optimizer": {"kind": "sgd", "learning_rate": 0.5, "clip_value": 0.01}},
    "adam": {"optimizer": ADAM},
    "adamw": {"optimizer": {**ADAM, "kind": "adamw", "weight_decay": 0.1}},
    "lamb": {"optimizer": {**ADAM, "kind": "lamb", "weight_decay": 0.1}},
    "accumulate": {"accumulate": 2, "steps": 4},
    "four steps": {"steps": 4},
    "batch_norm": {"batch_norm": True},
    "noise and mixup": {"augment": {"noise": 0.5, "mixup": 0.4}},
    "focal": {"loss": {"kind": "focal", "alpha": 0.25}},
    "own loss": {"loss": {"kind": "python", "function": "tests.train.own_losses:squared_error"}},
    "fp16": {"compression": "fp16"},
    "bf16": {"compression": "bf16"},
}
Trained = dict[str, dict[str, list[float]]]


def train_policies(ranks: int, collectives: str = "horovod") -> Trained:
    payload = {name: {"optimizer": SGD, **policy} for name, policy in POLICIES.items()}
    return run_ranks(
        RankTask(
            "tests.distributed.rank_functions:train_all_policies", payload, collectives=collectives
        ),
        ranks,
        ignore_progress,
    )


@pytest.fixture(scope="module")
def one_rank() -> Trained:
    return train_policies(1)


@pytest.fixture(scope="module")
def two_ranks() -> Trained:
    return train_policies(2)


def measure_distance(a: list[float], b: list[float]) -> float:
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("policy", [name for name in POLICIES if name not in ("fp16", "bf16")])
def test_two_ranks_make_the_step_of_one(one_rank: Trained, two_ranks: Trained, policy: str) -> None:
    """With sample weights, padding on one rank only, and L2: weights and losses within 1e-6."""
    assert measure_distance(one_rank[policy]["weights"], two_ranks[policy]["weights"]) < 1e-6
    assert measure_distance(one_rank[policy]["losses"], two_ranks[policy]["losses"]) < 1e-6
    plain = one_rank["four steps" if policy == "accumulate" else "plain"]["weights"]
    if policy not in ("plain", "batch_norm"):  # the policy does something
        assert measure_distance(plain, one_rank[policy]["weights"]) > 1e-4


@pytest.mark.long
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_step_is_the_same_with_tensorflows_collectives(ranks: int) -> None:
    """Weights and losses within 1e-6 for every policy, and bit for bit where bfloat16 is sent."""
    horovod, tensorflow = (train_policies(ranks, kind) for kind in ("horovod", "tensorflow"))
    for policy, result in horovod.items():
        # sums of float16 are rounded on the way, and not in the same order
        limit = 1e-3 if policy == "fp16" else 1e-6
        for key in ("weights", "losses"):
            assert measure_distance(result[key], tensorflow[policy][key]) < limit, policy
    if ranks == 2:  # a sum of two has one order
        assert horovod == tensorflow


def test_gathering_two_batches_is_one_batch_of_both(one_rank: Trained) -> None:
    """Only the second of two makes an update, and has a loss."""
    assert [loss > 0 for loss in one_rank["accumulate"]["losses"]] == [False, True, False, True]


@pytest.mark.parametrize("kind", ["fp16", "bf16"])
def test_compressed_gradients_are_near(two_ranks: Trained, kind: str) -> None:
    assert 0 < measure_distance(two_ranks["plain"]["weights"], two_ranks[kind]["weights"]) < 2e-2


def test_bfloat16_is_summed_in_float32_and_alike_on_every_rank() -> None:
    """Of sizes that no number of ranks divides, and with a range that float16 has not."""
    task = RankTask("tests.distributed.rank_functions:sum_in_bfloat16", {})
    result = run_ranks(task, 3, ignore_progress)
    # 1 and twice 0.75 * 2**-8, either of which would be lost in a bfloat16 beside 1
    sums = [[3 * 2.0**60] * 2, [1 + 2.0**-7] * 5]
    assert result == {"sums": [sums] * 3}


def test_ranks_whose_weights_differ_are_stopped() -> None:
    task = RankTask("tests.distributed.rank_functions:compare_diverging_weights", {})
    with pytest.raises(TrainError, match="after step 5 the ranks have different weights"):
        run_ranks(task, 2, ignore_progress)

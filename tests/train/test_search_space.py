"""The values of a search: those that are listed are those that Optuna draws."""

import json

import optuna
import pytest

from headrace.recipe import sections as s
from headrace.train.search_space import (
    list_combinations,
    suggest_value,
    write_key,
    write_params,
)

RATE = "train.optimizer.learning_rate"


def test_combinations_without_end_are_not_listed() -> None:
    assert list_combinations({RATE: s.SearchRange(low=0.1, high=0.5)}) is None
    assert list_combinations({RATE: s.SearchRange(low=1, high=10**9)}) is None
    listed = list_combinations(
        {"a": s.Choices(choices=[[1], [2], [1]]), "b": s.SearchRange(low=1, high=2)}
    )
    assert listed == [{"a": a, "b": b} for a in ([1], [2]) for b in (1, 2)]


@pytest.mark.filterwarnings("ignore:The distribution is specified by")
@pytest.mark.parametrize(
    ("low", "high", "step", "log"),
    [
        (1, 9, None, True), (1, 7, 3, False), (1, 8, 3, False), (0.1, 0.3, 0.1, False),
        (0.0, 1.0, 0.1, False), (0.1, 0.35, 0.1, False), (0.7, 7.7, 0.7, False),
        (1e-4, 5e-4, 1e-4, False), (1, 3, 0.5, False),
    ],
)  # fmt: skip
def test_what_is_listed_is_what_is_drawn(
    low: float, high: float, step: float | None, log: bool
) -> None:
    tries = s.SearchRange(low=low, high=high, step=step, log=log)
    listed = list_combinations({"k": tries})
    assert listed is not None
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = set()
    for _ in range(200):
        drawn.add(suggest_value(study.ask(), "k", tries))
    assert drawn == {combination["k"] for combination in listed}


def test_choices_that_are_equal_in_python_are_not_one() -> None:
    parameters = {"k": s.Choices(choices=[1, 1.0, True, "1", [1]])}
    listed = list_combinations(parameters)
    assert listed is not None
    assert len({write_key(c) for c in listed}) == 5
    assert [write_params(c, parameters)["k"] for c in listed] == [0, 1, 2, 3, 4]
    assert [json.dumps(c["k"]) for c in listed] == ["1", "1.0", "true", '"1"', "[1]"]

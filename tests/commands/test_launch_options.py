"""Options of where ranks run, and processes that torchrun or mpirun started as ranks."""

from pathlib import Path

import pytest

from headrace.commands.launch_options import (
    load_with_launch_options,
    refuse_launched_ranks,
    run_as_follower,
)
from headrace.errors import MachineError
from headrace.recipe import Recipe
from tests.commands.stage_outcomes import write_recipe


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables of torchrun or mpirun."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        monkeypatch.delenv(name, raising=False)


def start_as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    """Set the variables that torchrun sets."""
    for name, value in (("RANK", rank), ("WORLD_SIZE", size), ("LOCAL_WORLD_SIZE", size)):
        monkeypatch.setenv(name, str(value))


def load(folder: Path, overrides: list[str] | None = None, **launch: object) -> Recipe:
    return load_with_launch_options(write_recipe(folder), "w", overrides, launch)


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({}, (1, "auto", [])),
        ({"ranks": None, "launcher": None, "hosts": None}, (1, "auto", [])),
        ({"ranks": 4}, (4, "auto", [])),
        ({"launcher": "spark"}, (1, "spark", [])),
        ({"ranks": 4, "hosts": "a:2,b:2"}, (4, "hosts", ["a:2", "b:2"])),  # implied
        ({"ranks": 4, "launcher": "hosts", "hosts": "a:4"}, (4, "hosts", ["a:4"])),
    ],
)
def test_options_are_keys_of_the_train_section(
    launch: dict[str, object], expected: tuple[int, str, list[str]], tmp_path: Path
) -> None:
    train = load(tmp_path, **launch).train
    assert (train.ranks, train.launcher.kind, list(train.launcher.hosts)) == expected


def test_elastic_limits(tmp_path: Path) -> None:
    train = load(tmp_path, ranks=2, min_ranks=1, max_ranks=4).train
    assert (train.min_ranks, train.ranks, train.max_ranks) == (1, 2, 4)


def test_options_win_over_set(tmp_path: Path) -> None:
    assert load(tmp_path, ["train.ranks=2"], ranks=4).train.ranks == 4


def test_launched_processes_count_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start_as_rank(monkeypatch, 0, 4)
    assert load(tmp_path).train.ranks == 4
    assert load(tmp_path, ranks=2).train.ranks == 2
    # Elsewhere than `auto` and `launched` the variables of a launcher mean nothing.
    assert load(tmp_path, launcher="local").train.ranks == 1


def test_only_ranks_other_than_0_follow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    followed = []
    monkeypatch.setattr(
        "headrace.distributed.launchers.external.run_external_rank",
        lambda rank, patience: followed.append((rank.rank, rank.size, patience)),
    )
    assert run_as_follower(load(tmp_path)) is False
    start_as_rank(monkeypatch, 0, 2)
    assert run_as_follower(load(tmp_path)) is False
    assert followed == []
    start_as_rank(monkeypatch, 1, 2)
    recipe = load(tmp_path)
    assert run_as_follower(recipe) is True
    assert followed == [(1, 2, recipe.train.launcher.start_timeout)]


def test_what_is_done_once_is_refused_as_ranks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse_launched_ranks(load(tmp_path), "searches only once")
    start_as_rank(monkeypatch, 1, 2)
    with pytest.raises(MachineError) as error:
        refuse_launched_ranks(load(tmp_path), "searches only once: run it alone")
    assert str(error.value) == (
        "this command was started as 2 ranks, but searches only once: run it alone; or set "
        "train.launcher.kind"
    )
    refuse_launched_ranks(load(tmp_path, launcher="local"), "searches only once")

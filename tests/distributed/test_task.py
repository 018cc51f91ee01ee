"""A task as plain JSON, and as it runs again after a rank died."""

import os.path

import pytest

from headrace.distributed.task import RankTask

TASK = RankTask(
    target="os.path:join",
    payload={"resume": "never", "seed": 1},
    step_timeout=60,
    restart_payload={"resume": "auto"},
    sizes=[1, 2, 4],
    environment={"A": "é"},
)


def test_a_task_survives_json() -> None:
    assert RankTask.from_json(TASK.to_json()) == TASK


def test_a_restart_replaces_what_it_has_to_and_keeps_the_rest() -> None:
    restart = TASK.build_restart()
    assert restart.payload == {"resume": "auto", "seed": 1}
    assert TASK.payload == {"resume": "never", "seed": 1}
    assert (restart.target, restart.step_timeout, restart.sizes) == ("os.path:join", 60, [1, 2, 4])


def test_the_function_is_imported_by_its_name() -> None:
    assert TASK.import_function() is os.path.join
    with pytest.raises(AttributeError, match="no_such"):
        RankTask("os.path:no_such", {}).import_function()
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        RankTask("no_such:join", {}).import_function()


def test_a_task_with_sizes_is_elastic() -> None:
    assert TASK.is_elastic
    assert not RankTask("os.path:join", {}).is_elastic

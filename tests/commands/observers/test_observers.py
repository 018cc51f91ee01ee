"""Which observers the environment chooses, and that none of them can fail a stage."""

from pathlib import Path

import pytest

from headrace.commands.observers import BestEffort, open_observers
from tests.tiny import tiny_recipe


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, []),
        ({"HEADRACE_METRICS_FOLDER": "m"}, ["Prometheus"]),
        ({"HEADRACE_METRICS_PUSH": "http://gateway"}, ["Prometheus"]),
        ({"HEADRACE_METRICS_FOLDER": ""}, []),
        ({"OPENLINEAGE_URL": "http://lineage"}, ["Lineage"]),
        ({"OPENLINEAGE_URL": "http://lineage", "OPENLINEAGE_DISABLED": "True"}, []),
        ({"HEADRACE_METRICS_FOLDER": "m", "OPENLINEAGE_CONFIG": "c"}, ["Prometheus", "Lineage"]),
    ],
)
def test_the_environment_chooses(
    environment: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    observers = open_observers(tiny_recipe(tmp_path), environment, print)
    assert [type(observer).__name__ for observer in observers] == expected


def test_the_first_failure_is_printed_and_all_are_suppressed() -> None:
    lines: list[str] = []
    best_effort = BestEffort("events could not be sent", lines.append)
    with best_effort:
        pass
    assert lines == []
    for number in (1, 2):
        with best_effort:
            raise OSError(f"{number}: no route\nto host")
    with best_effort:
        raise ValueError
    assert lines == ["events could not be sent: OSError: 1: no route"]


def test_an_interrupt_is_not_suppressed() -> None:
    with pytest.raises(KeyboardInterrupt), BestEffort("events could not be sent", print):
        raise KeyboardInterrupt

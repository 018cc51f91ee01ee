"""What a build does with the drift of its rows, and what it takes over from the version before."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.columns.histogram import AXES_FILE, HistogramAxis, axes_to_json
from headrace.errors import LakeError
from headrace.lake.data_file import DataFile
from headrace.lake.profile import Distribution, Profile
from headrace.prepare.attempt import RebuildWithRefit
from headrace.prepare.build import _choose_axes_and_weights, _measure_drift
from headrace.prepare.write.job import Written
from tests.tiny import tiny_recipe


def profile(*counts: int) -> Profile:
    distribution = Distribution(
        name="x", kind="numbers", labels=(), edges=(0.0, 1.0, 2.0),
        counts={"train": counts, "validation": (0, 0), "test": (0, 0)}, unknown={},
    )  # fmt: skip
    return Profile(columns=(), distributions=(distribution,), rules=())


FROZEN: Any = SimpleNamespace(fitted_profile=profile(5000, 5000), fitted_rows=10_000)
WRITTEN = Written(
    [DataFile(path="f", split="train", bytes=1, row_groups=(600, 400), content="", partition="")],
    [], unseen=Counter(),
)  # fmt: skip


def measure(workdir: Path, on_drift: str, current: Profile, frozen: Any = FROZEN) -> Any:
    """Return the drift of rows, and what was reported."""
    messages: list[str] = []
    recipe = tiny_recipe(workdir, f"increments.on_drift={on_drift}")
    drift = _measure_drift(
        recipe, frozen, current, WRITTEN, lambda progress: messages.append(progress.text)
    )
    return drift, messages


def test_rows_that_fit_the_transform_cannot_drift_from_it(tmp_path: Path) -> None:
    assert measure(tmp_path, "fail", profile(1000, 0), frozen=None) == ((), [])


@pytest.mark.parametrize("on_drift", ["warn", "refit", "fail"])
def test_rows_that_did_not_drift_are_recorded_and_nothing_else(
    tmp_path: Path, on_drift: str
) -> None:
    drift, messages = measure(tmp_path, on_drift, profile(500, 500))
    assert [(d.name, d.has_drifted, d.rows) for d in drift] == [("x", False, 1000)]
    assert messages == []


def test_drift_is_reported_starts_the_build_again_or_ends_it(tmp_path: Path) -> None:
    drifted = profile(1000, 0)
    drift, messages = measure(tmp_path, "warn", drifted)
    assert [d.has_drifted for d in drift] == [True]
    assert len(messages) == 1
    assert messages[0].startswith("rows drifted from those of the transform: x")
    again, messages = measure(tmp_path, "refit", drifted)
    assert isinstance(again, RebuildWithRefit)
    assert again.drift.startswith("x")
    assert messages == []
    with pytest.raises(LakeError, match="x"):
        measure(tmp_path, "fail", drifted)


@pytest.mark.parametrize("fitted_by", [None, "older"])
def test_axes_and_weights_are_those_of_the_build_that_fitted_the_transform(
    tmp_path: Path, fitted_by: str | None
) -> None:
    axes = (HistogramAxis("x", edges=(0.0, 1.0), shown_edges=(0.0, 1.0)),)
    folder = tmp_path / "_headrace" / (fitted_by or "newest")
    folder.mkdir(parents=True)
    (folder / AXES_FILE).write_text(axes_to_json(axes))
    build = SimpleNamespace(transform_of=fitted_by, build_id="newest", class_weights={"a": 2.0})
    frozen: Any = SimpleNamespace(root=str(tmp_path), build=build)
    nothing: Any = None
    recipe = tiny_recipe(tmp_path)
    assert _choose_axes_and_weights(recipe, frozen, nothing, nothing) == (axes, {"a": 2.0})

"""The profile of a version is that of its base, with what came and without what went."""

from pathlib import Path

import numpy as np
import pytest

from headrace.lake import DatasetVersion, publish_build
from headrace.lake.build import Build
from headrace.lake.profile import (
    VERSION_PROFILE_FILE,
    Distribution,
    FileTally,
    Profile,
    RawColumnProfile,
    RuleCount,
)
from headrace.prepare.version_profile import build_version_profile
from tests.lake.building import SCHEMA
from tests.lake.nights import make_id, make_night

RULES = (RuleCount(name="r", on_violation="quarantine", rows=1, examples=()),)


def tally(path: str, night: int) -> FileTally:
    return FileTally(path, {"x": np.array([night, 1])}, {"x": night % 2}, {"raw": night})


def publish(root: Path, build: Build, base: DatasetVersion | None, *, is_old: bool = False) -> None:
    night = int(build.build_id.partition("-")[2], 16)
    (path,) = (file.path for file in build.files if build.build_id in file.path)
    tallies = FileTally.write_tallies([tally(path, night)])
    profile = Profile(
        columns=(RawColumnProfile(name="raw", kind="real", missing={"train": night}),),
        distributions=(
            Distribution(name="x", kind="ids", counts={"train": (night, 1)}, labels=("a", "b"),
                         unknown={"train": night % 2}),
        ),
        rules=RULES,
    )  # fmt: skip
    files: dict[str, str | bytes] = {
        "profile.json": profile.model_dump_json(), "tallies.parquet": tallies,
    }  # fmt: skip
    if base is not None and not is_old:
        files |= build_version_profile(base, build, tallies, RULES)
    publish_build(str(root), build, SCHEMA, "{}", files, like=base.build if base else None)


@pytest.mark.parametrize("is_old", [False, True], ids=["today", "bases without one"])
def test_a_profile_is_the_sum_of_the_tallies_of_the_files_that_are_there(
    tmp_path: Path, is_old: bool
) -> None:
    days: set[int] = set()
    for night in range(1, 9):
        base = DatasetVersion.open(str(tmp_path)) if days else None
        gone = night - 2 if night % 3 == 0 else -1
        build = make_night(tmp_path, night, base, without=gone)
        publish(tmp_path, build, base, is_old=is_old and night < 6)
        days = (days | {night}) - {gone}
        profile = DatasetVersion.open(str(tmp_path)).profile
        (distribution,), (column,) = profile.distributions, profile.columns
        assert distribution.counts == {"train": (sum(days), len(days))}
        assert distribution.unknown == {"train": sum(day % 2 for day in days)}
        assert column.missing == {"train": sum(days)}
        assert profile.rules == RULES
        has_file = (tmp_path / "_headrace" / make_id(night) / VERSION_PROFILE_FILE).exists()
        assert has_file == (night > 1 and not (is_old and night < 6))


def test_tallies_that_are_not_there_leave_it_to_whoever_asks(tmp_path: Path) -> None:
    for night in (1, 2):
        base = DatasetVersion.open(str(tmp_path)) if night > 1 else None
        publish(tmp_path, make_night(tmp_path, night, base), base)
    base = DatasetVersion.open(str(tmp_path))
    (tmp_path / "_headrace" / make_id(1) / "tallies.parquet").unlink()
    without = make_night(tmp_path, 3, base, without=1)
    assert build_version_profile(base, without, FileTally.write_tallies([]), ()) == {}
    with_all = make_night(tmp_path, 4, base)  # no tally of the first night is asked for
    assert build_version_profile(base, with_all, FileTally.write_tallies([]), ()) != {}

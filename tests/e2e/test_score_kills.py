"""A scoring job that is killed leaves the old predictions or the new; each row is scored once."""

import shutil
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable

from headrace.lake.predictions import find_newest_predictions
from headrace.recipe.overrides import apply_overrides
from tests.e2e.running import Done, headrace, killed_after, killed_at_step, moment
from tests.prepare.daily import TREE, day_of, write_day
from tests.score.scored import SETTINGS, lake_with_model

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROWS = 20_000
RANDOM_KILLS = 10


def rows_of(root: Path) -> pd.DataFrame:
    """What a reader of the newest version sees, but the time, by key."""
    actions = DeltaTable(str(root)).get_add_actions(flatten=True)
    paths = [str(path) for path in actions["path"].to_pylist()]
    parts = [pq.ParquetFile(root / path).read().to_pandas() for path in paths]
    frame = pd.concat(parts).drop(columns="scored_at")
    return frame.sort_values("event", ignore_index=True)


class Lake:
    """Two days scored, and a third one that the killed jobs are to add."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lake_with_model(folder, days=2)
        tree = yaml.safe_load(yaml.safe_dump(TREE))
        apply_overrides(tree, SETTINGS)
        (folder / "daily.yaml").write_text(yaml.safe_dump(tree))
        assert self.score("untouched").code == 0
        write_day(folder, 3, day_of(3, rows=ROWS, first=10_000))
        self.old = rows_of(folder / "untouched")
        shutil.copytree(folder / "untouched", folder / "undisturbed")
        began = time.monotonic()
        assert self.score("undisturbed").code == 0
        self.seconds = time.monotonic() - began
        self.new = rows_of(folder / "undisturbed")
        assert len(self.new) == len(self.old) + ROWS - 3

    def arguments(self, output: str) -> list[str]:
        return [
            "score", str(self.folder / "daily.yaml"), "--workdir", str(self.folder), "--json",
            "--input", str(self.folder / "lake" / "events"),
            "--output", str(self.folder / output), "--model", "models:/daily/1",
        ]  # fmt: skip

    def score(self, output: str) -> Done:
        return headrace(*self.arguments(output))

    def fresh(self) -> Path:
        root = self.folder / "killed"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.folder / "untouched", root)
        return root

    def check(self, root: Path, *, published: bool | None = None) -> None:
        """Old or new, then the rerun: every row once."""
        found = find_newest_predictions(str(root))
        assert found is not None
        version, record = found
        assert version in (0, 1)
        if published is not None:
            assert version == (1 if published else 0)
        pd.testing.assert_frame_equal(rows_of(root), self.new if version else self.old)
        assert record.ledger.scored == len(rows_of(root))
        done = self.score("killed")
        assert done.code == 0, done.err
        assert done.result["published"] is (version == 0)
        pd.testing.assert_frame_equal(rows_of(root), self.new)
        assert not rows_of(root)["event"].duplicated().any()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("score-kills"))


@pytest.mark.parametrize(
    "step",
    ["first data file", "before the predictions' record", "before the commit", "after the commit"],
)
def test_killed_at_a_step(lake: Lake, step: str) -> None:
    root = lake.fresh()
    killed_at_step(step, root, lake.arguments("killed"))
    lake.check(root, published=step == "after the commit")


def test_a_first_job_that_is_killed_leaves_no_predictions(lake: Lake) -> None:
    root = lake.folder / "first"
    killed_at_step("before the first commit", root, lake.arguments("first"))
    assert list(root.rglob("*.parquet"))
    assert find_newest_predictions(str(root)) is None
    assert lake.score("first").code == 0
    pd.testing.assert_frame_equal(rows_of(root), lake.new)


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_killed_at_a_random_time(lake: Lake, number: int) -> None:
    root = lake.fresh()
    killed_after(moment(number, RANDOM_KILLS, lake.seconds), lake.arguments("killed"))
    lake.check(root)

"""A driver that is killed leaves the old version or the new one, and the rerun mends it."""

import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from headrace.errors import DatasetError
from headrace.lake import DatasetVersion
from tests.e2e.killed import STEPS
from tests.e2e.running import Done, headrace, killed_after, killed_at_step, moment
from tests.prepare.daily import TREE, day_of, read_rows, write_day, write_places

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROWS = 4000
RANDOM_KILLS = 14


class Lake:
    """Two days published, and a third one that the killed builds are to add."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = folder / "daily.yaml"
        self.recipe.write_text(yaml.safe_dump(TREE))
        write_places(folder)
        for day in (1, 2):
            write_day(folder, day, day_of(day, rows=ROWS // 10))
        assert self.prepare("untouched").code == 0
        # the third day brings keys of the first again, so that a build has two passes
        again = day_of(3, rows=50, first=1010, at=1)
        write_day(folder, 3, day_of(3, rows=ROWS, first=10_000), again)
        self.old = read_rows(DatasetVersion.open(str(folder / "untouched")))
        shutil.copytree(folder / "untouched", folder / "undisturbed")
        began = time.monotonic()
        assert self.prepare("undisturbed").code == 0
        self.seconds = time.monotonic() - began
        self.new = read_rows(DatasetVersion.open(str(folder / "undisturbed")))
        assert len(self.new) > len(self.old) + ROWS - 100

    def arguments(self, dataset: str) -> list[str]:
        return [
            "prepare", str(self.recipe), "--workdir", str(self.folder), "--json",
            "--set", f"dataset.path={self.folder / dataset}",
        ]  # fmt: skip

    def prepare(self, dataset: str) -> Done:
        return headrace(*self.arguments(dataset))

    def fresh(self) -> Path:
        root = self.folder / "killed"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.folder / "untouched", root)
        return root

    def check(self, root: Path, *, published: bool | None = None) -> bool:
        """Old or new, then the rerun; returns whether the killed build was published."""
        found = DatasetVersion.open(str(root))
        assert found.version in (0, 1)
        if published is not None:
            assert found.version == (1 if published else 0)
        pd.testing.assert_frame_equal(read_rows(found), self.new if found.version else self.old)
        done = self.prepare("killed")
        assert done.code == 0, done.err
        assert done.result["published"] is (found.version == 0)
        newest = DatasetVersion.open(str(root))
        assert newest.version == 1
        pd.testing.assert_frame_equal(read_rows(newest), self.new)
        # leftovers are found, and nothing that lives is one
        swept = headrace(
            "vacuum", str(root), "--keep-hours", "999", "--leftovers-after-hours", "0", "--yes",
            "--json",
        )  # fmt: skip
        assert swept.code == 0, swept.err
        pd.testing.assert_frame_equal(read_rows(newest), self.new)
        pd.testing.assert_frame_equal(read_rows(DatasetVersion.open(str(root), 0)), self.old)
        live = {f.path for v in (0, 1) for f in DatasetVersion.open(str(root), v).build.files}
        assert {str(p.relative_to(root)) for p in root.glob("split=*/*.parquet")} == live
        return found.version == 1


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step(lake: Lake, step: str) -> None:
    root = lake.fresh()
    killed_at_step(step, root, lake.arguments("killed"))
    lake.check(root, published=step in ("after the commit", "reading back", "before the record"))


@pytest.mark.parametrize("step", ["first data file", "in the sidecar", "before the first commit"])
def test_a_first_build_that_is_killed_leaves_no_dataset(lake: Lake, step: str) -> None:
    root = lake.folder / "killed"
    shutil.rmtree(root, ignore_errors=True)
    killed_at_step(step, root, lake.arguments("killed"))
    with pytest.raises(DatasetError, match="there is no dataset"):
        DatasetVersion.open(str(root))
    again = lake.prepare("killed")
    assert again.code == 0, again.err
    shutil.rmtree(lake.folder / "first", ignore_errors=True)
    assert lake.prepare("first").code == 0
    first, mended = (DatasetVersion.open(str(lake.folder / name)) for name in ("first", "killed"))
    assert (mended.version, mended.digest) == (0, first.digest)


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_killed_at_a_random_time(lake: Lake, number: int) -> None:
    root = lake.fresh()
    killed_after(moment(number, RANDOM_KILLS, lake.seconds), lake.arguments("killed"))
    lake.check(root)

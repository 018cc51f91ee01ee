"""Two drivers that build at once: one wins, the other says so or finds nothing left to do."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from headrace.lake import DatasetVersion
from headrace.lake.build import read_build
from headrace.lake.history import list_versions
from tests.prepare.daily import TREE, read_rows, write_day, write_places

pytestmark = [pytest.mark.e2e, pytest.mark.long]

ROUNDS = 10
KEPT = 147  # rows of a day that no rule rejects


def test_ten_rounds_of_two_builds_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "daily.yaml"
    recipe.write_text(yaml.safe_dump(TREE))
    write_places(tmp_path)
    headrace = str(Path(sys.executable).with_name("headrace"))
    ends = {"published": 0, "nothing to do": 0, "conflict": 0}
    for number in range(1, ROUNDS + 1):
        write_day(tmp_path, number)
        # one of them begins again where it loses, the other gives up
        builds = [
            subprocess.Popen(
                [headrace, "prepare", str(recipe), "--workdir", str(tmp_path), *more],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for more in (["--retry-conflicts", "2"], [])
        ]  # fmt: skip
        for build, retries in zip(builds, (True, False), strict=True):
            out = build.communicate(timeout=300)[0]
            if build.returncode:
                assert not retries, out
                assert "Another build was published since this one began" in out
                ends["conflict"] += 1
            else:
                ends["nothing to do" if "nothing changed" in out else "published"] += 1
        newest = DatasetVersion.open(str(tmp_path / "dataset"))
        rows = read_rows(newest)
        assert len(rows) == number * KEPT == rows["row_id"].nunique()
        assert newest.build.ledger.read == number * 150
        live = {f.path for f in newest.build.files}
        there = {str(p.relative_to(newest.root)) for p in Path(newest.root).glob("split=*/*")}
        known = {
            file.path
            for past in list_versions(newest.root)
            for file in read_build(newest.root, str(past.build_id)).files
        }
        assert live <= there <= known  # a build that lost left nothing behind
    assert ends["published"] == ROUNDS
    assert ends["published"] + ends["nothing to do"] + ends["conflict"] == 2 * ROUNDS
    assert ends["conflict"] > 0

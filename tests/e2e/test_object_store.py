"""A dataset in an object store, every stage a process of its own: the same as on a disk."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from headrace.lake import DatasetVersion
from tests.e2e.running import BIN, Done, headrace
from tests.e2e.running import ROOT as REPOSITORY
from tests.prepare.daily import TREE, day_of, write_day, write_places
from tests.s3 import KEY, S3, SECRET, s3_server

pytestmark = pytest.mark.e2e

ROOT = "s3://lake/datasets/daily"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    (tmp_path / "daily.yaml").write_text(
        yaml.safe_dump({**TREE, "train": {"epochs": 2, "global_batch_size": 64, "ranks": 2}})
    )
    write_places(tmp_path)
    for day in (1, 2):
        write_day(tmp_path, day)
    return tmp_path


def stage(lake: Path, s3: S3, name: str, *options: str, code: int = 0) -> Done:
    done = headrace(
        name, str(lake / "daily.yaml"), "--workdir", str(lake), "--json", *options,
        **s3.environment,
    )  # fmt: skip
    assert done.code == code, done.err
    assert SECRET not in done.out + done.err
    assert KEY not in done.out + done.err
    return done


@pytest.mark.long
def test_the_road_through_an_object_store(
    lake: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ["--set", f"dataset.path={ROOT}/"]
    first = stage(lake, s3, "prepare", *there).result
    assert first["dataset"]["path"] == ROOT
    assert first["ledger"]["quarantined"] == {"range(x)": 6}
    # the third day has keys of the first: a second pass, and rows of the first day that go
    write_day(lake, 3, day_of(3), day_of(1, rows=20, first=1010, at=25))
    third = stage(lake, s3, "prepare", *there).result
    assert third["dataset"]["version"] == 1
    assert third["processed"]["read"] == 320
    assert third["ledger"]["duplicates"] > 0
    assert not stage(lake, s3, "prepare", *there).result["published"]
    # the same on a disk, of which the lake knows nothing
    disk = stage(lake, s3, "prepare").result
    ends = [(r["ledger"]["published"], r["ledger"]["duplicates"]) for r in (third, disk)]
    assert ends[0] == ends[1]
    assert s3.files().find(first["quarantine"])

    trained = stage(lake, s3, "train", *there).result
    assert trained["dataset"] == third["dataset"]
    # checkpoints there, too, of a training that is told to end and goes on
    kept = ["--set", "train.checkpoint.path=s3://lake/checkpoints", "--set", "train.epochs=400"]
    process = subprocess.Popen(
        [str(BIN / "headrace"), "train", str(lake / "daily.yaml"), "--workdir", str(lake), *there,
         *kept],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env={**os.environ, **s3.environment},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 9 of" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    assert process.wait(timeout=60) == 143
    found = s3.files().find("lake/checkpoints")
    assert found and all(path.endswith(".ckpt") for path in found)
    more = stage(lake, s3, "train", *there, *kept)
    assert re.search(r"continuing (in|after) epoch", more.err)
    assert any(path.endswith("finished.json") for path in s3.files().find("lake/checkpoints"))
    assert stage(lake, s3, "evaluate", *there).result["metrics"]["test_rows"] > 0

    scores = ["--output", f"{ROOT}-scores", "--model", trained["model_uri"]]
    events = ["--input", str(lake / "lake" / "events")]
    scored = stage(lake, s3, "score", *there, *events, *scores).result
    assert scored["ledger"]["read"] == scored["ledger"]["scored"] + 12
    assert s3.files().find(scored["quarantine"])
    assert not stage(lake, s3, "score", *there, *events, *scores).result["published"]

    dataset = [ROOT, "--json"]
    shown = headrace("inspect", *dataset, "--workdir", str(lake), **s3.environment).result
    assert [v["version"] for v in shown["versions"]] == [0, 1]
    assert {run["stage"] for run in shown["runs"]} == {"prepare", "train"}
    differ = headrace("diff", ROOT, "0", "1", "--json", **s3.environment).result
    assert differ["partitions"] == {"added": ["day=03"], "removed": [], "changed": []}
    swept = headrace("vacuum", *dataset, "--keep-hours", "0", "--yes", **s3.environment)
    assert swept.result["versions"] == [0]
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    newest = DatasetVersion.open(ROOT)
    assert newest.version == 1
    live = {f"{ROOT[5:]}/{file.path}" for file in newest.build.files}
    assert {path for path in s3.files().find(ROOT) if "/split=" in path} == live


def test_a_store_that_is_gone_is_a_failed_run_that_says_so(lake: Path, s3: S3) -> None:
    away = S3("http://127.0.0.1:9")
    done = stage(lake, away, "prepare", "--set", f"dataset.path={ROOT}", code=1)
    assert f"headrace prepare: the dataset: {ROOT} cannot be reached:" in done.err
    assert "Traceback" not in done.err
    assert "starting Spark" not in done.err

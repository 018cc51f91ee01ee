"""Kept datasets and predictions grow by further nights."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from headrace.lake.predictions import open_predictions
from headrace.prepare import BuildRequest, Prepared, prepare
from headrace.progress import ignore_progress
from headrace.score.run import Scored, score
from tests.compat.kept import kept_recipe
from tests.fixtures.v1 import lakes
from tests.fixtures.v1.unpack import expected
from tests.prepare.daily import list_processed, read_rows

pytestmark = pytest.mark.spark


def build(workdir: Path, name: str, *overrides: str, **asked: bool) -> Prepared:
    recipe = kept_recipe(workdir, name, *overrides)
    return prepare(
        recipe, workdir=str(workdir), report=ignore_progress, request=BuildRequest(**asked)
    )


@pytest.mark.parametrize(
    "name",
    [
        "visits",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("pictures", "letters", "series")),
    ],
)
def test_where_nothing_changed_nothing_is_built(own: Path, name: str) -> None:
    found = build(own, name)
    assert (found.published, found.why) == (False, "nothing changed")
    assert found.dataset.digest == expected()["datasets"][name][-1]["digest"]


def test_a_further_day_is_added_by_the_same_transform(own: Path) -> None:
    before = DatasetVersion.open(str(own / "datasets" / "visits"))
    lakes.write_day(own / "lake" / "visits", 4)
    found = build(own, "visits")
    assert found.published
    assert list_processed(found) == {"day=4"}
    after = found.dataset
    assert after.build.transform_digest == before.build.transform_digest
    assert after.transform_json == before.transform_json
    assert after.build.transform_format == 2
    assert {f.path for f in before.build.files} < {f.path for f in after.build.files}
    assert after.build.ledger.read == before.build.ledger.read + 120
    # What everything processed anew by the same transform makes of the lake, row by row.
    shutil.copytree(after.root, own / "rebuilt")
    whole = build(own, "visits", f"dataset.path={own}/rebuilt", full=True).dataset
    assert not after.build.stored
    raw = [i.name for n, i in whole.build.stored.items() if n not in whole.build.kept]
    assert raw  # the old version goes on without raw values, a full build adds them
    pd.testing.assert_frame_equal(read_rows(after), read_rows(whole).drop(columns=raw))


@pytest.mark.long
def test_days_are_removed_and_the_transform_fitted_anew(own: Path) -> None:
    (own / "lake" / "visits" / "day=1" / "part-0.parquet").unlink()
    (own / "lake" / "visits" / "day=1").rmdir()
    removed = build(own, "visits")
    assert removed.published and list_processed(removed) == set()
    assert not [p for p in removed.dataset.build.partitions if p.name == "day=1"]
    fitted = build(own, "visits", refit=True)
    assert fitted.dataset.build.transform_of is None


@pytest.mark.long
@pytest.mark.parametrize("name", ["pictures", "letters", "series"])
def test_a_full_build_by_the_kept_transform_gives_the_same_rows(own: Path, name: str) -> None:
    before = DatasetVersion.open(str(own / "datasets" / name))
    found = build(own, name, full=True).dataset
    assert found.build.transform_digest == before.build.transform_digest
    assert found.digest == before.digest  # of the content of every file


def night(workdir: Path, **asked: object) -> Scored:
    return score(
        kept_recipe(workdir, "visits"),
        table=str(workdir / "lake" / "arrivals"), output=str(workdir / "scores"),
        workdir=str(workdir), report=ignore_progress, **asked,
    )  # fmt: skip


def predictions(workdir: Path, number: int) -> pd.DataFrame:
    _, record = open_predictions(str(workdir / "scores"), number)
    parts = [
        pq.ParquetFile(workdir / "scores" / file.path).read().to_pandas() for file in record.files
    ]
    return pd.concat(parts).sort_values("visit", ignore_index=True)


def test_a_third_night_is_scored_beside_two_kept_ones(own: Path) -> None:
    nights = expected()["predictions"]
    kept_rows = predictions(own, nights[-1]["version"])
    lakes.write_day(own / "lake" / "arrivals", 13)
    done = night(own)
    assert done.published
    assert done.record.processed_ledger.read == 120
    assert done.record.ledger.read == nights[-1]["ledger"]["read"] + 120
    found = predictions(own, done.version)
    old = found[found["visit"] < 13_000].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, kept_rows)
    # The champion says of the kept nights today what it said then.
    again = predictions(own, night(own, full=True).version)
    old = again[again["visit"] < 13_000]["probability"].to_numpy()
    np.testing.assert_allclose(old, kept_rows["probability"].to_numpy(), atol=1e-6)


@pytest.mark.long
def test_a_night_that_was_scored_is_not_scored_again(kept: Path) -> None:
    done = night(kept)
    assert (done.published, done.version) == (False, expected()["predictions"][-1]["version"])

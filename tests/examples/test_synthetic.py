"""The synthetic lake: dirt in documented shares, the same rows every time, something to learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from headrace.errors import LakeError
from headrace.examples import synthetic as syn
from headrace.progress import ignore_progress

ROWS = 20_000


@pytest.fixture(scope="module")
def lake(spark: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("synthetic") / "lake"
    manifest, written = syn.ensure_synthetic_lake(
        spark, str(folder), rows=ROWS, seed=5, days=4, report=ignore_progress
    )
    assert written
    return folder, manifest["made"]


@pytest.fixture(scope="module")
def frame(lake: tuple[Path, dict]) -> pd.DataFrame:
    return pd.read_parquet(lake[0] / "clicks")


pytestmark = pytest.mark.spark


def test_rows_columns_and_days(frame: pd.DataFrame) -> None:
    assert len(frame) == ROWS
    assert set(frame) == {"event_id", "label", "day", *syn.NUMERIC, *syn.CATEGORICAL}
    assert frame["day"].nunique() == 4


def test_the_manifest_counts_what_was_injected(
    lake: tuple[Path, dict], frame: pd.DataFrame
) -> None:
    manifest = lake[1]
    assert manifest["duplicates"] == len(frame) - frame["event_id"].nunique() == 200
    assert frame.duplicated().sum() == 200  # exact copies
    assert manifest["positive"] == frame["label"].sum()
    for name in syn.NUMERIC:
        assert manifest["injected"][f"null.{name}"] == frame[name].isna().sum()
    for name in syn.TEXT_NUMERIC:
        assert manifest["injected"][f"garbage.{name}"] == (frame[name] == "n/a").sum()


def test_shares_are_as_documented(frame: pd.DataFrame) -> None:
    def is_near(share: float, expected: float) -> bool:  # five standard deviations of a binomial
        return abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / ROWS)

    for name in (*syn.NUMERIC, *syn.CATEGORICAL):
        assert is_near(frame[name].isna().mean(), syn.SHARES["nulls"]), name
    assert is_near((frame["i12"] == "n/a").mean(), syn.SHARES["garbage"])
    assert is_near((frame["i1"] >= 1e6).mean(), syn.SHARES["outliers"])


def test_frequencies_are_zipf(frame: pd.DataFrame) -> None:
    counts = frame["c3"].value_counts()
    assert 2_000 < len(counts) < 100_000
    # P(rank 1) = log_n 2: 6% of 100,000 values; rank 1 is twice as frequent as about rank 2.4
    assert counts.iloc[0] / ROWS == pytest.approx(np.log(2) / np.log(1e5) * 0.95, rel=0.15)
    assert frame["c9"].nunique() == 3


def test_the_label_can_be_learnt(frame: pd.DataFrame) -> None:
    columns = ["c1", "c2", "c6", "c9", "c14", "c17"]
    common = [frame[c].where(frame[c].isin(frame[c].value_counts().index[:30])) for c in columns]
    x = pd.get_dummies(pd.concat(common, axis=1)).assign(
        **{n: np.log1p(frame[n].clip(upper=1e4)).fillna(1.7) for n in ("i1", "i2")}
    )
    half = ROWS // 2
    model = LogisticRegression(max_iter=500).fit(x[:half], frame["label"][:half])
    assert roc_auc_score(frame["label"][half:], model.predict_proba(x[half:])[:, 1]) > 0.7


def test_rows_are_a_function_of_seed_and_event_alone() -> None:
    events = np.arange(100)
    whole = syn.generate_clicks(events, 5, 4, 19_800).to_pandas()
    halves = [
        syn.generate_clicks(events[s], 5, 4, 19_800).to_pandas()
        for s in (slice(50), slice(50, 100))
    ]
    pd.testing.assert_frame_equal(whole, pd.concat(halves, ignore_index=True))
    assert not whole.equals(syn.generate_clicks(events, 6, 4, 19_800).to_pandas())


def test_too_few_rows_are_refused(spark: object, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="rows >= 100"):
        syn.ensure_synthetic_lake(
            spark, str(tmp_path / "x"), rows=5, seed=0, days=1, report=ignore_progress
        )

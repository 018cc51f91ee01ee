"""The registered model behind MLflow's own server, and scoring by spark-submit: one answer."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable

from headrace.recipe.overrides import apply_overrides
from tests.e2e.running import BIN, ROOT, asked, asked_by_csv, headrace, run, served_model
from tests.prepare.daily import TREE, day_of
from tests.score.scored import SETTINGS, lake_with_model

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, and a champion."""
    folder = tmp_path_factory.mktemp("serving")
    lake_with_model(folder)
    tree = yaml.safe_load(yaml.safe_dump(TREE))
    apply_overrides(tree, (*SETTINGS, "evaluate.gates=[]"))  # its label is random
    (folder / "daily.yaml").write_text(yaml.safe_dump(tree))
    common = [str(folder / "daily.yaml"), "--workdir", str(folder)]
    assert headrace("evaluate", *common).code == 0
    assert headrace("promote", *common).code == 0
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with served_model(folder, "models:/daily@champion", folder / "serve.log") as address:
        yield address


def test_the_server_answers_as_the_batch_does(folder: Path, server: str) -> None:
    done = run(
        str(BIN / "spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false",
        str(ROOT / "jobs" / "score.py"), str(folder / "daily.yaml"), "--workdir", str(folder),
        "--input", str(folder / "lake" / "events"), "--output", str(folder / "scores"), "--json",
        PYSPARK_PYTHON=str(BIN / "python"), SPARK_LOCAL_IP="127.0.0.1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.result["ledger"]["scored"] == 441
    paths = DeltaTable(str(folder / "scores")).get_add_actions(flatten=True)["path"].to_pylist()
    frame = pd.concat(
        pq.ParquetFile(folder / "scores" / str(path)).read().to_pandas() for path in paths
    ).set_index("event")

    raw = pd.concat([day_of(day).to_pandas() for day in (1, 2, 3)])
    places = pq.read_table(folder / "lake" / "places").to_pandas()
    raw = raw.merge(places, on="place", how="left")
    records = json.loads(raw[["x", "height", "place"]].to_json(orient="records"))
    answer = pd.DataFrame(asked(server, records), index=raw["event"])
    # What the batch put into quarantine has a reason in place of a prediction.
    broken = answer[(raw["x"] < 0).to_numpy()]
    assert broken["reason"].str.startswith("range(x): x is -").all()
    assert broken[["probability", "prediction"]].isna().all(axis=None)
    raw, answer = raw[raw["x"] >= 0], answer[(raw["x"] >= 0).to_numpy()]
    assert len(answer) == 441
    assert answer.pop("reason").isna().all()
    served = answer
    both = frame.join(served, rsuffix="_served")
    assert np.abs(both["probability"] - both["probability_served"]).max() < 1e-5
    assert (both["prediction"] == both["prediction_served"]).all()
    assert done.result["model_uri"] == "models:/daily/1"
    by_csv = pd.DataFrame(asked_by_csv(server, raw[["x", "height", "place"]]), index=raw["event"])
    assert np.abs(both["probability_served"] - by_csv["probability"]).max() < 1e-6

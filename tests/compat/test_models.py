"""Kept models: each is loaded, served and judged, the aliases move, the study goes on."""

import base64
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pyarrow.parquet as pq
import pytest

from headrace.evaluate.promote import promote, roll_back
from headrace.lake import DatasetVersion
from headrace.progress import ignore_progress
from headrace.tracking.golden import (
    ABSOLUTE_TOLERANCE,
    RECORDED_PREFIX,
    RELATIVE_TOLERANCE,
    find_differences,
)
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.registry import find_champion, read_verdict
from headrace.tracking.store import Store, open_client
from headrace.train.study import _name_study
from tests.compat.kept import DATASETS, kept_recipe, succeeded
from tests.e2e.running import asked, served_model
from tests.fixtures.v1.recipes import RECIPES
from tests.fixtures.v1.unpack import expected

pytestmark = pytest.mark.e2e
MODELS = sorted(expected()["models"])
FAMILIES = {"mlp", "wide_deep", "dcn", "cnn", "resnet", "rnn", "transformer", "python"}


def store_of(workdir: Path, name: str) -> Store:
    return Store.from_recipe(kept_recipe(workdir, name), str(workdir), {})


def name_of(uri: str) -> str:
    return uri.removeprefix("models:/").partition("/")[0]


def recorded(workdir: Path, uri: str, folder: Path) -> tuple[pd.DataFrame, dict[str, Any], Any]:
    """Raw rows of a model, what was predicted of them then, and what is rounding."""
    store = store_of(workdir, name_of(uri))
    path = download_model_file(store, find_model(store, uri), "golden", str(folder))
    table = pq.read_table(path)
    names = [n for n in table.column_names if n.startswith(RECORDED_PREFIX)]
    then = {n.removeprefix(RECORDED_PREFIX): table[n].to_pylist() for n in names}
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    limits = {
        "absolute": float(metadata[ABSOLUTE_TOLERANCE]),
        "relative": float(metadata[RELATIVE_TOLERANCE]),
    }
    return table.drop_columns(names).to_pandas(), then, limits


def compare(found: pd.DataFrame, then: dict[str, Any], limits: Any) -> None:
    for column, values in then.items():
        now = found[column].tolist()
        if isinstance(now[0], dict):
            now = [list(row.values()) for row in now]
        expected_values = np.array(values, object if isinstance(values[0], str) else None)
        different, _ = find_differences(expected_values, np.array(now), **limits)
        assert not different.any(), column


def test_a_model_of_every_family_is_kept(kept: Path) -> None:
    families = set()
    for uri in MODELS:
        store = store_of(kept, name_of(uri))
        run = open_client(store).get_run(find_model(store, uri).run_id)
        families.add(run.data.params["model.kind"])
    assert families == FAMILIES


@pytest.mark.parametrize("uri", MODELS)
def test_a_model_says_of_raw_rows_what_it_said(kept: Path, uri: str, tmp_path: Path) -> None:
    rows, then, limits = recorded(kept, uri, tmp_path)
    open_client(store_of(kept, name_of(uri)))
    compare(mlflow.pyfunc.load_model(uri).predict(rows), then, limits)


def passed_then(uri: str, facts: dict[str, Any]) -> bool | None:
    """Return the verdict of then as it is read now: without a gate nothing was judged."""
    return facts["passed"] if RECIPES[name_of(uri)]["evaluate"].get("gates") else None


def test_runs_figures_and_verdicts_are_there(kept: Path) -> None:
    for uri, facts in expected()["models"].items():
        store = store_of(kept, name_of(uri))
        model = find_model(store, uri)
        client = open_client(store)
        assert client.get_run(model.run_id).info.status == "FINISHED"
        losses = [m.value for m in client.get_metric_history(facts["run_id"], "train_loss")]
        assert facts["metrics"]["train_loss"] in losses
        assert len(losses) == facts["metrics"]["epochs"]
        if "passed" in facts:
            assert read_verdict(store, model)["passed"] is passed_then(uri, facts)
            figures = client.get_run(model.run_id).data.metrics
            assert figures["test_rows"] == facts["evaluated"]["test_rows"]


def test_the_champion_is_followed_and_rolled_back(own: Path) -> None:
    recipe = kept_recipe(own, "visits")
    store = store_of(own, "visits")
    assert find_champion(store).version == 2
    done = promote(recipe, workdir=str(own), report=ignore_progress, model_uri="models:/visits/3")
    assert (done.alias_move.champion, done.alias_move.before) == (3, 2)
    assert done.golden.passed and done.golden.rows > 10
    for champion in (2, 1):
        assert roll_back(recipe, workdir=str(own)).champion == champion


@pytest.mark.parametrize(
    "uri",
    ["models:/series/1"]
    + [pytest.param(u, marks=pytest.mark.long) for u in MODELS if u != "models:/series/1"],
)
def test_a_model_is_judged_as_it_was(own: Path, uri: str) -> None:
    facts = expected()["models"][uri]
    # A recipe without gates had none, and has those that are the default now.
    none = () if RECIPES[name_of(uri)]["evaluate"].get("gates") else ("--set", "evaluate.gates=[]")
    found = succeeded(own, "evaluate", name_of(uri), "--model", uri, *none)
    for name, value in facts.get("evaluated", {}).items():
        assert found["metrics"][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    if "passed" in facts:
        assert found["verdict"]["passed"] is passed_then(uri, facts)


@pytest.mark.long
@pytest.mark.parametrize("name", DATASETS)
def test_a_model_is_served(kept: Path, name: str, tmp_path: Path) -> None:
    uri = f"models:/{name}/1"
    rows, then, limits = recorded(kept, uri, tmp_path)
    records = [{k: as_json(v) for k, v in row.items()} for row in rows.to_dict("records")]
    with served_model(kept, uri, tmp_path / "serve.log") as address:
        compare(pd.DataFrame(asked(address, records)), then, limits)


def as_json(value: Any) -> Any:
    """A raw value as a client of the server writes it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, np.ndarray):
        return [as_json(item) for item in value.tolist()]
    if value is None or value is pd.NaT or value != value:
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def test_the_study_is_the_one_that_the_recipe_goes_on_with(kept: Path, tmp_path: Path) -> None:
    recipe = kept_recipe(kept, "visits")
    dataset = DatasetVersion.open(recipe.dataset.path)
    study = optuna.load_study(
        study_name=_name_study(recipe, dataset), storage=f"sqlite:///{kept}/tune/visits.db"
    )
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE"]
    assert study.best_trial.user_attrs == expected()["study"]


@pytest.mark.long
def test_the_study_goes_on(own: Path) -> None:
    done = succeeded(own, "tune", "visits", "--trials", "3")
    assert done["trials"] == {"COMPLETE": 3}


def test_nothing_of_the_place_where_they_were_made_is_left(kept: Path) -> None:
    before = expected()["root"]
    with sqlite3.connect(kept / "mlflow" / "mlflow.db") as database:
        assert not [line for line in database.iterdump() if before in line]

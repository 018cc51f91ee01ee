"""The whole road with vocabularies in files: the weights, predictions and answers of those within
the transform; and a training that takes over rows from the model."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from deltalake import DeltaTable

from headrace.features import stored_texts
from headrace.models.load import load_keras_model
from headrace.prepare import prepare
from headrace.progress import ignore_progress
from headrace.score.run import score
from headrace.tracking.golden import check_golden
from headrace.tracking.model import download_model_file, find_model
from headrace.tracking.store import Store, open_client
from headrace.train import train
from tests import tiny

pytestmark = [pytest.mark.e2e, pytest.mark.long]
FEATURES = (
    "features={amount: {kind: standardize}, shop: {kind: vocabulary},"
    "hour: {kind: vocabulary, oov_ids: 2}, note: {kind: text, length: 2}}"
)
RAW = pd.DataFrame(
    {
        "shop": ["a", None, "unseen", "é", "c"],
        "amount": [50.0, None, 1.0, 2.0, 3.0],
        "clock": [1230, 30, 2359, 9999, 100],
        "note": ["", None, "日本 é", "x\n" * 1000, "é"],
    }
)


def run_road(workdir: Path, most_texts: int) -> tuple[list[Any], pd.DataFrame, pd.DataFrame]:
    """Return the trained weights, batch predictions, and answers of the served model."""
    tiny.write_tiny_lake(workdir / "lake")
    recipe = tiny.tiny_recipe(workdir, FEATURES)
    work = {"workdir": str(workdir), "report": ignore_progress}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_texts, "INLINE_TEXTS", most_texts)
        prepare(recipe, **work)
    trained = train(recipe, **work)
    done = score(
        recipe, table=f"{workdir}/lake/visits", output=f"{workdir}/scores",
        model_uri=trained.model_uri, **work,
    )  # fmt: skip
    paths = DeltaTable(done.root).get_add_actions(flatten=True)["path"].to_pylist()
    batch = pd.concat(pd.read_parquet(f"{done.root}/{path}") for path in paths)
    store = Store.from_recipe(recipe, str(workdir), {})
    model = find_model(store, trained.model_uri)
    assert check_golden(store, model).passed
    file = download_model_file(store, model, "keras_model", str(workdir))
    weights = [w.numpy().tolist() for w in load_keras_model(file, "the model").weights]
    open_client(store)
    answers = mlflow.pyfunc.load_model(trained.model_uri).predict(RAW)
    again = train(tiny.tiny_recipe(
        workdir, FEATURES, f"train.initial_model={trained.model_uri}", "train.epochs=1"
    ), **work)  # fmt: skip
    assert again.model_uri != trained.model_uri
    columns = sorted({*batch.columns} - {"scored_at"})
    return weights, batch[columns].sort_values(columns, ignore_index=True), answers


def test_files_give_what_texts_within_the_transform_give(tmp_path: Path) -> None:
    weights, batch, answers = run_road(tmp_path / "inline", stored_texts.INLINE_TEXTS)
    stored_weights, stored_batch, stored_answers = run_road(tmp_path / "stored", 2)
    assert stored_weights == weights
    pd.testing.assert_frame_equal(stored_batch, batch)
    pd.testing.assert_frame_equal(stored_answers, answers)
    transforms = [
        path.parent.name
        for path in (tmp_path / "stored").rglob("texts-*.arrow")
        if "artifacts" in path.parts
    ]
    assert transforms and {*transforms} == {"texts"}

"""The whole road with four hundred columns, and a graph that is no larger for them."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks.wide import make_recipe, split_columns, write_lake
from tests.e2e.running import headrace

pytestmark = [pytest.mark.e2e, pytest.mark.long]
COLUMNS, ROWS = 400, 2000


def test_four_hundred_columns_from_lake_to_scores(tmp_path: Path) -> None:
    lake, recipe = tmp_path / "lake", tmp_path / "wide.yaml"
    write_lake(lake, COLUMNS, ROWS)
    plain = make_recipe(str(lake), COLUMNS)
    plain["train"]["global_batch_size"] = 256
    recipe.write_text(yaml.safe_dump(plain, sort_keys=False))
    options = [str(recipe), "--workdir", str(tmp_path), "--json"]
    table = ["--input", str(lake), "--output", str(tmp_path / "scores")]
    results = {}
    for name, more in (
        ("check", []), ("prepare", []), ("train", []), ("evaluate", []), ("promote", []),
        ("score", table),
    ):  # fmt: skip
        done = headrace(name, *options, *more)
        assert done.code == 0, done.err
        results[name] = done.result
    (transform,) = (tmp_path / "mlflow").rglob("artifacts/transform.json")
    spec = json.loads(transform.read_text())
    numbers, texts = split_columns(COLUMNS)
    kinds = [feature["kind"] for feature in spec["features"]]
    assert (kinds.count("scaled"), kinds.count("vocabulary")) == (numbers, texts)
    graph = transform.parent / "saved_model" / "saved_model.pb"
    # A placeholder, an argument and a name or two for each raw column; the keys of vocabularies are
    # what else grows.
    keys = sum(len(value) + 16 for f in spec["features"] for value in f.get("values", ()))
    assert graph.stat().st_size < 4000 * COLUMNS + 3 * keys
    assert len(list((tmp_path / "scores").rglob("*.parquet"))) >= 1

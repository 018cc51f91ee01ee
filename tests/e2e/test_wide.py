"""The whole road with two hundred columns, and a graph that is no larger for them."""

import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest
import yaml

from benchmarks.wide import make_recipe, split_columns, write_lake
from tests.e2e.running import headrace

pytestmark = [pytest.mark.e2e, pytest.mark.long]
COLUMNS, ROWS = 200, 1200


def test_two_hundred_columns_from_lake_to_scores(tmp_path: Path) -> None:
    lake, recipe = tmp_path / "lake", tmp_path / "wide.yaml"
    write_lake(lake, COLUMNS, ROWS)
    plain = make_recipe(str(lake), COLUMNS)
    plain["train"]["global_batch_size"] = 256
    recipe.write_text(yaml.safe_dump(plain, sort_keys=False))
    options = [str(recipe), "--workdir", str(tmp_path), "--json"]
    scored = ["--input", str(lake), "--output", str(tmp_path / "scores")]
    for name, more in (
        ("check", []), ("prepare", []), ("train", []), ("evaluate", []), ("promote", []),
        ("score", scored),
    ):  # fmt: skip
        done = headrace(name, *options, *more)
        assert done.code == 0, done.err
    (graph,) = (tmp_path / "mlflow").rglob("saved_model/saved_model.pb")
    spec = json.loads((graph.parent.parent / "transform.json").read_text())
    kinds = [feature["kind"] for feature in spec["features"]]
    numbers, texts = split_columns(COLUMNS)
    assert (kinds.count("scaled"), kinds.count("vocabulary")) == (numbers, texts)
    # A placeholder, an argument and a name or two for each raw column; the keys of vocabularies are
    # what else grows.
    keys = sum(len(key) + 16 for f in spec["features"] for key in f.get("values", ()))
    assert graph.stat().st_size < 2500 * COLUMNS + keys
    files = [str(path) for path in (tmp_path / "scores").rglob("part-*.parquet")]
    assert ds.dataset(files).count_rows() == ROWS

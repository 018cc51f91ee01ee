"""A champion of another label is not compared, one of another split on rows that are new to it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake import DatasetVersion
from tests.e2e.running import Done, headrace

pytestmark = [pytest.mark.e2e, pytest.mark.long]
ROWS = 1500
CHAMPION = {"kind": "champion", "metric": "mae", "not_worse_by": 1e9}


def write_recipe(folder: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(0, 1, ROWS)
    seconds = 100 + 30 * x + random.normal(0, 10, ROWS)
    (folder / "t").mkdir()
    table = pa.table({"id": np.arange(ROWS), "x": x, "seconds": seconds})
    pq.write_table(table, folder / "t/part.parquet")
    tree = {
        "name": "m",
        "source": {"tables": {"t": {"path": f"{folder}/t"}}, "main": "t"},
        "clean": {"dedup": {"key": ["id"]}},
        "label": {"expression": "seconds", "kind": "regression"},
        "split": {"key": ["id"], "fractions": {"train": 0.5, "validation": 0.1, "test": 0.4}},
        # Nothing of it is fitted, so that all datasets have one transform.
        "features": {"x": {"kind": "fixed_buckets", "boundaries": [-1.0, 0.0, 1.0]}},
        "dataset": {"path": f"{folder}/ds"},
        "model": {"kind": "mlp", "hidden": [4]},
        "train": {"epochs": 2, "global_batch_size": 64, "ranks": 1},
        "evaluate": {"bootstrap": 20, "importance_rows": 0, "gates": [CHAMPION]},
    }
    (folder / "m.yaml").write_text(json.dumps(tree))


def call(folder: Path, name: str, *settings: str) -> Done:
    options = [word for setting in settings for word in ("--set", setting)]
    recipe, workdir = str(folder / "m.yaml"), str(folder / "w")
    return headrace(name, recipe, "--workdir", workdir, "--json", *options)


def find_gate(done: Done) -> dict[str, Any]:
    (gate,) = done.result["verdict"]["gates"]
    return gate


def read_ids(folder: Path, version: int, *splits: Any) -> set[int]:
    dataset = DatasetVersion.open(str(folder / "ds"), version)
    tables = [dataset.read_columns(split, ["row_id"]) for split in splits]
    return {number for table in tables for number in table["row_id"].to_pylist()}


def test_like_is_compared_with_like(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    first = call(tmp_path, "run")
    assert first.code == 0, first.err
    # A verdict by other settings is not taken.
    other = call(tmp_path, "promote", "evaluate.weighted=true")
    assert other.code == 1
    assert "evaluate.weighted: False and True" in other.err
    assert call(tmp_path, "promote").code == 0

    # Another split: the champion was trained on most of the new test rows.
    split = "split.seed=7"
    second = call(tmp_path, "run", split)
    assert second.code == 0, second.err
    versions = [done.result["dataset"]["version"] for done in (first, second)]
    tests = read_ids(tmp_path, versions[1], "test")
    seen = tests & read_ids(tmp_path, versions[0], "train", "validation")
    details = find_gate(second)["details"]
    assert (details["of"], details["seen"]) == (len(tests), len(seen))
    assert details["rows"] == len(tests) - len(seen)
    assert 0.5 < len(seen) / len(tests) < 0.7
    assert f"{len(seen)} that one of both was trained on or chosen by" in find_gate(second)["text"]
    assert "split.seed" in call(tmp_path, "promote").err  # the recipe has the first seed
    too_few = f"evaluate.gates=[{json.dumps({**CHAMPION, 'min_rows': details['rows'] + 1})}]"
    refused = call(tmp_path, "evaluate", split, too_few)
    assert refused.code == 3, refused.err
    assert "say nothing of mae" in find_gate(refused)["text"]

    # Another label: no comparison, unless the recipe names the champion that goes.
    label = "label.expression=seconds / 1e9"
    third = call(tmp_path, "run", label)
    assert third.code == 3, third.err
    gate = find_gate(third)
    assert not gate["passed"]
    assert "label.expression: 'seconds' and 'seconds / 1e9'" in gate["text"]
    assert "`replaces: 1`" in gate["text"]
    assert call(tmp_path, "promote", label).code == 3
    replaces = f"evaluate.gates=[{json.dumps({**CHAMPION, 'replaces': 1})}]"
    judged = call(tmp_path, "evaluate", label, replaces)
    assert judged.code == 0, judged.err
    assert call(tmp_path, "promote", label).code == 1  # the verdict is by another gate
    promoted = call(tmp_path, "promote", label, replaces)
    assert promoted.code == 0, promoted.err
    assert promoted.result["champion"] == 3

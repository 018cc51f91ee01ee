"""The exported search, loaded with TensorFlow alone, against NumPy over all items."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headrace.models.build import build_logits_model, build_model
from headrace.models.items import Catalog, ItemColumns, merge_items
from headrace.models.top_k import export_top_k
from headrace.recipe import sections as s
from headrace.transform.spec import TransformSpec
from tests.models.specs import HASH, NUMBER, RAW, TOKENS, VocabularyFeature

SHOP = VocabularyFeature(name="shop", column="shop", values=("ä", "b c"))
SPEC = TransformSpec(
    raw=(*RAW[:3], RAW[1].model_copy(update={"name": "shop"})),
    derived=(),
    features=(NUMBER, TOKENS, SHOP, HASH.model_copy(update={"columns": ("shop", "w")})),
)
SECTION = s.TwoTower.model_validate(
    {
        "kind": "two_tower",
        "query": {"features": ["x", "_tags"]},
        "item": {"features": ["shop", "h"]},
        "vector_width": 8,
    }
)
QUERIES = {"x": [3.0, -100.0, np.nan], "tags": [["a", "zz"], ["\xff", "\xff"], ["c", "b"]]}

# Runs where neither Headrace nor Keras can be imported.
SEARCH = """
import json, sys
sys.modules["headrace"] = sys.modules["keras"] = None
import numpy as np, tensorflow as tf
folder, k = sys.argv[1], int(sys.argv[2])
columns = json.load(open(folder + "/columns.json"))
queries = json.load(sys.stdin)
types = {"real": np.float64, "strings": object}
inputs = {
    name: tf.constant(
        [[w.encode("latin1") for w in row] if isinstance(row, list) else row
         for row in queries[item["column"]]],
        tf.float64 if item["kind"] == "real" else tf.string)
    for name, item in columns["inputs"].items()
}
found = tf.saved_model.load(folder).signatures["top_k"](k=tf.constant(k), **inputs)
result = {n: t.numpy() for n, t in found.items()}
print(json.dumps({
    n: [[x.decode() if isinstance(x, bytes) else x for x in row] for row in t.tolist()]
    for n, t in result.items()}))
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    rng = np.random.default_rng(2)
    ids = np.stack([rng.integers(0, 4, 200), rng.integers(0, 101, 200)], 1).astype(np.int32)
    columns = ItemColumns.from_features(SECTION.item.features, SPEC)
    return merge_items(columns, {"categorical": ids}, np.ones(200, np.int64))


@pytest.fixture(scope="module")
def expected(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The exported folder, and the score of each query with each item, by the model of pairs."""
    folder = tmp_path_factory.mktemp("top_k")
    model = build_model(SECTION, SPEC)
    export_top_k(model, SPEC, SECTION, catalog, str(folder))
    logits = build_logits_model(model)
    numbers = [(3.0 - 10) / 2, (-100.0 - 10) / 2, 0.0]  # missing is filled with 10
    words = [[2, 1, 0, 0], [0, 0, 0, 0], [4, 3, 0, 0]]  # 1 is unknown, 0 what is not there
    scores = []
    for number, tokens in zip(numbers, words, strict=True):
        inputs = catalog.columns.fill_inputs(catalog.items)
        inputs["numeric"][:] = number
        inputs["_tags"][:] = tokens
        scores.append(np.array(logits(inputs)))
    return folder, np.stack(scores)


def search(folder: Path, k: int) -> dict[str, np.ndarray]:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, str(folder), str(k)],
        input=json.dumps(QUERIES), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: np.array(value) for name, value in json.loads(done.stdout).items()}


def test_the_best_items_are_those_of_a_loop_over_all(
    catalog: Catalog, expected: tuple[Path, np.ndarray]
) -> None:
    folder, scores = expected
    found = search(folder, 7)
    np.testing.assert_allclose(found["scores"], -np.sort(-scores, axis=1)[:, :7], rtol=1e-5)
    own = np.take_along_axis(scores, found["items"], axis=1)
    np.testing.assert_allclose(own, found["scores"], rtol=1e-5)
    assert all(len(set(row)) == 7 for row in found["items"].tolist())
    columns = json.loads((folder / "columns.json").read_text())
    assert columns["outputs"] == {"value_0": {"feature": "shop"}, "value_1": {"feature": "h"}}
    shops = np.array(["missing", "unknown", "ä", "b c"])
    ids = catalog.items["categorical"][found["items"]]
    np.testing.assert_array_equal(found["value_0"], shops[ids[..., 0]])
    assert found["value_1"][0, 0] in ("missing", f"bucket {ids[0, 0, 1]}")


def test_it_asks_for_the_columns_of_the_query_alone(expected: tuple[Path, np.ndarray]) -> None:
    columns = json.loads((expected[0] / "columns.json").read_text())
    assert columns["inputs"] == {
        "raw_0": {"column": "x", "kind": "real"},
        "raw_2": {"column": "tags", "kind": "strings"},
    }


def test_of_fewer_items_than_k_all_are_returned(
    catalog: Catalog, expected: tuple[Path, np.ndarray]
) -> None:
    found = search(expected[0], 10_000)
    assert found["items"].shape == (3, len(catalog))
    assert (np.sort(found["items"], axis=1) == np.arange(len(catalog))).all()

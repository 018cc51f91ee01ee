"""Items by what their tower reads: keys in NumPy and a graph, counts, and words for people."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import TrainError
from headrace.models.items import ItemColumns, merge_items
from tests.models.specs import EVERY, HASH, NUMBER, TOKENS, WORD, draw_inputs, make_spec


def select(columns: ItemColumns, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: inputs[n] if c is None else inputs[n][:, c] for n, c in columns.columns.items()}


@pytest.mark.parametrize(
    "features", [["w"], ["x", "h"], ["_tags"], ["photo", "tide"], [f.name for f in EVERY]]
)
def test_a_graph_computes_the_keys_of_numpy(features: list[str]) -> None:
    spec = make_spec(*EVERY)
    columns = ItemColumns.from_features(features, spec)
    inputs = draw_inputs(spec, 50)
    keys = columns.compute_keys(select(columns, inputs))
    compute = tf.function(columns.compute_key_tensor, autograph=False)
    found = compute({name: tf.constant(array) for name, array in inputs.items()})
    np.testing.assert_array_equal(found.numpy(), keys)
    assert len(np.unique(keys)) == len(
        np.unique(
            np.concatenate([a.reshape(50, -1) for a in select(columns, inputs).values()], 1), axis=0
        )
    )


def test_only_the_items_features_count() -> None:
    spec = make_spec(NUMBER, WORD, HASH)
    columns = ItemColumns.from_features(["h"], spec)
    assert columns.columns == {"categorical": (1,)}
    first = {"numeric": np.zeros((1, 1), "f"), "categorical": np.array([[1, 7]], "i4")}
    second = {"numeric": np.ones((1, 1), "f"), "categorical": np.array([[2, 7]], "i4")}
    keys = [int(columns.compute_key_tensor(batch)[0]) for batch in (first, second)]
    assert keys[0] == keys[1]
    filled = columns.fill_inputs({"categorical": np.array([[7], [9]], "i4")})
    np.testing.assert_array_equal(filled["categorical"], [[0, 7], [0, 9]])
    np.testing.assert_array_equal(filled["numeric"], [[0], [0]])
    assert columns.dataset_columns["categorical"].columns == ("h",)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=30))
@settings(deadline=None)
def test_counts_of_equal_items_are_added(rows: list[tuple[int, int]]) -> None:
    columns = ItemColumns.from_features(["w"], make_spec(WORD))
    ids = np.array([[i] for i, _ in rows], "i4")
    catalog = merge_items(columns, {"categorical": ids}, np.array([n for _, n in rows]))
    expected: dict[int, int] = {}
    for item, count in rows:
        expected[item] = expected.get(item, 0) + count
    found = dict(zip(catalog.items["categorical"][:, 0], catalog.counts, strict=True))
    assert found == expected
    assert (np.diff(catalog.keys) > 0).all()
    assert np.exp(catalog.log_shares).sum() == pytest.approx(1)


def test_two_items_with_one_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ItemColumns.from_features(["w"], make_spec(WORD))
    monkeypatch.setattr(ItemColumns, "compute_keys", lambda self, items: np.zeros(2, np.int64))
    with pytest.raises(TrainError, match="two items, which differ in categorical, have one key"):
        merge_items(columns, {"categorical": np.array([[1], [2]], "i4")}, np.ones(2, np.int64))


def test_people_see_words_and_numbers() -> None:
    spec = make_spec(NUMBER, WORD, HASH, TOKENS)
    columns = ItemColumns.from_features(["x", "w", "h", "_tags"], spec)
    items = {
        "numeric": np.array([[0.0], [2.5]], "f"),
        "categorical": np.array([[2, 7], [0, 1]], "i4"),
        "_tags": np.array([[1, 2, 0, 0], [0, 0, 0, 0]], "i4"),
    }
    catalog = merge_items(columns, items, np.ones(2, np.int64))
    order = np.argsort(catalog.items["numeric"][:, 0])
    values = {n: v[order].tolist() for n, v in catalog.name_values(spec, ["x", "w", "h"]).items()}
    assert values == {"x": [10.0, 15.0], "w": ["a", "missing"], "h": ["bucket 7", "bucket 1"]}

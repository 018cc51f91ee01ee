"""Tables that categoricals share: every id has a row of its own, and the same model comes of it."""

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.features.hash import HashFeature
from headrace.models import table_plans
from headrace.models.build import build_model
from headrace.models.embedding_tables import _select_rows
from headrace.models.load import load_keras_model
from headrace.models.row_matching import locate_feature_rows
from headrace.models.table_plans import choose_embedding_width, list_model_tables, plan_tables
from headrace.recipe import sections as s
from tests.models.specs import NUMBER, make_spec

SECTIONS = {
    "mlp": {"kind": "mlp", "hidden": [4]},
    "wide_deep": {"kind": "wide_deep", "hidden": [4]},
    "dcn": {"kind": "dcn", "hidden": [4], "crosses": 2},
    "dlrm": {"kind": "dlrm", "hidden": [4], "embedding_width": 3},
    "transformer": {"kind": "transformer", "over": "table", "width": 4, "heads": 2, "blocks": 1},
}
CLASSES = {
    "mlp": s.Mlp, "wide_deep": s.WideDeep, "dcn": s.Dcn, "dlrm": s.Dlrm,
    "transformer": s.Transformer,
}  # fmt: skip


def make_hashes(*cardinalities: int) -> list[HashFeature]:
    return [
        HashFeature(name=f"f{i}", columns=("w",), buckets=n - 1)
        for i, n in enumerate(cardinalities)
    ]


@given(st.lists(st.integers(3, 400), max_size=12), st.integers(1, 20), st.booleans())
def test_every_id_of_every_feature_has_one_row(
    cardinalities: list[int], width: int, shared: bool
) -> None:
    features = make_hashes(*cardinalities)
    tables = plan_tables(features, lambda n: choose_embedding_width(n, width), shared=shared)
    assert sorted(p for table in tables for p in table.positions) == list(range(len(features)))
    assert len({table.name for table in tables}) == len(tables)
    for table in tables:
        blocks = table.locate_blocks()
        assert [row for rows in blocks.values() for row in rows] == list(range(table.rows))
        for name, position in zip(table.features, table.positions, strict=True):
            feature = features[position]
            assert (feature.name, feature.cardinality) == (name, len(blocks[name]))
            assert choose_embedding_width(feature.cardinality, width) == table.width
    if shared:
        assert len({table.width for table in tables}) == len(tables)
    else:
        assert [table.name for table in tables] == [f"embed.f{i}" for i in range(len(features))]


BEFORE = {
    "mlp": ["embed.f0", "embed.f1", "embed.f2", "embed.f3", "hidden.0", "output.dense"],
    "wide_deep": [
        "embed.f0", "embed.f1", "embed.f2", "embed.f3", "hidden.0",
        "wide.f0", "wide.f1", "wide.f2", "wide.f3", "output.dense",
    ],
    "dcn": ["embed.f0", "embed.f1", "embed.f2", "embed.f3", "cross.0", "cross.1", "hidden.0",
            "output.dense"],
}  # fmt: skip


@pytest.mark.parametrize("kind", BEFORE)
def test_tables_of_one_feature_are_built_as_before(kind: str) -> None:
    """What an older Headrace saved of a training goes by the order of the weights."""
    section = {**SECTIONS[kind], "embeddings": {"shared": False}}
    model = build_model(
        CLASSES[kind].model_validate(section), make_spec(NUMBER, *make_hashes(9, 4, 8, 4))
    )
    layers = list(dict.fromkeys(weight.path.split("/")[0] for weight in model.weights))
    assert layers == BEFORE[kind]


@given(st.lists(st.integers(3, 3000), min_size=1, max_size=6), st.integers(4, 500), st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_two_ids_of_a_composed_feature_share_both_rows(
    cardinalities: list[int], above: int, shared: bool
) -> None:
    features = make_hashes(*cardinalities)
    tables = plan_tables(features, lambda _: 4, shared=shared, compose_above=above)
    assert sorted(p for table in tables for p in table.positions) == list(range(len(features)))
    for table in tables:
        is_composed = any(features[p].cardinality > above for p in table.positions)
        assert is_composed == bool(table.divisors) == table.name.startswith("composed.")
        if not is_composed:
            continue
        assert all(features[p].cardinality > above for p in table.positions)
        largest = max(features[p].cardinality for p in table.positions)
        ids = np.zeros((largest, len(features)), np.int32)
        for position in table.positions:
            count = features[position].cardinality
            ids[:, position] = np.minimum(np.arange(largest), count - 1)
        rows = np.asarray(_select_rows(table, keras.ops.convert_to_tensor(ids)))
        assert rows.shape == (largest, table.ids_per_row)
        size = len(table.positions)
        blocks = list(table.locate_blocks().values())
        for number, position in enumerate(table.positions):
            count = features[position].cardinality
            pairs = rows[:count, [number, number + size]]
            assert len({tuple(pair) for pair in pairs.tolist()}) == count
            assert set(pairs.reshape(-1).tolist()) <= {*blocks[number]}
            assert len(blocks[number]) <= 2 * np.sqrt(count) + 2
            assert not {*pairs[:, 0].tolist()} & {*pairs[:, 1].tolist()}


def test_composed_embeddings_are_products(tmp_path: Path) -> None:
    embeddings = {"compose_above": 20}
    section = s.Mlp.model_validate({**SECTIONS["mlp"], "embeddings": embeddings})
    spec = make_spec(NUMBER, *make_hashes(9, 30, 8))
    model = build_model(section, spec)
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Embedding)]
    assert sorted(names) == ["composed.6", "table.3"]
    table = model.get_layer("composed.6")
    assert table.input_dim == 5 + 6  # quotients of 30 by 6, and remainders
    values = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)
    table.set_weights([values])
    embedded = keras.Model(model.inputs, model.get_layer("composed.6.flat").output)
    ids = np.array([[0, 0, 0], [0, 29, 0], [8, 17, 7]], np.int32)
    batch = {"numeric": np.zeros((3, 1), np.float32), "categorical": ids}
    expected = [values[i // 6] * values[5 + i % 6] for i in (0, 29, 17)]
    np.testing.assert_allclose(embedded(batch), expected, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = load_keras_model(tmp_path / "model.keras", "m")
    np.testing.assert_array_equal(loaded(batch), model(batch))


def test_a_table_has_no_more_rows_than_can_be_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_plans, "_MOST_ROWS", 25)
    tables = plan_tables(make_hashes(10, 10, 4, 10, 40, 3), lambda _: 8)
    assert [(t.name, t.features) for t in tables] == [
        ("table.8", ("f0", "f1", "f2")),
        ("table.8.1", ("f3",)),
        ("table.8.2", ("f4",)),
        ("table.8.3", ("f5",)),
    ]


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_model_with_shared_tables_is_that_with_a_table_per_feature(
    kind: str, tmp_path: Path
) -> None:
    """The same rows give the same output, also where Keras loaded the model in safe mode."""
    # widths 3, 2 and 3 again, so that columns are picked and tables have several blocks
    spec = make_spec(NUMBER, *make_hashes(9, 4, 8, 4))
    shared = CLASSES[kind].model_validate(SECTIONS[kind])
    separate = CLASSES[kind].model_validate({**SECTIONS[kind], "embeddings": {"shared": False}})
    first, second = build_model(shared, spec), build_model(separate, spec)
    rng = np.random.default_rng(0)
    rows = [
        locate_feature_rows(model, list_model_tables(section, spec), spec)
        for model, section in ((first, shared), (second, separate))
    ]
    assert rows[0] is not None
    assert rows[1] is not None
    assert rows[0].keys() == rows[1].keys()
    for key, own in rows[0].items():
        other = rows[1][key]
        table = np.array(own.layer.get_weights()[0])
        values = rng.normal(size=(len(own.rows), table.shape[1])).astype(np.float32)
        table[own.rows] = values
        own.layer.set_weights([table])
        other.layer.set_weights([values])
    # what reads the embeddings takes them table by table, so in another order where widths differ
    order = [name for table in list_model_tables(shared, spec) for name in table.features]
    copy_other_weights(first, second, order[: len(spec.categorical)], kind)
    batch = {
        "numeric": rng.normal(size=(6, 1)).astype(np.float32),
        "categorical": np.stack([rng.integers(0, n, 6) for n in (9, 4, 8, 4)], 1).astype(np.int32),
    }
    expected = second(batch).numpy()
    np.testing.assert_allclose(first(batch).numpy(), expected, rtol=1e-5, atol=1e-6)
    first.save(tmp_path / "model.keras")
    loaded = load_keras_model(tmp_path / "model.keras", "m")
    np.testing.assert_array_equal(loaded(batch).numpy(), first(batch).numpy())


def copy_other_weights(
    first: keras.Model, second: keras.Model, order: list[str], kind: str
) -> None:
    """Give `first` the weights of `second`, with the inputs of embeddings in its own order."""
    widths = {"f0": 3, "f1": 2, "f2": 3, "f3": 2}
    columns, start = {}, 1  # the number comes first
    for name, width in widths.items():
        columns[name] = list(range(start, start + width))
        start += width
    inputs = [0, *(column for name in order for column in columns[name])]
    for layer in first.layers:
        if isinstance(layer, keras.layers.Embedding) or not layer.weights:
            continue
        weights = second.get_layer(layer.name).get_weights()
        if kind not in ("transformer", "dlrm") and layer.name in ("hidden.0", "cross.0", "cross.1"):
            weights[0] = weights[0][inputs]
            if layer.name.startswith("cross"):
                weights = [weights[0][:, inputs], weights[1][inputs]]
        elif kind == "dcn" and layer.name == "output.dense":
            weights[0] = weights[0][[*inputs, *range(len(inputs), len(weights[0]))]]
        layer.set_weights(weights)

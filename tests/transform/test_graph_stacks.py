"""Features of one kind are computed together in a graph: as many operations, and the same bits."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from headrace.features.scaled import ScaledFeature
from headrace.features.tensors import MISSING_STRING
from headrace.features.vocabulary import VocabularyFeature
from headrace.transform.arrow import ArrowTransform, stack_inputs
from headrace.transform.graph import TransformLayer, make_raw_signature
from headrace.transform.graph_stacks import plan_stacks
from headrace.transform.spec import RawColumn, TransformSpec

ROWS = 37


def make_spec(numbers: int, texts: int, *, log1p: bool = False) -> TransformSpec:
    """Return a spec of numbers on a scale each, and of texts with a vocabulary each."""
    scaled = [
        ScaledFeature(
            name=f"n{i}", column=f"n{i}", clip=(None, 9.0 + i) if i % 3 else (-1.0, None),
            center=i / 7, scale=1 + i / 3, fill=i / 11, log1p=log1p, indicator=i % 4 == 0,
        )
        for i in range(numbers)
    ]  # fmt: skip
    words = [
        VocabularyFeature(
            name=f"t{i}", column=f"t{i}", values=tuple(f"v{j}" for j in range(i % 5 + 1)),
            fill=f"v{i % 3}" if i % 2 else None,
        )
        for i in range(texts)
    ]  # fmt: skip
    raw = [
        *(RawColumn(name=f"n{i}", kind="real", nullable=True) for i in range(numbers)),
        *(RawColumn(name=f"t{i}", kind="string", nullable=True) for i in range(texts)),
    ]
    # in turn, so that columns of the inputs do not lie as they were computed
    features = tuple(sorted([*scaled, *words], key=lambda f: int(f.name[1:])))
    return TransformSpec(raw=tuple(raw), derived=(), features=features)


def make_rows(spec: TransformSpec) -> pa.Table:
    rng = np.random.default_rng(0)
    columns = {}
    for raw in spec.raw:
        missing = rng.random(ROWS) < 0.2
        if raw.kind == "real":
            columns[raw.name] = pa.array(rng.lognormal(0, 3, ROWS) - 1, mask=missing)
        else:
            texts = np.array([f"v{i}" for i in rng.integers(0, 7, ROWS)], object)
            columns[raw.name] = pa.array(texts, mask=missing)
    return pa.table(columns)


def to_tensors(spec: TransformSpec, rows: pa.Table) -> dict[str, tf.Tensor]:
    tensors = {}
    for name, raw in spec.tensors.items():
        values = rows[raw.name].to_pylist()
        missing = float("nan") if raw.kind == "real" else MISSING_STRING
        tensors[name] = tf.constant([missing if v is None else v for v in values])
        if raw.kind == "real":
            tensors[name] = tf.constant([missing if v is None else v for v in values], tf.float64)
    return tensors


def count_operations(spec: TransformSpec) -> int:
    """Count the operations of the traced graph, but for one that each raw column comes in by."""
    layer = TransformLayer(spec)
    traced = tf.function(layer.call, input_signature=[make_raw_signature(spec)], autograph=False)
    nodes = traced.get_concrete_function().graph.as_graph_def().node
    return sum(node.op != "Placeholder" for node in nodes)


def test_operations_do_not_grow_with_columns() -> None:
    assert count_operations(make_spec(60, 40)) == count_operations(make_spec(240, 160))


@pytest.mark.parametrize("log1p", [False, True])
def test_bits_do_not_depend_on_what_is_computed_beside(log1p: bool) -> None:
    spec = make_spec(9, 6, log1p=log1p)
    rows = make_rows(spec)
    together = TransformLayer(spec)(to_tensors(spec, rows))
    for feature in spec.features:
        alone = spec.model_copy(update={"features": (feature,)})
        (name,) = alone.inputs
        expected = TransformLayer(alone)(to_tensors(alone, rows))[name].numpy()
        positions = [spec.inputs[name].columns.index(c) for c in feature.dataset_columns]
        np.testing.assert_array_equal(together[name].numpy()[:, positions], expected)


def test_it_agrees_with_arrow() -> None:
    spec = make_spec(9, 6)
    rows = make_rows(spec)
    expected = stack_inputs(ArrowTransform(spec)(rows), spec)
    for name, tensor in TransformLayer(spec)(to_tensors(spec, rows)).items():
        np.testing.assert_array_equal(tensor.numpy(), expected[name])


def test_texts_are_looked_up_in_their_own_vocabulary() -> None:
    """Keys of the joint table are a position and a text; no text may look like another one's."""
    vocabularies = [("a", "1\x1fb", "\x1f"), ("b", "a"), (), ("0\x1fa", "")]
    features = tuple(
        VocabularyFeature(name=f"f{i}", column=f"c{i}", values=values)
        for i, values in enumerate(vocabularies)
    )
    raw = tuple(RawColumn(name=f"c{i}", kind="string", nullable=True) for i in range(4))
    spec = TransformSpec(raw=raw, derived=(), features=features)
    rows = [
        [b"a", b"a", b"a", b"a"],
        [b"b", b"b", b"b", b""],
        [b"1\x1fb", b"1\x1fb", b"\x1f", b"0\x1fa"],
        [b"\x1f", MISSING_STRING, b"", MISSING_STRING],
    ]
    tensors = {f"raw_{i}": tf.constant([row[i] for row in rows]) for i in range(4)}
    # 0 is missing and 1 unknown
    expected = [[2, 3, 1, 1], [1, 2, 1, 3], [3, 1, 1, 2], [4, 0, 1, 0]]
    assert TransformLayer(spec)(tensors)["categorical"].numpy().tolist() == expected


def test_features_are_stacked_by_kind_and_by_what_they_read() -> None:
    spec = make_spec(6, 4)
    whole = ScaledFeature(name="w", column="w")
    log = ScaledFeature(name="l", column="n0", log1p=True)
    several = VocabularyFeature(name="s", column="t0", values=("a",), unknown_ids=3)
    spec = spec.model_copy(
        update={
            "raw": (*spec.raw, RawColumn(name="w", kind="integer", nullable=True)),
            "features": (*spec.features, whole, log, several),
        }
    )
    plan = plan_stacks(spec)
    names = sorted(sorted(f.name for f in stack.features) for stack in plan.stacks.values())
    assert names == [
        ["l"], [f"n{i}" for i in range(6)], ["s"], [f"t{i}" for i in range(4)], ["w"],
    ]  # fmt: skip
    assert not plan.alone

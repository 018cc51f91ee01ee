"""One transform, two executions: Arrow kernels and Keras layers give equal values for any input."""

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.transform.arrow import ArrowTransform
from pipelines.transform.graph import (
    MISSING_INTEGER,
    MISSING_STRING,
    TENSOR_DTYPE,
    TransformLayer,
    raw_inputs,
)
from pipelines.transform.spec import (
    DerivedColumn,
    HashFeature,
    RawColumn,
    StandardizeFeature,
    TransformSpec,
    VocabularyFeature,
)

# names that TensorFlow would not take for a tensor
RAW = {"i": "integer", "year": "integer", "month": "integer", "day": "integer"}
RAW |= {"r / m²": "real", "s.t `u`": "string"}
SPEC = TransformSpec(
    raw=tuple(RawColumn(name=name, kind=kind, nullable=True) for name, kind in RAW.items()),
    derived=(
        DerivedColumn(name="weekday", op="day_of_week", columns=("year", "month", "day")),
        DerivedColumn(name="hour", op="hour_of_day", columns=("i",)),
        DerivedColumn(name="minute", op="minute_of_day", columns=("i",)),
        DerivedColumn(name="gap", op="difference", columns=("r / m²", "i")),
    ),
    features=(
        StandardizeFeature(name="r_plain", column="r / m²", mean=0.1, scale=3.7),
        StandardizeFeature(name="r_small", column="r / m²", mean=1e9, scale=1e-3),
        StandardizeFeature(name="i_real", column="i", mean=-12.5, scale=0.3),
        StandardizeFeature(name="gap", column="gap", mean=0.0, scale=1.0),
        StandardizeFeature(name="minute", column="minute", mean=700.0, scale=400.0),
        VocabularyFeature(
            name="word", column="s.t `u`", values=("", "a", "é", "日本", "[UNK]", "a\x00b")
        ),
        VocabularyFeature(name="none", column="s.t `u`", values=()),
        VocabularyFeature(name="number", column="i", values=("0", "-1", str(2**53 + 1))),
        VocabularyFeature(name="weekday", column="weekday", values=("1", "7", "3")),
        VocabularyFeature(name="hour", column="hour", values=("0", "12", "24")),
        HashFeature(name="s_hash", column="s.t `u`", buckets=11),
        HashFeature(name="i_hash", column="i", buckets=2**31 - 2),
    ),
)
inputs = raw_inputs(SPEC)
MODEL = keras.Model(inputs, TransformLayer(SPEC)(inputs))

integers = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-10, 2500),
    st.sampled_from([0, -1, 2**53 + 1, 2**53, -(2**63)]),
)
ROW = st.fixed_dictionaries(
    {
        "i": integers,
        "year": st.one_of(integers, st.integers(1, 2100)),
        "month": st.one_of(integers, st.integers(1, 12)),
        "day": st.one_of(integers, st.integers(1, 31)),
        "r / m²": st.one_of(
            st.none(), st.floats(allow_subnormal=True), st.sampled_from([-0.0, 5e-324])
        ),
        "s.t `u`": st.one_of(
            st.none(),
            st.text(alphabet=st.characters(codec="utf-8")),
            st.sampled_from(["", "a", "é", "日本", "[UNK]", "a\x00b", "x" * 10_000]),
        ),
    }
)


def graph(rows: list[dict]) -> dict[str, np.ndarray]:
    encode = {
        "integer": lambda v: MISSING_INTEGER if v is None else v,
        "real": lambda v: float("nan") if v is None else v,
        "string": lambda v: MISSING_STRING if v is None else v.encode(),
    }
    tensors = {
        name: tf.constant([encode[raw.kind](r[raw.name]) for r in rows], TENSOR_DTYPE[raw.kind])
        for name, raw in SPEC.tensors.items()
    }
    out = MODEL(tensors)
    columns = {f.name: out["numeric"][:, i].numpy() for i, f in enumerate(SPEC.numeric)}
    return columns | {
        f.name: out["categorical"][:, i].numpy() for i, f in enumerate(SPEC.categorical)
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_both_executions_agree(rows: list[dict]) -> None:
    types = {"integer": pa.int64(), "real": pa.float64(), "string": pa.string()}
    table = pa.table({n: pa.array([r[n] for r in rows], types[k]) for n, k in RAW.items()})
    arrow = ArrowTransform(SPEC)(table)
    for name, values in graph(rows).items():
        assert values.dtype == arrow[name].dtype
        if values.dtype == np.int32:
            np.testing.assert_array_equal(arrow[name], values, err_msg=name)
        else:
            assert np.isfinite(values).all()
            np.testing.assert_allclose(arrow[name], values, rtol=1e-6, atol=1e-37, err_msg=name)


def test_the_layer_survives_its_config() -> None:
    again = TransformLayer.from_config(TransformLayer(SPEC).get_config())
    assert again.spec == SPEC

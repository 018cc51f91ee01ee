"""One transform, two executions: Arrow kernels and Keras layers give equal values for any input."""

import io

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headrace.columns.values import MISSING_INTEGER
from headrace.features.buckets import BucketsFeature
from headrace.features.cyclic import CyclicFeature
from headrace.features.hash import HashFeature
from headrace.features.image import ImageFeature
from headrace.features.kinds import KINDS
from headrace.features.scaled import ScaledFeature
from headrace.features.series import SeriesFeature
from headrace.features.tensors import MISSING_STRING, TENSOR_DTYPES
from headrace.features.tokens import TokensFeature
from headrace.features.vocabulary import VocabularyFeature
from headrace.recipe import sections as s
from headrace.transform.arrow import ArrowTransform
from headrace.transform.fit_rules import compile_rule
from headrace.transform.graph import (
    TransformLayer,
    find_violations,
    make_raw_inputs,
    make_raw_signature,
)
from headrace.transform.rules import FittedRule, find_rejected
from headrace.transform.spec import DerivedColumn, RawColumn, TransformSpec
from headrace.transform.sql_condition import ConditionColumn
from headrace.transform.time_zone import fit_zone

PARTS = ("year", "month", "day", "day_of_year", "day_of_week", "hour", "minute", "second")
# names that TensorFlow would not take for a tensor
R, S = "r / m²", "s.t `u`"
RAW = {"i": "integer", "year": "integer", "month": "integer", "day": "integer", "t": "timestamp"}
RAW |= {R: "real", S: "string", "is": "integers", "rs": "reals", "ss": "strings", "png": "bytes"}
WORDS = ("", "a", "é", "日本", "[UNK]", "a\x00b")
SPEC = TransformSpec(
    raw=tuple(RawColumn(name=name, kind=kind, nullable=True) for name, kind in RAW.items()),
    derived=(
        DerivedColumn(name="weekday", op="day_of_week", columns=("year", "month", "day")),
        DerivedColumn(name="hour", op="hour_of_day", columns=("i",)),
        DerivedColumn(name="minute", op="minute_of_day", columns=("i",)),
        DerivedColumn(name="gap", op="difference", columns=(R, "i")),
        DerivedColumn(name="since", op="seconds_since", columns=("t",), origin=1_356_998 * 10**9),
        *(DerivedColumn(name=f"t_{p}", op="time_part", columns=("t",), part=p) for p in PARTS),
        DerivedColumn(
            name="t_local", op="time_part", columns=("t",), part="hour",
            zone=fit_zone("America/New_York"),
        ),
    ),
    features=(
        ScaledFeature(name="r_plain", column=R, center=0.1, scale=3.7, fill=0.1),
        ScaledFeature(name="r_small", column=R, center=1e9, scale=1e-3, fill=1e9),
        ScaledFeature(
            name="r_clipped", column=R, clip=(-2.5, 1e6), center=1.0, scale=0.1, indicator=True
        ),
        ScaledFeature(name="r_log", column=R, clip=(None, 1e300), log1p=True, indicator=True),
        ScaledFeature(name="i_real", column="i", center=-12.5, scale=0.3, fill=7.0),
        ScaledFeature(name="gap", column="gap"),
        ScaledFeature(name="minute", column="minute", center=700.0, scale=400.0),
        ScaledFeature(name="since", column="since", center=1e6, scale=1e6),
        *(ScaledFeature(name=f"t_{p}", column=f"t_{p}", scale=7.0) for p in PARTS),
        ScaledFeature(name="t_local", column="t_local", scale=7.0),
        CyclicFeature(name="round", column=R, period=24.0),
        CyclicFeature(name="clock", column="t_hour", period=24.0),
        BucketsFeature(name="cut", column=R, boundaries=(-1.0, 0.0, 2.5, 1e12)),
        BucketsFeature(name="cut_i", column="i", boundaries=(0.0,)),
        VocabularyFeature(name="word", column=S, values=WORDS),
        VocabularyFeature(name="filled", column=S, values=WORDS, unknown_ids=3, fill="é"),
        VocabularyFeature(name="filled_unknown", column=S, values=("a",), unknown_ids=3, fill="?"),
        VocabularyFeature(name="none", column=S, values=(), unknown_ids=2),
        VocabularyFeature(name="number", column="i", values=("0", "-1", str(2**53 + 1))),
        VocabularyFeature(name="weekday", column="weekday", values=("1", "7", "3")),
        VocabularyFeature(name="hour", column="hour", values=("0", "12", "24")),
        HashFeature(name="s_hash", columns=(S,), buckets=11),
        HashFeature(name="i_hash", columns=("i",), buckets=2**31 - 2),
        HashFeature(name="crossed", columns=(S, "i", "weekday"), buckets=1000),
        TokensFeature(name="tags", column="ss", length=3, values=WORDS),
        TokensFeature(name="numbers", column="is", length=2, values=("0", "-1"), unknown_ids=4),
        TokensFeature(name="tags_hash", column="ss", length=5, buckets=7),
        TokensFeature(
            name="text", column=S, length=4, lower=True, strip_punctuation=True,
            values=("a", "b", "é", "日本"), unknown_ids=2,
        ),
        TokensFeature(name="plain_text", column=S, length=2, values=("a", "A,b")),
        SeriesFeature(name="steps", column="rs", length=3, center=1.0, scale=2.0, fill=1.0),
        SeriesFeature(name="counts", column="is", length=1, log1p=True, clip=(0.0, 9.0), fill=0.5),
        ImageFeature(name="picture", column="png", height=2, width=3, channels=1),
        ImageFeature(name="pixels", column="is", height=1, width=2, channels=1),
    ),
)  # fmt: skip
COLUMNS = {
    **{name: ConditionColumn(kind, kind) for name, kind in RAW.items()},
    "v": ConditionColumn("real", "double"),
}
NULL_RULES: dict[str, s.Rule] = {
    R: s.Range(kind="range", column=R, min=-2.5, max=1e6),
    "i": s.In(kind="in", column="i", values=[0, -1, 7, 2**53 + 1]),
    S: s.Regex(kind="regex", column=S, pattern="^[^\x00]{0,3}$"),
    "t": s.Range(kind="range", column="t", min="1970-01-01", max="2013-01-01"),
    "rs": s.Range(kind="range", column="v", min=0),  # of each element
}
REJECTING = (
    s.NotNull(kind="not_null", columns=["year", S]),
    s.Expr(kind="expr", expression=f"i < 5 or `{R}` > 0.5 or t is null"),
    s.Range(kind="range", column=S, max="é"),
)
RULED = SPEC.model_copy(
    update={
        "rules": (
            *(
                FittedRule(name=n, action="null", column=n, violated=compile_rule(rule, COLUMNS))
                for n, rule in NULL_RULES.items()
            ),
            *(
                FittedRule(name=rule.kind, action="reject", violated=compile_rule(rule, COLUMNS))
                for rule in REJECTING
            ),
        )
    }
)


def build_model(spec: TransformSpec) -> tf.types.experimental.GenericFunction:
    inputs = make_raw_inputs(spec)
    model = keras.Model(inputs, TransformLayer(spec)(inputs))
    return tf.function(model, input_signature=[make_raw_signature(spec)])


MODELS = {"plain": (SPEC, build_model(SPEC)), "ruled": (RULED, build_model(RULED))}


def file_of(pixels: list[int], kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8).reshape(2, 3)).save(sink, kind)
    return sink.getvalue()


integers = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-10, 2500),
    st.sampled_from([0, -1, 2**53 + 1, 2**53, -(2**63)]),
)
reals = st.one_of(
    st.none(),
    st.floats(allow_subnormal=True),
    st.floats(-3, 30),
    st.sampled_from([-0.0, 5e-324, -1.0, -2.5, 0.0, 12.0, 1e6, float("inf"), float("-inf")]),
)
strings = st.one_of(
    st.none(),
    st.text(alphabet=st.characters(codec="utf-8")),
    st.text(alphabet=" \t\n\v\f\rabAB,.!é\x00\u2003\x85", max_size=12),
    st.sampled_from([*WORDS, "x" * 10_000, "\x1f", "a\x1fb"]),
)
times = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
    st.sampled_from([0, -1, 951_782_400_000_000, -(2**63) + 1, 2**63 - 1]),
)


def lists(items: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(st.none(), st.lists(items, max_size=6))


ROW = st.fixed_dictionaries(
    {
        "i": integers,
        "year": st.one_of(integers, st.integers(1, 2100)),
        "month": st.one_of(integers, st.integers(1, 12)),
        "day": st.one_of(integers, st.integers(1, 31)),
        "t": times,
        R: reals,
        S: strings,
        "is": lists(integers),
        "rs": lists(reals),
        "ss": lists(strings),
        "png": st.one_of(st.none(), st.lists(st.integers(0, 255), min_size=6, max_size=6)),
    }
)
TYPES = {
    "integer": pa.int64(), "real": pa.float64(), "timestamp": pa.int64(), "string": pa.string(),
    "bytes": pa.binary(), "integers": pa.list_(pa.int64()), "reals": pa.list_(pa.float64()),
    "strings": pa.list_(pa.string()),
}  # fmt: skip
MISSING = {"integer": MISSING_INTEGER, "timestamp": MISSING_INTEGER, "real": float("nan")}
MISSING |= {"string": MISSING_STRING, "bytes": MISSING_STRING}


def encoded(value: object, kind: str) -> object:
    if value is None:
        return MISSING[kind]
    return value.encode() if isinstance(value, str) else value


def tensor_of(values: list, kind: str) -> tf.Tensor:
    if kind.endswith("s") and kind != "bytes":
        item = kind[:-1]
        width = max([1, *(len(v or []) for v in values)])
        values = [
            [encoded(x, item) for x in v or []] + [MISSING[item]] * (width - len(v or []))
            for v in values
        ]
    else:
        values = [encoded(v, kind) for v in values]
    return tf.constant(values, TENSOR_DTYPES[kind])


def compare(rows: list[dict], name: str = "plain") -> None:
    spec, model = MODELS[name]
    rows = [{**r, "png": file_of(r["png"]) if r["png"] else None} for r in rows]
    table = pa.table({n: pa.array([r[n] for r in rows], TYPES[k]) for n, k in RAW.items()})
    arrow = ArrowTransform(spec)(table)
    tensors = {n: tensor_of([r[c.name] for r in rows], c.kind) for n, c in spec.tensors.items()}
    graph = model(tensors)
    if spec.rules:
        rejected = find_rejected(table, RAW, spec.rules)
        np.testing.assert_array_equal(rejected, find_violations(spec, tensors).numpy())
    assert set(graph) == set(SPEC.inputs)
    for name, item in SPEC.inputs.items():
        found = graph[name].numpy()
        assert (found.dtype, found.shape[1:]) == (np.dtype(item.dtype), item.shape), name
        for position, column in enumerate(item.columns):
            values = found[:, position] if name in ("numeric", "categorical") else found
            assert values.dtype == arrow[column].dtype
            if values.dtype == np.float32:
                assert np.isfinite(values).all(), column
                np.testing.assert_allclose(
                    arrow[column], values, rtol=1e-6, atol=1e-37, err_msg=column
                )
            else:
                np.testing.assert_array_equal(arrow[column], values, err_msg=column)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_both_executions_agree(rows: list[dict]) -> None:
    compare(rows)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_both_executions_apply_rules_alike(rows: list[dict]) -> None:
    compare(rows, "ruled")


def test_what_breaks_a_rule_is_as_if_it_were_missing() -> None:
    rows = pa.table({n: pa.array([None, None], TYPES[k]) for n, k in RAW.items()})
    changed = {R: [2e6, None], "i": [3, None], S: ["aaaa", None], "t": [-1, None]}
    changed |= {"rs": [[1.0, -1.0, 2.0], [1.0, None, 2.0]]}
    for name, values in changed.items():
        position = rows.schema.get_field_index(name)
        rows = rows.set_column(position, name, pa.array(values, TYPES[RAW[name]]))
    arrays = ArrowTransform(RULED)(rows)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array[0], array[1], err_msg=name)
    assert (arrays["steps"][0] != ArrowTransform(SPEC)(rows)["steps"][0]).any()


@pytest.mark.parametrize("turns", [0, -1, 3])
def test_they_agree_next_to_where_a_wave_is_zero(turns: int) -> None:
    """There a whole angle's last digit would be all of its sine."""
    beside = [0.0, -1.2275605775659547e-11, 1.2275605775659547e-11, 1e-9, -3e-7, 1e-300, -4e-15]
    quarters = [quarter * 6.0 + turns * 24.0 for quarter in range(4)]
    rows = [dict.fromkeys(RAW) | {R: quarter + small} for quarter in quarters for small in beside]
    compare(rows)


@pytest.mark.parametrize("count", [1, 3])
def test_they_agree_where_everything_is_missing(count: int) -> None:
    compare([dict.fromkeys(RAW)] * count)


def test_jpeg_files_have_equal_pixels() -> None:
    rng = np.random.default_rng(0)
    files = [file_of(rng.integers(0, 256, 6).tolist(), "JPEG") for _ in range(50)]
    spec = TransformSpec(
        raw=(RawColumn(name="f", kind="bytes", nullable=False),),
        derived=(),
        features=(ImageFeature(name="x", column="f", height=2, width=3, channels=1),),
    )
    graph = TransformLayer(spec)({"raw_0": tf.constant(files)})["x"].numpy()
    arrow = ArrowTransform(spec)(pa.table({"f": pa.array(files, pa.binary())}))["x"]
    np.testing.assert_array_equal(graph, arrow)


def test_the_layer_survives_its_config() -> None:
    again = TransformLayer.from_config(TransformLayer(SPEC).get_config())
    assert again.spec == SPEC


def test_every_kind_is_compared() -> None:
    assert {type(feature) for feature in SPEC.features} == {kind.fitted for kind in KINDS}

"""The features as Arrow kernels, against values worked out by hand."""

import farmhash
import numpy as np
import pyarrow as pa
import pytest

from headrace.transform import kernels
from headrace.transform.columns import read_column
from headrace.transform.spec import CyclicFeature, ScaledFeature, SeriesFeature, TokensFeature


def real(*values: float | None) -> object:
    return read_column(pa.array(values, pa.float64()), "real")


def text(*values: str | None) -> object:
    return read_column(pa.array(values, pa.string()), "string")


def scaled(values: object, **options: object) -> list[float]:
    return kernels.scaled(values, ScaledFeature(name="f", column="c", **options)).tolist()


def test_scaled_fills_before_it_scales() -> None:
    column = real(1.0, None, float("nan"), float("inf"), 7.0)
    assert scaled(column, center=3.0, scale=2.0, fill=3.0) == [-1.0, 0.0, 0.0, 0.0, 2.0]
    assert scaled(column, center=3.0, scale=2.0, fill=5.0) == [-1.0, 1.0, 1.0, 1.0, 2.0]


def test_scaled_clips_then_takes_the_logarithm() -> None:
    column = real(-5.0, -1.0, 0.0, np.e - 1, 100.0)
    assert scaled(column, clip=(0.0, np.e - 1), log1p=True) == pytest.approx([0, 0, 0, 1, 1])
    feature = ScaledFeature(name="f", column="c", log1p=True, fill=9.0, indicator=True)
    assert kernels.scaled(column, feature).tolist()[:3] == [9.0, 9.0, 0.0]  # <= -1 is missing
    assert kernels.indicator(column, feature).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_scaled_ends_at_the_largest_float32() -> None:
    largest = float(np.finfo(np.float32).max)
    assert scaled(real(1e300, -1e300)) == [largest, -largest]


def test_cyclic() -> None:
    sine, cosine = kernels.cyclic(
        real(0.0, 6.0, 12.0, -6.0, None), CyclicFeature(name="f", column="c", period=24.0)
    )
    assert sine.tolist() == pytest.approx([0, 1, 0, -1, 0], abs=0)
    assert cosine.tolist() == pytest.approx([1, 0, -1, 0, 0], abs=0)


def test_cyclic_is_right_next_to_where_it_is_zero() -> None:
    """By hand: near a multiple of half a period the sine is the angle's distance from it."""
    tiny = 2.0**-40
    around = [24 + tiny, -tiny, 12 - tiny, -12 + tiny, 36 + tiny, 12.0, 6.0, -6.0]
    feature = CyclicFeature(name="f", column="c", period=24.0)
    sine, cosine = kernels.cyclic(real(*around), feature)
    small = tiny / 24 * 2 * np.pi
    expected = [small, -small, small, -small, -small, 0, 1, -1]
    np.testing.assert_allclose(sine, expected, rtol=1e-6)
    np.testing.assert_allclose(cosine, [1, 1, -1, -1, -1, -1, 0, 0], rtol=1e-6)


def test_buckets_are_closed_on_the_left() -> None:
    ids = kernels.bucket_ids(real(-1.0, 0.0, 0.5, 2.0, 9.0, None), np.array([0.0, 2.0]))
    assert ids.tolist() == [1, 2, 2, 3, 3, 0]


def test_vocabulary_ids_missing_unknown_known() -> None:
    ids = kernels.vocabulary_ids(text("b", None, "", "zz", "a"), pa.array(["a", "b", ""]))
    assert ids.tolist() == [3, 0, 4, 1, 2]


def test_unknown_texts_share_their_ids_by_hash_and_missing_may_be_filled() -> None:
    unknown = 1 + farmhash.fingerprint64(b"zz") % 3
    ids = kernels.vocabulary_ids(text("a", "zz", None), pa.array(["a"]), 3, "a")
    assert ids.tolist() == [4, unknown, 4]


def test_a_dictionary_column_gives_the_same_ids() -> None:
    words = ["b", None, "x", "b"]
    plain, encoded = text(*words), read_column(pa.array(words).dictionary_encode(), "string")
    for vocabulary in (pa.array(["a", "b"]), pa.array([], pa.string())):
        assert (
            kernels.vocabulary_ids(plain, vocabulary).tolist()
            == kernels.vocabulary_ids(encoded, vocabulary).tolist()
        )


def test_vocabulary_of_integers_goes_by_their_text() -> None:
    big = 2**53 + 1  # not a float64
    column = read_column(pa.array([-5, big, None, 2**53], pa.int64()), "integer")
    ids = kernels.vocabulary_ids(column, pa.array(["-5", str(big)]))
    assert ids.tolist() == [2, 3, 0, 1]


def test_hash_ids_are_fingerprint64_modulo_buckets() -> None:
    e, empty = (1 + farmhash.fingerprint64(word) % 8 for word in ("é".encode(), b""))
    assert kernels.hash_ids([text("é", None, "", "é")], 8).tolist() == [e, 0, empty, e]


def test_a_cross_hashes_the_texts_together() -> None:
    number = read_column(pa.array([1, 1, None, 2], pa.int64()), "integer")
    ids = kernels.hash_ids([text("a", None, "b", "a"), number], 1000)
    a1, a2 = (1 + farmhash.fingerprint64(w) % 1000 for w in (b"a\x1f1", b"a\x1f2"))
    assert ids.tolist() == [a1, 0, 0, a2]
    assert kernels.hash_ids([text(None, None), text("a", "b")], 10).tolist() == [0, 0]


def tokens(column: object, values: tuple[str, ...], **options: object) -> list[list[int]]:
    feature = TokensFeature(name="f", column="c", values=values, **options)
    return kernels.token_ids(column, feature, pa.array(values, pa.string())).tolist()


def test_tokens_of_a_list_are_cut_and_padded() -> None:
    lists = read_column(
        pa.array([["a", "x", "b"], None, [None, "b"], []], pa.list_(pa.string())), "strings"
    )
    assert tokens(lists, ("a", "b"), length=2) == [[2, 1], [0, 0], [0, 3], [0, 0]]


def test_words_of_a_text() -> None:
    column = text("A, b\t  c!", " ", None, "É b", "\u2003a\n")
    found = tokens(column, ("a", "b", "c"), length=3, lower=True, strip_punctuation=True)
    assert found == [[2, 3, 4], [0, 0, 0], [0, 0, 0], [1, 3, 0], [1, 0, 0]]
    as_it_is = tokens(column, ("A,", "b"), length=2)
    assert as_it_is[0] == [2, 3]


def test_series_are_scaled_cut_and_padded_with_the_fill() -> None:
    lists = read_column(pa.array([[1.0, None, 5.0], [3.0]], pa.list_(pa.float64())), "reals")
    feature = SeriesFeature(name="f", column="c", length=2, center=1.0, scale=2.0, fill=3.0)
    assert kernels.series(lists, feature).tolist() == [[0.0, 1.0], [1.0, 1.0]]

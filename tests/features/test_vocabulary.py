"""Values as ids of a vocabulary: what the train split makes of it, and ids worked out by hand."""

import farmhash
import pyarrow as pa

from headrace.columns.values import Values, read_column
from headrace.features.numbers import Constant
from headrace.features.vocabulary import VocabularyFeature, VocabularySection
from tests.fitting import fit_table, read_integers, read_texts, run_feature

TEXTS = ["z"] * 3 + ["é"] * 2 + ["b"] * 2 + ["B"] * 2 + ["once", None]


def look_up(column: Values, values: tuple[str, ...], **options: object) -> list[int]:
    feature = VocabularyFeature(name="f", column="c", values=values, **options)
    return run_feature(feature, column)["f"].tolist()


def test_ids_of_missing_unknown_and_known_texts() -> None:
    assert look_up(read_texts("b", None, "", "zz", "a"), ("a", "b", "")) == [3, 0, 4, 1, 2]


def test_unknown_texts_share_their_ids_by_hash_and_missing_may_be_filled() -> None:
    unknown = 1 + farmhash.fingerprint64(b"zz") % 3
    ids = look_up(read_texts("a", "zz", None), ("a",), unknown_ids=3, fill="a")
    assert ids == [4, unknown, 4]


def test_a_dictionary_column_gives_the_same_ids() -> None:
    texts = ["b", None, "x", "b"]
    encoded = read_column(pa.array(texts).dictionary_encode(), "string")
    for values in (("a", "b"), ()):
        assert look_up(read_texts(*texts), values) == look_up(encoded, values)


def test_integers_go_by_their_text() -> None:
    big = 2**53 + 1  # not a float64
    assert look_up(read_integers(-5, big, None, 2**53), ("-5", str(big))) == [2, 3, 0, 1]


def test_order_is_count_then_bytes_and_limits_hold() -> None:
    features = {
        "all": VocabularySection(kind="vocabulary", column="w"),
        "often": VocabularySection(kind="vocabulary", column="w", min_count=2),
        "two": VocabularySection(kind="vocabulary", column="w", max_size=2, oov_ids=3),
        "filled": VocabularySection(kind="vocabulary", column="w", impute="most_frequent"),
        "named": VocabularySection(kind="vocabulary", column="w", impute=Constant(constant="b")),
    }
    fitted = fit_table(pa.table({"w": TEXTS}), {"w": "string"}, features).features
    assert fitted[0].values == ("z", "B", "b", "é", "once")
    assert fitted[1].values == ("z", "B", "b", "é")
    assert fitted[2].values == ("z", "B")
    assert fitted[2].cardinality == 1 + 3 + 2
    assert (fitted[0].fill, fitted[3].fill, fitted[4].fill) == (None, "z", "b")

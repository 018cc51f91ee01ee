"""Lists and texts as ids: what the train split makes of them, and ids worked out by hand."""

import pyarrow as pa

from headrace.columns.values import Values, read_column
from headrace.features.tokens import MultiValuedSection, TextSection, TokensFeature
from tests.fitting import fit_table, read_texts, run_feature


def look_up(column: Values, values: tuple[str, ...], **options: object) -> list[list[int]]:
    feature = TokensFeature(name="f", column="c", values=values, **options)
    return run_feature(feature, column)["f"].tolist()


def test_lists_are_truncated_and_padded() -> None:
    lists = read_column(
        pa.array([["a", "x", "b"], None, [None, "b"], []], pa.list_(pa.string())), "strings"
    )
    assert look_up(lists, ("a", "b"), length=2) == [[2, 1], [0, 0], [0, 3], [0, 0]]


def test_words_of_a_text() -> None:
    column = read_texts("A, b\t  c!", " ", None, "É b", "\u2003a\n")
    ids = look_up(column, ("a", "b", "c"), length=3, lower=True, strip_punctuation=True)
    assert ids == [[2, 3, 4], [0, 0, 0], [0, 0, 0], [1, 3, 0], [1, 0, 0]]
    assert look_up(column, ("A,", "b"), length=2)[0] == [2, 3]


def test_words_and_list_elements_are_counted() -> None:
    table = pa.table({"t": ["A b, b", "b"], "l": [[3, 1], [1, None]]})
    features = {
        "t": TextSection(kind="text", length=4),
        "raw": TextSection(kind="text", column="t", length=4, lower=False, strip_punctuation=False),
        "l": MultiValuedSection(kind="multi_valued", length=2),
        "h": MultiValuedSection(kind="multi_valued", column="l", length=2, buckets=5),
    }
    raw = {"t": "string", "l": "integers"}
    text, exact_text, lists, hashed = fit_table(table, raw, features).features
    assert text.values == ("b", "a")
    assert exact_text.values == ("b", "A", "b,")
    assert lists.values == ("1", "3")
    assert (hashed.values, hashed.buckets) == ((), 5)

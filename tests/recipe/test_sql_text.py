"""Expressions that differ in layout alone are written in one way, others are not."""

import pytest

from headrace.recipe.sql_text import (
    find_column_names,
    has_star,
    has_window,
    list_calls,
    list_names,
    normalize_sql,
)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("delay > 15", "  delay>15 "),
        ("delay > 15", "(delay > 15)"),
        ("delay > 15", "( ( delay > 15 ) )"),
        ("delay > 15", "Delay > 15 -- minutes"),
        ("delay > 15", "delay /* minutes */ > 15"),
        ("delay > 15", "`delay`\n> 15"),
        ("a = 1 AND b <> 'x'", "a == 1 and b != 'x'"),
        ("IF(a, 1, 0)", "if( a,1,0 )"),
        ("seconds / 1e9", "seconds/1E9"),
    ],
)
def test_layout_does_not_count(text: str, other: str) -> None:
    assert normalize_sql(text) == normalize_sql(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("seconds", "seconds / 1e9"),
        ("minutes > 15", "minutes > 60"),
        ("minutes > 15", "minutes >= 15"),
        ("shop = 'A'", "shop = 'a'"),
        ("shop = 'a b'", "shop = 'a  b'"),
        ("shop = '--'", "shop = ''"),
        ('shop = "x"', "shop = x"),
        ("`a b`", "a b"),
        ("(a) + (b)", "a + b"),
        ("a - 1", "a -1e0"),
        ("a <=> b", "a <= b"),
        ("é", "e"),
    ],
)
def test_what_may_give_other_values_counts(text: str, other: str) -> None:
    assert normalize_sql(text) != normalize_sql(other)


def test_case_counts_where_spark_is_told_so() -> None:
    def normalize(text: str) -> str:
        return normalize_sql(text, case_sensitive=True)

    assert normalize("Late") != normalize("late")
    assert normalize("a = Late and B") != normalize("a = late and B")
    # That of what is no name never counts.
    for text, other in (
        ("CASE WHEN a IS NULL THEN 1 ELSE 0 END", "case when a is null then 1 else 0 end"),
        ("CAST(a AS INT) > 1 AND NOT Late", "cast(a as int) > 1 and not Late"),
        ("d > DATE '2020-01-01'", "d > date'2020-01-01'"),
        ("HOUR(t) = 1", "hour(t) = 1"),
    ):
        assert normalize(text) == normalize(other)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("IF(`a b` > 1e9, B_1, 'c')", ["a b", "B_1"]),
        ("`a``b` > 1 and 1st_delay < 10L", ["a`b", "and", "1st_delay"]),
        ("`100%` > 1.5e3", ["100%"]),
        (r"r'\' = c and a > 0 and b = 'x'", ["c", "and", "a", "and", "b"]),  # a text of one sign
        ("/* it's */ a > 0 -- isn't b", ["a"]),
        ("size(x) > size", ["x", "size"]),
        ("s.field = 'it''s'", ["s", "field"]),
        ("größe > 1", ["größe"]),
    ],
)
def test_names_are_all_words_outside_of_texts(text: str, names: list[str]) -> None:
    assert find_column_names(text) == names
    assert list_names(text) == {name.lower() for name in names}


def test_calls_windows_and_stars_are_told_from_what_looks_like_them() -> None:
    assert list_calls("RAND () > `uuid`(a) and rand > 1 and 'x()' = 1") == {"rand", "uuid"}
    assert has_window("sum(a) OVER (order by b)")
    assert has_window("sum(a) filter (where b) over w")
    assert not has_window("over > 1 and (a) > over")
    assert has_star("hash(a, *) > 1")
    assert has_star("struct(t.*) is null")
    assert not has_star("(a * b) > 2 * (c)")

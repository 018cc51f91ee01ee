"""Expressions that differ in layout alone are written in one way, others are not."""

import pytest

from headrace.recipe.sql_text import list_names, normalize_sql


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
    assert normalize_sql("Late", case_sensitive=True) != normalize_sql("late", case_sensitive=True)


def test_names_are_all_words_outside_of_texts() -> None:
    assert list_names("IF(`a b` > 1e9, B_1, 'c')") == {"if", "a b", "b_1"}

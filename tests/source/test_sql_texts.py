"""What is suspected of SQL, and what is certain: a column that is nowhere."""

from pathlib import Path

import pytest

from headrace.errors import Problem
from headrace.source.sql_texts import SPARK_DECIDES, SqlFindings, SqlText, check_sql, list_sql_texts
from tests.tiny import tiny_recipe

COLUMNS = frozenset({"arr_delay", "Origin", "place", "xs"})


def check(text: str, columns: frozenset[str] | None = COLUMNS) -> SqlFindings:
    return check_sql(SqlText("label.expression", text), columns)


@pytest.mark.parametrize(
    "text",
    [
        "arr_delay > 15",
        "arr_delay > 15 AND Origin IN ('JFK', 'LGA')",
        "`arr_delay` <=> null or not Origin is null",
        "place.city = 'Oslo'",
        "case when arr_delay > 15 then 1 else 0 end",
        "exists(xs, x -> x > 3)",
        "transform(xs, (x, i) -> x + i)[0] > 0",
        "_metadata.file_name like '%x%'",
        "my_own_function(arr_delay) rlike '^a'",
        "cast(arr_delay as decimal(10, 2)) between 1 and 2",
        "arr_delay div 2 = 3",
        "arr_delay > 15 -- minutes",
        "avg(arr_delay) over (partition by Origin) > 15",
        "aggregate(xs, 0, (total, x) -> total + x) > 3",
        "array_max(xs) > 3 and greatest(arr_delay, 3) > 3 and size(collect(xs)) > 1",
    ],
)
def test_nothing_is_said_of_what_is_right(text: str) -> None:
    assert check(text) == SqlFindings()


@pytest.mark.parametrize(
    ("text", "name", "near"),
    [
        ("arr_dely > 15", "arr_dely", "arr_delay"),
        ("arr_dely", "arr_dely", "arr_delay"),
        ("Origin = 'JFK' or not orign is null", "orign", "Origin"),
        ("ARR_DELAY > 15", "ARR_DELAY", "arr_delay"),  # sessions tell capitals from small letters
        ("origin = 'JFK'", "origin", "Origin"),
        ("case when arr_dely > 15 then 1 end", "arr_dely", "arr_delay"),
        ("`arr_dely` in (1, 2)", "arr_dely", "arr_delay"),
    ],
)
def test_a_column_that_is_nowhere_is_certain_in_a_plain_expression(
    text: str, name: str, near: str
) -> None:
    said = f"reads {name!r}, and there is no such column"
    problem = Problem("label.expression", said, f"did you mean {near}?")
    assert check(text) == SqlFindings(mistakes=(problem,))


@pytest.mark.parametrize(
    "text", ["length(orign) > 3", "plce.city = 'Oslo'", "exists(xs, x -> y > 3)"]
)
def test_a_name_is_suspected_where_it_could_be_something_else(text: str) -> None:
    found = check(text)
    assert found.mistakes == ()
    assert len(found.suspicions) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("arr_delay >> > 15", "something is missing near '>'"),
        ("arr_delay > (15", "expecting )"),
        ("arr_delay > 'x", "Error tokenizing"),
        ("select arr_delay from t", "is a statement, not an expression"),
        ("arr_delay > 15 minutes", "the expression ends before 'minutes'"),
        ("drop table t", "is a statement, not an expression"),
        ("arr_delay > 1; arr_delay > 2", "is more than one expression"),
        ("-- nothing", "is empty"),
        ("sum(arr_delay) > 15", "SUM(arr_delay) is of many rows, not of one"),
        ("arr_delay > 1 and count(*) > 15", "COUNT(*) is of many rows"),
    ],
)
@pytest.mark.parametrize("columns", [COLUMNS, None])
def test_what_does_not_parse_is_suspected(
    text: str, what: str, columns: frozenset[str] | None
) -> None:
    found = check(text, columns)
    (problem,) = found.suspicions
    assert found.mistakes == ()
    assert what in problem.message
    assert problem.fix == SPARK_DECIDES


@pytest.mark.parametrize(
    "text", ["current_date > date'2013-01-01'", "arr_delay > 1 and NOW() > timestamp'2013-01-01'"]
)
@pytest.mark.parametrize("columns", [COLUMNS, None])
def test_a_label_that_reads_the_clock_is_suspected(
    text: str, columns: frozenset[str] | None
) -> None:
    (problem,) = check(text, columns).suspicions
    assert "reads the clock (" in problem.message
    where = SqlText("source.tables.t.where", text)
    assert check_sql(where, columns) == SqlFindings()  # of what is read tonight
    assert check_sql(SqlText("label.expression", "now"), frozenset({"now"})) == SqlFindings()


def test_without_columns_no_name_is_wrong() -> None:
    assert check("nowhere > 15", None) == SqlFindings()


def test_every_text_of_a_recipe_is_listed(tmp_path: Path) -> None:
    recipe = tiny_recipe(
        tmp_path,
        "source.tables.visits.where=a > 1",
        "source.tables.shops.partitions=b > 1",
        "label.sample_weight=c",
        'clean.rules=[{kind: in, column: d, values: [1]}, {kind: expr, expression: "e > 1"}]',
    )
    assert {(sql.key, sql.text, sql.table) for sql in list_sql_texts(recipe)} == {
        ("source.tables.visits.where", "a > 1", "visits"),
        ("source.tables.shops.partitions", "b > 1", "shops"),
        ("label.expression", "late", ""),
        ("label.sample_weight", "c", ""),
        ("clean.rules.1.expression", "e > 1", ""),
    }

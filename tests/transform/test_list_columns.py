"""Lists of rows by raw values: texts, numbers, several columns, and what is missing."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from headrace.features.hash import HashFeature
from headrace.lake.build import StoredColumn
from headrace.recipe import sections as s
from headrace.transform.list_columns import find_list_columns, number_lists
from headrace.transform.spec import RawColumn, TransformSpec

SPEC = TransformSpec(
    raw=(RawColumn(name="user", kind="string", nullable=True),),
    derived=(),
    features=(HashFeature(name="user", columns=("user",), buckets=2),),
)
STORED = {
    "user": StoredColumn(name="raw_user", type="string"),
    "price": StoredColumn(name="raw_price", type="real"),
}
BUILD: Any = SimpleNamespace(kept={"price": "real"}, stored=STORED)
ROWS = pa.table(
    {
        "raw_user": ["b", "a", "b", None, "ä", ""],
        "raw_price": [1.0, 2.0, float("nan"), 1.0, None, 2.0],
    }
)


def number(*columns: str) -> list[int]:
    found, problems = find_list_columns(s.Ranking(columns=list(columns)), SPEC, BUILD)
    assert not problems
    return number_lists(found, ROWS).tolist()


def test_each_value_is_a_list_whatever_bucket_it_has() -> None:
    first = number("user")
    assert first[0] == first[2]
    assert first[3] == -1
    assert len({first[i] for i in (0, 1, 4, 5)}) == 4


def test_of_several_columns_each_combination_is_one() -> None:
    both = number("user", "price")
    assert [both[i] for i in (2, 3, 4)] == [-1, -1, -1]  # a value of one is missing
    assert len({both[0], both[1], both[5]}) == 3
    first, second = number("price")[:2]
    assert number("price") == [first, second, -1, first, -1, second]


def test_a_column_that_is_not_there_or_has_no_raw_values_is_named() -> None:
    _, problems = find_list_columns(s.Ranking(columns=["who", "user"]), SPEC, BUILD)
    assert [str(problem) for problem in problems] == [
        "evaluate.ranking.columns: the dataset has no column who (prepare it again with "
        "dataset.keep)"
    ]
    older: Any = SimpleNamespace(kept={}, stored={})
    _, (problem,) = find_list_columns(s.Ranking(columns=["user"]), SPEC, older)
    assert "has no raw values of user" in str(problem)
    assert "--full" in str(problem)

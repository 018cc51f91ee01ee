"""Which values violate a rule, and what people are told of them."""

import datetime
import decimal
from typing import Any

import pytest
from pydantic import TypeAdapter

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.source.condition_columns import has_value
from headrace.source.internal_columns import name_count
from headrace.source.raw_schema import RawSchema
from headrace.source.rule_conditions import build_condition
from headrace.transform.rule_names import name_rule

NAN, INFINITE = float("nan"), float("inf")


def parse_rule(**keys: Any) -> "s.Rule":
    rule: s.Rule = TypeAdapter(s.Rule).validate_python(keys)
    return rule


def list_violations(
    spark: Any, values: list[Any], sql_type: str, /, **keys: Any
) -> list[tuple[Any, str | None]]:
    """Return the values of a column `v` that violate a rule, and why."""
    frame = spark.createDataFrame([(value,) for value in values], f"v {sql_type}").coalesce(1)
    condition = build_condition(spark, 3, parse_rule(**keys), RawSchema.from_frame(frame))
    if condition.count is not None:
        frame = frame.withColumn(name_count(3), condition.count)
    violated = frame.select("v", condition.violated.alias("is"), condition.reason.alias("why"))
    rows = violated.collect()
    assert all(row["is"] is not None for row in rows)
    return [(row["v"], row["why"]) for row in rows if row["is"]]


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"kind": "not_null", "columns": ["a", "b c"]}, "not_null(a, b c)"),
        ({"kind": "unique", "columns": ["a"]}, "unique(a)"),
        ({"kind": "range", "column": "a", "min": 1}, "range(a)"),
        ({"kind": "in", "column": "a", "values": [1]}, "in(a)"),
        ({"kind": "regex", "column": "a", "pattern": "x"}, "regex(a)"),
        ({"kind": "expr", "expression": "a > " + "1" * 80}, "a > " + "1" * 56),
    ],
)
def test_a_rule_without_a_name_gets_one(keys: dict[str, Any], name: str) -> None:
    assert name_rule(parse_rule(**keys)) == name


@pytest.mark.spark
def test_real_numbers_that_are_not_finite_are_missing(spark: object) -> None:
    missing = list_violations(spark, [0.0, NAN, INFINITE, -INFINITE], "float", kind="not_null",
                              columns=["v"])  # fmt: skip
    assert [why for _, why in missing] == ["v is missing"] * 3
    frame = spark.sql("SELECT CAST(NULL AS decimal(3,1)) AS v, '' AS text, 1.5BD AS d")
    schema = RawSchema.from_frame(frame)
    row = frame.select(*(has_value(name, schema) for name in frame.columns)).collect()[0]
    assert list(row) == [False, True, True]


@pytest.mark.spark
def test_all_missing_columns_are_named(spark: object) -> None:
    frame = spark.sql("SELECT CAST(NULL AS int) AS `a.b`, 'x' AS c, double('NaN') AS d")
    rule = parse_rule(kind="not_null", columns=["a.b", "c", "d"])
    condition = build_condition(spark, 0, rule, RawSchema.from_frame(frame))
    assert list(frame.select(condition.violated, condition.reason).collect()[0]) == [
        True, "a.b, d is missing"
    ]  # fmt: skip


@pytest.mark.spark
def test_limits_are_part_of_a_range_and_null_passes(spark: object) -> None:
    assert list_violations(
        spark, [-1, 0, 5, 6, None], "int", kind="range", column="v", min=0, max=5
    ) == [(-1, "v: '-1' is below 0"), (6, "v: '6' is above 5")]
    assert list_violations(
        spark, [0.5, NAN, INFINITE, None], "double", kind="range", column="v", max=0.25
    ) == [(0.5, "v: '0.5' is above 0.25")]
    day = datetime.date(2020, 1, 1)
    assert list_violations(
        spark, [day, day.replace(year=2021)], "date", kind="range", column="v", max="2020-06-01"
    ) == [(day.replace(year=2021), "v: '2021-01-01' is above 2020-06-01")]
    price = decimal.Decimal("0.01")
    assert list_violations(spark, [price], "decimal(9,2)", kind="range", column="v", min=0.02) == [
        (price, "v: '0.01' is below 0.02")
    ]


@pytest.mark.spark
def test_numbers_are_no_limits_of_texts(spark: object) -> None:
    with pytest.raises(LakeError, match=r"^clean.rules.3 \(range\), column 'v': 9 is a number"):
        list_violations(spark, ["10"], "string", kind="range", column="v", max=9)
    assert list_violations(spark, ["10", "b"], "string", kind="range", column="v", max="a") == [
        ("b", "v: 'b' is above a")
    ]


@pytest.mark.spark
def test_values_in_a_list(spark: object) -> None:
    rule = {"kind": "in", "column": "v", "values": ["a", "b", "c", "d", "e", "f"]}
    violations = list_violations(spark, ["f", "g", None], "string", **rule)
    assert violations == [("g", "v: 'g' is none of a, b, c, d, e, …")]


@pytest.mark.spark
def test_patterns_are_found_anywhere_in_a_text_and_checked_at_once(spark: object) -> None:
    assert list_violations(
        spark, ["xay", "b", "", None], "string", kind="regex", column="v", pattern="a"
    ) == [("b", "v: 'b' does not match a"), ("", "v: '' does not match a")]
    assert list_violations(spark, [12, 345], "int", kind="regex", column="v", pattern="^..$") == [
        (345, "v: '345' does not match ^..$")
    ]
    with pytest.raises(Exception, match="Unclosed group"):
        list_violations(spark, ["x"], "string", kind="regex", column="v", pattern="(")


@pytest.mark.spark
def test_an_expression_must_not_be_false(spark: object) -> None:
    assert list_violations(
        spark, [1, 2, None], "int", kind="expr", expression="v = 1 OR v > 5"
    ) == [(2, "not v = 1 OR v > 5")]


@pytest.mark.spark
def test_all_rows_of_one_key_violate_and_null_equals_nothing(spark: object) -> None:
    violations = list_violations(
        spark, ["a", "b", "a", None, None], "string", kind="unique", columns=["v"]
    )
    assert violations == [("a", "v='a' has 2 rows")] * 2


@pytest.mark.spark
def test_long_values_are_quoted_in_part(spark: object) -> None:
    ((_, why),) = list_violations(spark, ["x" * 200], "string", kind="in", column="v", values=["a"])
    assert why == f"v: '{'x' * 80}' is none of a"


@pytest.mark.spark
@pytest.mark.parametrize(
    ("values", "sql_type", "literals", "violating"),
    [
        (["00501", "501", "NO", None], "string", ["00501", 501], ["NO"]),
        (["1", "2", "n/a"], "string", [1, 2], ["n/a"]),
        (["1.5", "1.50"], "string", ["1.50"], ["1.5"]),
        (["true", "True"], "string", [True], ["True"]),
        ([501, 502], "bigint", ["00501"], [502]),
        ([2**53, 2**53 + 1], "bigint", [2**53 + 1], [2**53]),
        ([1.5, 2.0], "double", ["1.50", 3], [2.0]),
        ([True, False], "boolean", ["TRUE"], [False]),
    ],
)
def test_the_values_of_a_rule_are_read_by_the_type_of_its_column(
    spark: object, values: list[Any], sql_type: str, literals: list[Any], violating: list[Any]
) -> None:
    found = list_violations(spark, values, sql_type, kind="in", column="v", values=literals)
    assert [value for value, _ in found] == violating


@pytest.mark.spark
def test_values_that_are_times(spark: object) -> None:
    days = [datetime.date(2013, 10, 1), datetime.date(2013, 10, 2)]
    found = list_violations(spark, days, "date", kind="in", column="v", values=["2013-10-01"])
    assert [value for value, _ in found] == days[1:]
    times = [datetime.datetime(2013, 10, 1, 12, 30), datetime.datetime(2013, 10, 1)]
    found = list_violations(
        spark, times, "timestamp_ntz", kind="in", column="v", values=["2013-10-01 12:30"]
    )
    assert [value for value, _ in found] == times[1:]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("sql_type", "keys", "message"),
    [
        ("int", {"kind": "in", "values": [1, "n/a"]}, r"clean\.rules\.3 \(in\), column 'v': 'n/a'"),
        ("int", {"kind": "range", "min": "x"}, r"clean\.rules\.3 \(range\), column 'v': 'x' is no"),
    ],
)
def test_a_literal_of_another_type_is_refused(
    spark: object, sql_type: str, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(LakeError, match=message):
        list_violations(spark, [1], sql_type, column="v", **keys)

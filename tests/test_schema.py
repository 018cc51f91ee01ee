"""The column contract."""

from headrace.schema import Column, ColumnType, find_violations

INTEGER = frozenset({ColumnType.INTEGER})


def test_violations_name_column_types_and_who_wants_it() -> None:
    contract = [Column("a", INTEGER, "features.a"), Column("b", INTEGER), Column("c", INTEGER)]
    found = {"a": ColumnType.STRING, "c": ColumnType.INTEGER, "extra": ColumnType.OTHER}
    assert find_violations(contract, found) == [
        "column 'a' has type string, expected integer (needed by features.a)",
        "column 'b' is missing; the columns are: a, c, extra",
    ]


def test_extra_columns_are_no_violation() -> None:
    assert find_violations([], {"x": ColumnType.OTHER}) == []


def test_of_a_wide_table_some_columns_are_named() -> None:
    columns = {f"c{number:03}": ColumnType.REAL for number in range(200)}
    (violation,) = find_violations([Column("x", frozenset({ColumnType.REAL}))], columns)
    assert violation.endswith("c058, c059 and 140 more")


def test_a_near_name_is_named() -> None:
    columns = {"amount": ColumnType.REAL, "Amount_": ColumnType.REAL}
    (violation,) = find_violations([Column("amout", frozenset({ColumnType.REAL}))], columns)
    assert violation.endswith("; did you mean 'amount'?")

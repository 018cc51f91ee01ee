"""Names that no raw column has."""

import pytest

from headrace.source import internal_columns as names


@pytest.mark.parametrize(
    "name",
    [
        names.BUCKET, names.LABEL, names.ROW_ID, names.FILE, names.PROBLEMS,
        names.name_before_cast("x"), names.name_mask(2),
        names.name_count(0), names.name_output_copy("x"),
    ],
)  # fmt: skip
def test_what_is_added_is_told_from_what_is_read(name: str) -> None:
    assert names.is_internal(name)
    assert not names.is_internal(name.removeprefix("__"))


def test_names_differ() -> None:
    added = {f(n) for f in (names.name_mask, names.name_count) for n in (0, 1)}
    added |= {f("x") for f in (names.name_before_cast, names.name_output_copy)}
    assert len(added) == 6


@pytest.mark.parametrize(
    ("name", "quoted"), [("a", "`a`"), ("a.b c", "`a.b c`"), ("a`b", "`a``b`"), ("", "``")]
)
def test_sql_quotes_names(name: str, quoted: str) -> None:
    assert names.quote_name(name) == quoted


@pytest.mark.spark
def test_a_column_of_any_name_is_found(spark: object) -> None:
    frame = spark.range(3).withColumnRenamed("id", "a.`b` c")
    assert [row[0] for row in frame.select(names.col("a.`b` c")).collect()] == [0, 1, 2]

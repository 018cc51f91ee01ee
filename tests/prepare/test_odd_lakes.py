"""Odd lakes: a clear error that names table and column, or the documented right result."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest

from headrace.errors import LakeError
from headrace.transform.spec import TransformSpec
from tests import tiny
from tests.prepare.tiny_builds import build_anew, has_published_nothing, read_rows, write_visits

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark", "tiny_lake")]

# Spark 3 does not say which file.
DAMAGED = (
    r"part-0.parquet cannot be read"
    if pyspark.__version__ >= "4"
    else r"a Parquet file is damaged, Spark 3 does not say which: \w"
)


def with_column(name: str, values: pa.Array) -> Callable[[Path], None]:
    def apply(workdir: Path) -> None:
        table = tiny.visits()
        if name in table.column_names:
            table = table.drop_columns([name])
        write_visits(workdir, table.append_column(name, values))

    return apply


def visits_folder(workdir: Path) -> Path:
    return workdir / "lake" / "visits"


def truncated(workdir: Path) -> None:
    path = visits_folder(workdir) / "part-0.parquet"
    path.write_bytes(path.read_bytes()[:-300])


def half_a_file(workdir: Path) -> None:
    """The footer is whole, the pages before it are zeros."""
    path = visits_folder(workdir) / "part-0.parquet"
    whole = bytearray(path.read_bytes())
    whole[200:4000] = bytes(3800)
    path.write_bytes(bytes(whole))


def text_beside(workdir: Path) -> None:
    (visits_folder(workdir) / "notes.txt").write_text("do not delete")


def nothing_in_a_file(workdir: Path) -> None:
    (visits_folder(workdir) / "empty.parquet").write_bytes(b"")


def other_type_in_a_file(workdir: Path) -> None:
    table = tiny.visits()
    table = table.set_column(3, "amount", table["amount"].cast(pa.string()))
    pq.write_table(table, visits_folder(workdir) / "part-1.parquet")


def twice_the_name(workdir: Path) -> None:
    table = tiny.visits()
    names = [*table.column_names, "amount"]
    pq.write_table(
        pa.Table.from_arrays([*table.columns, table["amount"]], names=names),
        visits_folder(workdir) / "part-0.parquet",
    )


def map_column() -> pa.Array:
    return pa.array([{"a": 1}] * tiny.ROWS)


ERRORS: list[tuple[str, Callable[[Path], None], list[str], str]] = [
    ("truncated file", truncated, [], r"table 'visits' .*part-0.parquet is not a readable Parquet"),
    ("damaged pages", half_a_file, [], DAMAGED),
    ("text file among them", text_beside, [], r"table 'visits' .*notes.txt"),
    ("empty file", nothing_in_a_file, [], r"empty.parquet is not a readable Parquet file"),
    ("type changes between files", other_type_in_a_file, [], r"part-1.parquet"),
    ("a column twice", twice_the_name, [], r"column 'amount' is there 2 times in part-0.parquet"),
    (
        "case differs",
        with_column("Amount", pa.array([1.0] * tiny.ROWS)),
        ["features.odd={kind: standardize, column: AMOUNT}"],
        r"column 'AMOUNT' is missing .*case-sensitive, did you mean '[aA]mount'",
    ),
    (
        "struct column",
        with_column("amount", map_column()),
        [],
        r"column 'amount' has type other, expected",
    ),
    (
        "list where a number is wanted",
        with_column("amount", pa.array([[1.0]] * tiny.ROWS)),
        [],
        r"column 'amount' has type list.real., expected",
    ),
    (
        "time where a number is wanted",
        with_column("amount", pa.array([datetime(2020, 1, 1)] * tiny.ROWS)),
        [],
        r"column 'amount' has type timestamp, expected",
    ),
    (
        "nanoseconds",
        with_column("t", pa.array([datetime(2020, 1, 1)] * tiny.ROWS, pa.timestamp("ns"))),
        ["clean.rules=[{kind: not_null, columns: [t]}]"],
        r"table 'visits' .* column 't' is a timestamp in nanoseconds, which Spark does not read",
    ),
    (
        "a number that cannot be a time",
        lambda w: None,
        ["source.tables.visits.columns={day: timestamp}"],
        r"column 'day' has type integer, expected string or timestamp .*tables.visits.columns",
    ),
    (
        "declared and missing",
        lambda w: None,
        ["source.tables.visits.columns={nope: integer}"],
        r"table 'visits': column 'nope' is missing .needed by source.tables.visits.columns",
    ),
    (
        "lookup values that do not cast",
        lambda w: None,
        ["source.tables.shops.columns={size: integer}"],
        r"table 'shops' .* has values that are not of the declared type, size .integer.: size=.1.5",
    ),
    (
        "infinite spread",
        with_column("amount", pa.array([1e300, -1e300] * (tiny.ROWS // 2))),
        [],
        r"feature 'amount': column 'amount' holds values so large",
    ),
    (
        "a rule's column is missing",
        lambda w: None,
        ["clean.rules=[{kind: not_null, columns: [amuont]}]"],
        r"column 'amuont' is missing .needed by clean.rules.0 .not_null.",
    ),
    (
        "a rule that is no SQL",
        lambda w: None,
        ["clean.rules=[{kind: expr, expression: 'amount >>> 1 ('}]"],
        r"clean.rules.0 .expr.: ",
    ),
    (
        "a pattern that is none",
        lambda w: None,
        ["clean.rules=[{kind: regex, column: shop, pattern: '[a'}]"],
        r"clean.rules.0 .regex.: (Unclosed character class|.*regexp. in .rlike. is invalid: '.a')",
    ),
    (
        "a rule compares text with numbers",
        lambda w: None,
        ["clean.rules=[{kind: range, column: shop, min: 1}]"],
        r"clean.rules.0.min: column 'shop' is string, and 1 is a number; declare the column's type",
    ),
    (
        "label divides by zero",
        lambda w: None,
        ["label.expression=1 / (visit - 5) > 0"],
        r"(?i)division by zero",
    ),
    (
        "label of another kind",
        lambda w: None,
        ["label={expression: late, kind: regression, baseline: shop}"],
        r"label.baseline .shop. has type string, expected a number",
    ),
    (
        "one class only",
        lambda w: None,
        ["label={expression: \"'same'\", kind: classes}"],
        r"every label of the train split is 'same'",
    ),
    (
        "nothing after a condition",
        lambda w: None,
        ["source.tables.visits.where=visit < 0"],
        r"table 'visits' at .* is empty: 0 rows where visit < 0",
    ),
    (
        "images that are none",
        with_column("png", pa.array([b"junk"] * tiny.ROWS)),
        ["features.png={kind: image, height: 8, width: 8}"],
        r"no row is left to train on.*features.png: 600",
    ),
]


@pytest.mark.parametrize(("name", "breakage", "overrides", "message"), ERRORS, ids=lambda v: v
                         if isinstance(v, str) and len(v) < 40 else "")  # fmt: skip
def test_a_clear_error(
    tmp_path: Path,
    name: str,
    breakage: Callable[[Path], None],
    overrides: list[str],
    message: str,
) -> None:
    breakage(tmp_path)
    with pytest.raises(LakeError, match=message) as caught:
        build_anew(tmp_path, *overrides)
    text = str(caught.value)
    assert "\tat " not in text
    assert "Traceback" not in text
    assert len(text) < 2000
    assert has_published_nothing(tmp_path)


def feature(dataset: object, name: str) -> object:
    spec = TransformSpec.from_json(dataset.transform_json)
    return next(f for f in spec.features if f.name == name)


def test_a_column_of_nulls_is_constant_and_missing(tmp_path: Path) -> None:
    with_column("amount", pa.nulls(tiny.ROWS, pa.float64()))(tmp_path)
    dataset = build_anew(tmp_path)
    assert (feature(dataset, "amount").center, feature(dataset, "amount").scale) == (0.0, 1.0)
    assert (read_rows(dataset)["amount"] == 0).all()
    with_column("shop", pa.nulls(tiny.ROWS, pa.string()))(tmp_path)
    dataset = build_anew(tmp_path)
    assert feature(dataset, "shop").values == ()
    assert (read_rows(dataset)["shop"] == 0).all()


def test_a_constant_column_becomes_zeros(tmp_path: Path) -> None:
    with_column("amount", pa.array([0.1] * tiny.ROWS))(tmp_path)
    dataset = build_anew(tmp_path)
    assert (feature(dataset, "amount").center, feature(dataset, "amount").scale) == (0.1, 1.0)
    assert (read_rows(dataset)["amount"] == 0).all()


def test_any_column_name(tmp_path: Path) -> None:
    names = ["a.b", "a b", "a`b", "größe", "a,b;{}()=", "select", "_", "日本", "visits.amount"]
    table = tiny.visits()
    for number, name in enumerate(names):
        table = table.append_column(name, pa.array(np.arange(tiny.ROWS) * (number + 1.0)))
    write_visits(tmp_path, table)
    overrides = [
        f'features.f{number}={{kind: min_max, column: "{name}"}}'
        for number, name in enumerate(names)
    ]
    rules = (
        "clean.rules=[{kind: range, column: 'a.b', max: 590}, {kind: not_null, columns: ['a`b']}]"
    )
    dataset = build_anew(tmp_path, *overrides, rules)
    assert dataset.build.ledger.quarantined["range(a.b)"] == 9
    first = feature(dataset, "f0").scale
    for number, name in enumerate(names):
        fitted = feature(dataset, f"f{number}")
        assert fitted.column == name
        assert fitted.scale == pytest.approx(first * (number + 1))


def test_names_that_differ_in_case_are_two_columns(tmp_path: Path) -> None:
    with_column("AMOUNT", pa.array(np.arange(tiny.ROWS, dtype=float)))(tmp_path)
    dataset = build_anew(tmp_path, "features.upper={kind: min_max, column: AMOUNT}")
    assert feature(dataset, "upper").scale > 500
    assert feature(dataset, "amount").scale < 20


@pytest.mark.parametrize(
    ("values", "center"),
    [
        (pa.array([Decimal("12345678901234567890.25")] * tiny.ROWS), 12345678901234567890.25),
        (pa.array([Decimal("-0.01")] * tiny.ROWS, pa.decimal128(10, 2)), -0.01),
        (pa.array([True] * tiny.ROWS), 1.0),
        (pa.array([2**62] * tiny.ROWS, pa.int64()), float(2**62)),
        (pa.array([200] * tiny.ROWS, pa.uint8()), 200.0),
    ],
)
def test_numbers_of_all_types(tmp_path: Path, values: pa.Array, center: float) -> None:
    with_column("amount", values)(tmp_path)
    assert feature(build_anew(tmp_path), "amount").center == center


@pytest.mark.parametrize(
    "values",
    [
        pa.array([datetime(1582, 10, 4), datetime(9999, 12, 31)] * 300, pa.timestamp("us")),
        pa.array([datetime(2020, 1, 1), datetime(1969, 7, 20)] * 300, pa.timestamp("ms", "UTC")),
        pa.array([date(1, 1, 1), date(2020, 2, 29)] * 300),
    ],
)
def test_times_of_all_types(tmp_path: Path, values: pa.Array) -> None:
    with_column("t", values)(tmp_path)
    dataset = build_anew(
        tmp_path,
        "derive.year={kind: time_part, part: year, columns: [t]}",
        "features.year={kind: vocabulary}",
    )
    years = {str(v.year) for v in values.to_pylist() if v is not None}
    assert set(feature(dataset, "year").values) == years


def test_lists_texts_and_crosses_go_the_whole_way(tmp_path: Path) -> None:
    table = tiny.visits()
    tags = [None if n % 9 == 0 else ["a", None, f"t{n % 5}"][: n % 4] for n in range(tiny.ROWS)]
    table = table.append_column("tags", pa.array(tags, pa.list_(pa.string())))
    words = [f"Hello, Shop {n % 3}!" for n in range(tiny.ROWS)]
    write_visits(tmp_path, table.append_column("words", pa.array(words)))
    dataset = build_anew(
        tmp_path,
        "features.tags={kind: multi_valued, length: 2}",
        "features.words={kind: text, length: 4}",
        "features.pair={kind: cross, columns: [shop, day], buckets: 64}",
        "features.cut={kind: quantile_buckets, column: amount, buckets: 4}",
    )
    rows = read_rows(dataset)
    assert set(rows["tags"].map(len)) == {2}
    assert rows["words"].iloc[0].tolist()[3] == 0
    assert feature(dataset, "words").values[:2] == ("hello", "shop")
    assert rows["pair"].between(0, 64).all()
    share = rows[(rows["split"] == "train") & (rows["cut"] > 0)]["cut"].value_counts(normalize=True)
    assert (share - 0.25).abs().max() < 0.02

"""Files of one table that differ, as Spark and the tasks read them, against a plain reader."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pyspark
import pytest

from headrace.errors import LakeError
from headrace.recipe.lake_sections import Table
from headrace.schema import ColumnType
from headrace.source.common_columns import CommonColumn
from headrace.source.internal_columns import FILE, POSITION, col, is_internal
from headrace.source.late_materialization import find_late_columns
from headrace.source.late_reader import LateReader
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import RawTable, open_table
from headrace.source.typed_files import MAX_GROUPS, choose_type, group_files

pytestmark = pytest.mark.spark

BIG = 2**53
MOMENT = datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
# Column -> variants: Arrow's type, and how a value of row i is made of it.
VARIANTS: dict[str, list[tuple[pa.DataType, Any]]] = {
    "whole": [
        (pa.int8(), lambda i: i % 100 - 50), (pa.int32(), lambda i: i - 2**31),
        (pa.int64(), lambda i: 2**62 + i), (pa.uint16(), lambda i: i % 60_000),
        (pa.uint32(), lambda i: 2**32 - 1 - i), (pa.null(), lambda i: None),
    ],
    "real": [
        (pa.float64(), lambda i: i / 7), (pa.float32(), lambda i: i / 8),
        (pa.int64(), lambda i: BIG - i), (pa.int16(), lambda i: i % 1000),
        (pa.uint32(), lambda i: 2**31 + i), (pa.decimal128(12, 3), lambda i: Decimal(i) / 8),
        (pa.null(), lambda i: None),
    ],
    "text": [
        (pa.string(), lambda i: f"s{i % 5}"), (pa.large_string(), lambda i: f"é{i % 3}"),
        (pa.dictionary(pa.int8(), pa.string()), lambda i: f"d{i % 3}"),
        (pa.string_view(), lambda i: f"a text as delta-rs writes it {i % 3}"),
        (pa.binary(), lambda i: f"b{i % 3}".encode()), (pa.null(), lambda i: None),
    ],
    "time": [
        (pa.timestamp("us", "UTC"), lambda i: MOMENT + timedelta(seconds=i)),
        (pa.date32(), lambda i: date(1999, 12, 31) + timedelta(days=i)),
        (pa.null(), lambda i: None),
    ],
    "money": [
        (pa.decimal128(9, 2), lambda i: Decimal(i) / 4),
        (pa.decimal128(30, 4), lambda i: Decimal(i) * 10**20 + Decimal("0.0625")),
        (pa.int64(), lambda i: 2**62 + i), (pa.uint64(), lambda i: 2**64 - 1 - i),
    ],
    "list": [
        (pa.list_(pa.int32()), lambda i: [i, None]), (pa.list_(pa.int64()), lambda i: [BIG, i]),
        (pa.list_(pa.float64()), lambda i: [i / 3]), (pa.null(), lambda i: None),
    ],
}  # fmt: skip
KINDS: dict[str, Any] = {"whole": "integer", "real": "real", "text": "string"}


def write_lake(folder: Path, seed: int) -> list[dict[str, Any]]:
    """Write files that differ in types, names and columns; return the rows as people read them."""
    rng = random.Random(seed)
    folder.mkdir()
    rows, first = [], 0
    for number in range(rng.randrange(2, 7)):
        count = rng.randrange(1, 40)
        arrays: dict[str, pa.Array] = {"id": pa.array(range(first, first + count), pa.int64())}
        values: dict[str, list[Any]] = {"id": [*range(first, first + count)]}
        for name, variants in VARIANTS.items():
            kind, make = rng.choice(variants)
            present = [None if rng.random() < 0.2 else make(i) for i in values["id"]]
            values[name] = present
            if rng.random() < 0.15:  # the file is from before the column was there
                values[name] = [None] * count
            else:
                stored = name.upper() if rng.random() < 0.2 else name
                arrays[stored] = pa.array(present, kind)
                values[name] = arrays[stored].to_pylist()
        names = [*arrays]
        rng.shuffle(names)
        pq.write_table(
            pa.table({name: arrays[name] for name in names}),
            folder / f"part-{number}.parquet",
            row_group_size=rng.choice([7, 1000]),
            use_dictionary=rng.random() < 0.7,
        )
        columns = [values[name] for name in values]
        rows += [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]
        first += count
    return rows


def simplify(value: Any, kind: str) -> Any:
    """A value as its column's common type says it."""
    if value is None:
        return None
    if kind == "double":
        return float(value)
    if kind.startswith("decimal"):
        return Decimal(value)
    if kind.startswith("timestamp"):
        return value if isinstance(value, datetime) else datetime(*value.timetuple()[:6])
    if kind == "string":
        return value.decode() if isinstance(value, bytes) else value
    if kind == "array<double>":
        return [None if v is None else float(v) for v in value]
    return value


def open_lake(spark: Any, folder: Path, *, late: bool = True, **changes: Any) -> RawTable:
    table = Table(path=str(folder), read_with="auto" if late else "spark", **changes)
    names = ["id", *VARIANTS]
    return open_table(spark, "t", table, NeededColumns.from_names(names), list_table(table, {}))


@pytest.mark.parametrize("seed", range(12))
def test_random_files_are_read_as_people_read_them(spark: Any, tmp_path: Path, seed: int) -> None:
    rows = write_lake(tmp_path / "lake", seed)
    table = open_lake(spark, tmp_path / "lake", late=seed % 2 == 0)
    names = [name for name in VARIANTS if name in table.stored.names]
    missing = {*VARIANTS} - {*names}
    assert all(row[name] is None for row in rows for name in missing)
    kinds = {name: table.stored.sql_types[name] for name in names}
    # `unix_micros`: collect() would show moments in the zone of this machine
    moments = [
        (col(n) if "timestamp" not in kinds[n] else col(n).cast("string")).alias(n) for n in names
    ]
    found = {row["id"]: row for row in table.frame.select("id", *moments).collect()}
    assert len(found) == len(rows)
    for row in rows:
        for name in names:
            expected = simplify(row[name], kinds[name])
            if kinds[name].startswith("timestamp") and expected is not None:
                expected = expected.strftime("%Y-%m-%d %H:%M:%S.%f").removesuffix(".000000")
            assert found[row["id"]][name] == expected, (name, row["id"], kinds[name])
    check_late_columns(spark, table, rows)


def check_late_columns(spark: Any, table: RawTable, rows: list[dict[str, Any]]) -> None:
    """What the tasks read themselves is the same."""
    raw = {name: kind for name, kind in KINDS.items() if name in table.stored.names}
    late = find_late_columns(table, (), raw)
    if late is None:
        assert POSITION not in table.schema.names or not raw
        return
    placed = table.frame.select(FILE, POSITION, "id").collect()
    placed.sort(key=lambda row: (row[FILE], row[POSITION]))
    there = {name: [row[name] for row in placed] for name in (FILE, POSITION, "id")}
    read = LateReader(late).add_late_columns(pa.table(there)).to_pylist()
    expected = {row["id"]: row for row in rows}
    for row in read:
        for name, sql in late.columns.items():
            assert row[name] == simplify(expected[row["id"]][name], sql)


def test_numbers_that_a_real_cannot_hold_end_the_reading(spark: Any, tmp_path: Path) -> None:
    for number, (kind, value) in enumerate([(pa.int64(), BIG + 1), (pa.float64(), 0.5)]):
        rows = pa.table({"id": [number], "real": pa.array([value], kind)})
        pq.write_table(rows, tmp_path / f"{number}.parquet")
    table = open_lake(spark, tmp_path)
    assert table.stored.sql_types["real"] == "double"
    message = rf"column real of .*0.parquet has the whole number {BIG + 1}.* hold it exactly"
    with pytest.raises(LakeError, match=message), explain_spark_errors("t"):
        table.frame.select("real").collect()
    late = find_late_columns(table, (), {"real": "real"})
    assert late is not None
    placed = table.frame.select(FILE, POSITION).toPandas()
    with pytest.raises(LakeError, match=r"0\.parquet cannot be read \(columns real.*not in range"):
        LateReader(late).add_late_columns(pa.Table.from_pandas(placed, preserve_index=False))


def test_types_of_arrow_that_spark_does_not_know_by_name(spark: Any, tmp_path: Path) -> None:
    """Bytes of a fixed length, identifiers, nanoseconds that are asked for as whole numbers."""
    ids = pa.array([bytes(range(16))] * 2, pa.binary(16))
    moments = pa.array([1, None], pa.timestamp("ns"))
    rows = {"id": [1, 2], "fixed": ids, "uuid": pa.array(ids, pa.uuid()), "ns": moments}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
    try:
        table = Table(path=str(tmp_path))
        needed = NeededColumns.from_names(rows)
        opened = open_table(spark, "t", table, needed, list_table(table, {}))
        found = opened.frame.select(FILE, POSITION, "fixed", "uuid", "ns").collect()
    finally:
        spark.conf.unset("spark.sql.legacy.parquet.nanosAsLong")
    late = find_late_columns(opened, (), {"fixed": "bytes", "uuid": "bytes", "ns": "integer"})
    assert late is not None
    assert {*late.columns} == {"fixed", "uuid", "ns"}
    placed = pa.table({name: [row[name] for row in found] for name in (FILE, POSITION)})
    for row, read in zip(found, LateReader(late).add_late_columns(placed).to_pylist(), strict=True):
        assert bytes(row["fixed"]) == bytes(row["uuid"]) == read["fixed"] == read["uuid"]
        assert row["ns"] == read["ns"]


def test_whether_a_file_allows_nulls_makes_no_difference(spark: Any, tmp_path: Path) -> None:
    """As NVTabular 429 and Arrow 39670 report it."""
    for name, nullable in (("real", False), ("text", False), ("real", True)):
        values: list[Any] = [1.5 if name == "real" else "a"]
        kind = pa.float64() if name == "real" else pa.string()
        fields = [pa.field("id", pa.int64(), nullable=False), pa.field(name, kind, nullable)]
        rows = pa.table(
            [pa.array([len(list(tmp_path.iterdir()))]), values], schema=pa.schema(fields)
        )
        pq.write_table(rows, tmp_path / f"{name}-{nullable}.parquet")
    found = open_lake(spark, tmp_path).frame.select("id", "real", "text").orderBy("id").collect()
    assert [tuple(row) for row in found] == [(0, 1.5, None), (1, None, "a"), (2, 1.5, None)]


def test_folders_and_conditions_on_them_stay_what_they_are(spark: Any, tmp_path: Path) -> None:
    for day, kind in (("01", pa.int64()), ("02", pa.float64()), ("03", pa.null())):
        (tmp_path / f"day={day}").mkdir()
        values = pa.array([None if pa.types.is_null(kind) else int(day)], kind)
        rows = pa.table({"id": [int(day)], "real": values})
        pq.write_table(rows, tmp_path / f"day={day}" / "a.parquet")
    table = open_lake(spark, tmp_path, partitions="day >= 2")
    assert table.partition_columns == ["day"]
    found = [(r["id"], r["real"], r["day"]) for r in table.frame.orderBy("id").collect()]
    assert found == [(2, 2.0, 2), (3, None, 3)]
    declared = open_lake(spark, tmp_path, columns={"day": "string"})
    assert sorted(r["day"] for r in declared.frame.collect()) == ["01", "02", "03"]


def test_a_column_without_a_value_has_the_type_that_its_users_want(
    spark: Any, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"id": [1], "real": pa.nulls(1)}), tmp_path / "a.parquet")
    table = Table(path=str(tmp_path))
    for types, kind in (
        ({ColumnType.STRING}, "string"), ({ColumnType.TIMESTAMP}, "timestamp"),
        ({ColumnType.REAL, ColumnType.INTEGER}, "bigint"), ({ColumnType.REALS}, "array<double>"),
    ):  # fmt: skip
        needed = NeededColumns({"real": frozenset(types)})
        opened = open_table(spark, "t", table, needed, list_table(table, {}))
        assert opened.stored.sql_types["real"] == kind
        assert opened.frame.collect()[0]["real"] is None


def test_lists_without_an_element_have_the_type_that_their_users_want(
    spark: Any, tmp_path: Path
) -> None:
    pq.write_table(
        pa.table({"list": pa.array([[], None], pa.list_(pa.null()))}), tmp_path / "a.parquet"
    )
    table = Table(path=str(tmp_path))
    for kind, sql in ((ColumnType.STRINGS, "string"), (ColumnType.REALS, "double")):
        needed = NeededColumns({"list": frozenset({kind})})
        opened = open_table(spark, "t", table, needed, list_table(table, {}))
        assert opened.stored.sql_types["list"] == f"array<{sql}>"
        assert [row["list"] for row in opened.frame.collect()] == [[], None]


def test_declared_types_are_cast_to_whatever_the_files_have(spark: Any, tmp_path: Path) -> None:
    for number, values in enumerate(([7], ["8"], ["no number"])):
        rows = pa.table({"id": [number], "real": values})
        pq.write_table(rows, tmp_path / f"{number}.parquet")
    with pytest.raises(LakeError, match=r"table 't' .*: column 'real' has types .*declare its"):
        open_lake(spark, tmp_path)
    table = open_lake(spark, tmp_path, columns={"real": "integer"})
    found = [row["real"] for row in table.frame.orderBy("id").collect()]
    assert found == [7, 8, None]
    assert table.casts == {"real": "integer"}  # so the third is quarantined


def test_orc_files_that_differ(spark: Any, tmp_path: Path) -> None:
    orc.write_table(pa.table({"id": [1], "real": pa.array([1], pa.int64())}), tmp_path / "a.orc")
    orc.write_table(pa.table({"id": [2], "REAL": [2.5], "text": ["a"]}), tmp_path / "b.orc")
    table = open_lake(spark, tmp_path, format="orc")
    found = [(r["real"], r["text"]) for r in table.frame.orderBy("id").collect()]
    assert found == [(1.0, None), (2.5, "a")]
    assert [name for name in table.schema.names if is_internal(name)] == [FILE]
    assert len(table.common.notes) == 3


def test_a_missing_column_is_refused_where_merge_schema_says_so(spark: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "real": [1.5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [2]}), tmp_path / "b.parquet")
    assert open_lake(spark, tmp_path).common.notes == (
        "column 'real' is not in 1 of 2 files, and null there: b.parquet",
    )
    with pytest.raises(LakeError, match=r"'real' is not in b.parquet, and mergeSchema is false"):
        open_lake(spark, tmp_path, options={"mergeSchema": False})


def test_a_column_of_folder_and_file(spark: Any, tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        rows = pa.table({"id": [day], "real": [1.5], "day": pa.array([day], pa.int32())})
        pq.write_table(rows, tmp_path / f"day={day}" / "a.parquet")
    table = open_lake(spark, tmp_path)
    assert [row["day"] for row in table.frame.orderBy("id").collect()] == [1, 2]
    assert table.common.notes == (
        "column 'day' is in 2 files and in the names of their folders; the value of the folder is "
        "read: day=1/a.parquet, day=2/a.parquet",
    )
    pq.write_table(rows, tmp_path / "day=1" / "b.parquet")
    with pytest.raises(LakeError, match=r"day=1/b.parquet has day 2 in a row, and its folder says"):
        open_lake(spark, tmp_path)


@pytest.mark.skipif(pyspark.__version__ < "4.1", reason="older ones do not write the annotation")
def test_a_variant_that_nobody_uses(spark: Any, tmp_path: Path) -> None:
    """Arrow takes it for a struct, as which Spark does not read it."""
    rows = spark.sql("SELECT 1L AS id, 1.5D AS real, parse_json('{\"a\": 1}') AS more")
    rows.write.parquet(str(tmp_path / "t"))
    table = open_lake(spark, tmp_path / "t")
    assert {*table.common.unread} == {"more"}
    assert [row.asDict()["real"] for row in table.frame.collect()] == [1.5]
    with pytest.raises(LakeError, match="column 'more' is variant, which Spark does not read"):
        listing = list_table(Table(path=str(tmp_path / "t")), {})
        wanted = NeededColumns.from_names(["id", "more"])
        open_table(spark, "t", Table(path=str(tmp_path / "t")), wanted, listing)


def test_files_of_many_kinds_are_grouped() -> None:
    columns = [CommonColumn("a", "int64", ("a", "A"), ("int32", "int64", "null"))]
    types = {"a": choose_type(columns[0], frozenset())}
    schemas: list[Any] = [
        ((("a", "int32"),), ["1", "5"]), ((("a", "int64"),), ["2"]), ((("a", "null"),), ["3"]),
        ((("A", "int64"),), ["4"]), ((), ["6"]),
    ]  # fmt: skip
    wide = group_files(schemas, columns, types, widens=True)
    assert [group.paths for group in wide] == [("1", "2", "5", "6"), ("3",), ("4",)]
    narrow = group_files(schemas, columns, types, widens=False)
    assert [group.paths for group in narrow] == [("1", "5"), ("2", "6"), ("3",), ("4",)]


def test_columns_that_nobody_wants_do_not_make_many_groups(spark: Any, tmp_path: Path) -> None:
    for number in range(MAX_GROUPS + 4):
        odd = {f"c{i}": pa.nulls(1) if number >> i & 1 else pa.array([1.5]) for i in range(8)}
        rows = pa.table({"id": [number], **odd})
        pq.write_table(rows, tmp_path / f"{number:03}.parquet")
    table = open_lake(spark, tmp_path)
    assert {*table.common.unread} == {f"c{i}" for i in range(7)}  # c7 is null in no file
    assert table.frame.count() == MAX_GROUPS + 4

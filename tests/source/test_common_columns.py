"""The columns that files have in common: types that lose nothing, whatever the order of files."""

from datetime import date, datetime
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.lake.file_columns import (
    FileColumns,
    FileType,
    describe_type,
    digest_columns,
    drop_columns,
    parse_columns,
    read_orc_columns,
    read_parquet_columns,
)
from headrace.source.common_columns import CommonColumns, find_common_columns
from headrace.source.merge_types import find_unreadable


def common(*schemas: FileColumns, wanted: str = "", **options: Any) -> CommonColumns:
    """The columns of files a, b, …, of which some are wanted."""
    files = [(columns, [f"{chr(97 + i)}.parquet"]) for i, columns in enumerate(schemas)]
    return find_common_columns(files, wanted.split(), **options)


def one(*kinds: FileType) -> FileType:
    return common(*((("n", kind),) for kind in kinds), wanted="n").columns[0].kind


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("null", "int32", "int64"), "int64"),
        (("int64", "double"), "double"),
        (("float", "int8"), "double"),
        (("uint64", "int8", "int64"), "decimal(20,0)"),
        (("int64", "decimal(10,2)"), "decimal(21,2)"),
        (("decimal(10,2)", "decimal(12,4)", "double"), "double"),
        (("decimal(15,0)", "decimal(15,10)", "float"), "double"),
        (("date", "timestamp", "null"), "timestamp"),
        (("date", "timestamp_ntz"), "timestamp_ntz"),
        (("binary", "string"), "string"),
        (({"list": "null"}, {"list": "int32"}, {"list": "double"}), {"list": "double"}),
    ],
)
def test_the_common_type(kinds: tuple[FileType, ...], expected: FileType) -> None:
    for order in permutations(kinds):
        assert one(*order) == expected


@pytest.mark.parametrize(
    "kinds",
    [
        ("int64", "string"), ("boolean", "int64"), ("timestamp", "timestamp_ntz"),
        ("decimal(18,2)", "double"), ("uint64", "double"), ("date", "int32"),
        ("decimal(38,0)", "decimal(38,10)"), ({"list": "int64"}, "int64"),
        ({"struct": [["a", "int32"]]}, {"struct": [["a", "string"]]}),
    ],
)  # fmt: skip
def test_types_without_a_common_one_are_refused_with_their_files(
    kinds: tuple[FileType, ...],
) -> None:
    for order in permutations(kinds):
        with pytest.raises(LakeError, match=r"column 'n' has types that no common one holds: "):
            one(*order)
    names = [(("n", kind),) for kind in kinds]
    may_be_said = all(isinstance(kind, str) for kind in kinds)
    unwanted = common(*names)
    assert [c.kind for c in unwanted.columns] == (["string"] if may_be_said else [])
    assert ("n" in unwanted.unread) is not may_be_said
    if may_be_said:  # where its type is declared every value is cast to it
        assert common(*names, wanted="n", declared=["n"]).columns[0].kind == "string"


def test_a_struct_has_the_fields_of_all_files() -> None:
    first: FileType = {"struct": [["a", "int32"], ["b", "null"]]}
    second: FileType = {"struct": [["c", "string"], ["b", "date"], ["a", "int64"]]}
    assert one(first, second) == {"struct": [["a", "int64"], ["b", "date"], ["c", "string"]]}


def test_names_under_another_case() -> None:
    found = common((("X", "double"),), (("x", "double"),), (("y", "date"),), wanted="x")
    assert [(c.name, c.spellings) for c in found.columns] == [("x", ("x", "X")), ("y", ("y",))]
    assert found.notes == (
        "column 'x' is 'X' in 1 of 3 files: a.parquet",
        "column 'x' is not in 1 of 3 files, and null there: c.parquet",
    )
    # a file has both, so they are two
    apart = common((("X", "double"), ("x", "date")), (("X", "double"),), wanted="x")
    assert [(c.name, c.spellings) for c in apart.columns] == [("X", ("X",)), ("x", ("x",))]
    # both are wanted
    both = common((("X", "double"),), (("x", "double"),), wanted="x X")
    assert {c.name for c in both.columns} == {"X", "x"}
    # no file has the spelling that is asked for
    asked = common((("X", "double"),), wanted="x", spelled=["x"])
    assert [(c.name, c.spellings) for c in asked.columns] == [("x", ("x", "X"))]
    assert asked.notes == ("column 'x' is 'X' in 1 of 1 files: a.parquet",)
    # the first one's where nobody says which
    assert [c.name for c in common((("X", "double"),), (("x", "double"),)).columns] == ["X"]


def test_what_spark_does_not_read_is_named_or_refused() -> None:
    columns: FileColumns = (("at", "time64[us]"), ("ns", "timestamp_ns"), ("h", "halffloat"))
    found = common((*columns, ("x", "double")), wanted="x")
    assert [c.name for c in found.columns] == ["x"]
    assert {*found.unread} == {"at", "ns", "h"}
    for name, reason in (("at", "time of day"), ("ns", "nanoseconds"), ("h", "halffloat")):
        with pytest.raises(LakeError, match=rf"column '{name}' is .*{reason}.*a.parquet"):
            common(columns, wanted=name)
    assert common(columns, wanted="ns", nanoseconds=True).columns[0].kind == "int64"
    nested: FileType = {"list": {"struct": [["t", "time32[ms]"]]}}
    assert find_unreadable(nested)
    with pytest.raises(LakeError, match=r"column 'n' is there 2 times in a\.parquet"):
        common((("n", "double"), ("n", "double")), wanted="n")


def test_all_problems_are_reported_and_missing_columns_where_they_may_not_miss() -> None:
    files: tuple[FileColumns, ...] = (
        (("a", "double"), ("b", "int64")),
        (("b", "string"),),
    )
    with pytest.raises(LakeError, match=r"'a' is not in b.parquet, and mergeSchema.*; column 'b'"):
        common(*files, wanted="a b", needs_all=True)
    many = [(("x", "double"),), *[(("y", "double"),)] * 9]
    (note,) = common(*many, wanted="x").notes
    assert note.endswith(
        "9 of 10 files, and null there: b.parquet, c.parquet, d.parquet and 6 more"
    )


def test_a_type_of_a_later_version_of_the_format(tmp_path: Any) -> None:
    """Arrow takes such a column for its bytes, and Spark fails on the file."""
    rows = pa.table({"a.b": [1], "odd": pa.array(["x"], pa.json_(pa.string()))})
    pq.write_table(rows, tmp_path / "a.parquet", store_schema=False)
    content = (tmp_path / "a.parquet").read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    rest, footer = content[: -8 - length], content[-8 - length : -8]
    # The annotation as JSON is field 12 of a union in Thrift's compact form; now it is field 99.
    assert footer.count(b"\xcc\x00\x00") == 1
    footer = footer.replace(b"\xcc\x00\x00", b"\x0c\xc6\x01\x00\x00")
    content = rest + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    (tmp_path / "a.parquet").write_bytes(content)
    columns = read_parquet_columns(pq.read_metadata(tmp_path / "a.parquet"))
    assert columns == (("a.b", "int64"), ("odd", "unknown type"))
    with pytest.raises(LakeError, match=r"'odd' is of a type that a later .* \(a.parquet\)"):
        find_common_columns([(columns, ["a.parquet"])], ["a.b"])


def test_columns_as_footers_say_them(tmp_path: Any) -> None:
    table = pa.table(
        {
            "n": pa.nulls(2),
            "category": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["a", "b"], pa.large_string()),
            "delta": pa.array([1, 2], pa.duration("ns")),
            "utc": pa.array([1, 2], pa.timestamp("us", "Asia/Tokyo")),
            "plain": pa.array([1, 2], pa.timestamp("ms")),
            "ns": pa.array([1, 2], pa.timestamp("ns")),
            "pixels": pa.array([[[1]], [[2]]], pa.list_(pa.list_(pa.uint8()))),
            "fixed": pa.array([b"ab", b"cd"], pa.binary(2)),
            "money": pa.array([1, 2], pa.decimal128(9, 2)),
            "map": pa.array([[("a", 1)]] * 2, pa.map_(pa.string(), pa.int16())),
            "struct": pa.array([{"a": date(2020, 1, 1), "b": 1.5}] * 2),
            "half": pa.array(np.array([1, 2], np.float16)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    columns = read_parquet_columns(pq.read_metadata(tmp_path / "a.parquet"))
    assert dict(columns) == {
        "n": "null", "category": "string", "large": "string", "delta": "int64",
        "utc": "timestamp", "plain": "timestamp_ntz", "ns": "timestamp_ns",
        "pixels": {"list": {"list": "uint8"}}, "fixed": "binary", "money": "decimal(9,2)",
        "map": {"map": ["string", "int16"]}, "struct": {"struct": [["a", "date"], ["b", "double"]]},
        "half": "halffloat",
    }  # fmt: skip
    assert digest_columns(columns) == digest_columns(parse_columns([list(c) for c in columns]))
    assert digest_columns(columns) != digest_columns(drop_columns(columns, ["half"]))
    # Spark's own times of 96 bits are microseconds to it
    times = pa.table({"t": [datetime(2020, 1, 1)]})
    pq.write_table(times, tmp_path / "b.parquet", use_deprecated_int96_timestamps=True)
    assert read_parquet_columns(pq.read_metadata(tmp_path / "b.parquet")) == (("t", "timestamp"),)
    orc.write_table(table.select(["large", "plain"]), tmp_path / "a.orc")
    with (tmp_path / "a.orc").open("rb") as stream:
        assert dict(read_orc_columns(orc.ORCFile(stream)))["plain"] == "timestamp"
    assert describe_type(pa.uuid()) == "binary"
    # texts that Spark filled up with spaces, as it says in the footer
    said = {
        "fields": [
            {"name": "c", "metadata": {"__CHAR_VARCHAR_TYPE_STRING": "char(3)"}},
            {"name": "v", "metadata": {"__CHAR_VARCHAR_TYPE_STRING": "varchar(3)"}},
        ]
    }
    key = "org.apache.spark.sql.parquet.row.metadata"
    texts = pa.table({"c": ["a  "], "v": ["a"]})
    for text, kind in ((str(said).replace("'", '"'), "char"), ("{CHAR_VARCHAR", "string")):
        pq.write_table(texts.replace_schema_metadata({key: text}), tmp_path / "c.parquet")
        found = read_parquet_columns(pq.read_metadata(tmp_path / "c.parquet"))
        assert found == (("c", kind), ("v", "string"))

"""Check the rows that are read of CSV files, and the options that Spark needs to read them."""

import csv
import gzip
from pathlib import Path

import pytest

from headrace.errors import LakeError
from headrace.propose.csv_rows import name_spark_columns, read_csv
from headrace.propose.sample import sample_table
from headrace.propose.table_files import find_table

CSV = ',size;"x",when,note\n0,1,2024-01-01,NA\n1,NA,2024-01-02,"a ""b"" c"\n2,3,NA,\n3,1,2\n'


def test_columns_are_named_as_spark_names_them() -> None:
    assert name_spark_columns(["a", "", "b"]) == ["a", "_c1", "b"]
    assert name_spark_columns(["a", "b", "a"]) == ["a0", "b", "a2"]


def test_fields_are_texts_and_null_markers_are_null(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,t\n1,x\n-,\n3,-\n")
    sampled = read_csv(find_table(str(tmp_path), None), max_rows=10)
    # A dash is null among numbers, and the reader takes one marker for all columns.
    assert sampled.rows.to_pydict() == {"n": ["1", None, "3"], "t": ["x", None, None]}
    assert sampled.reader_options == {"escape": '"', "nullValue": "-", "emptyValue": "-"}
    assert (sampled.table_rows, sampled.is_counted, sampled.is_whole) == (3, True, True)


def test_fewer_rows_are_spread_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(10)))
    sampled = read_csv(find_table(str(tmp_path), None), max_rows=4)
    assert sampled.rows["n"].to_pylist() == ["0", "3", "6", "9"]
    assert (sampled.table_rows, sampled.is_counted, sampled.is_whole) == (10, True, False)


def test_a_quote_that_is_not_closed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,"' + "x" * 1_000)
    message = r"cannot be read as CSV: .*; look for a quote that is not closed"
    limit = csv.field_size_limit(999)  # instead of 16 million characters
    try:
        with pytest.raises(LakeError, match=message):
            read_csv(find_table(str(tmp_path), None), max_rows=10)
    finally:
        csv.field_size_limit(limit)


def test_what_a_csv_file_needs_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeff" + CSV.replace(';"x"', ""))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(CSV.replace(';"x"', "").encode()))
    sample = sample_table(str(tmp_path))
    assert sample.reader_options == {
        "escape": '"', "enforceSchema": True, "nullValue": "NA", "emptyValue": "NA",
    }  # fmt: skip
    declared = {name: column.declared_type for name, column in sample.columns.items()}
    assert declared == {"_c0": "integer", "size": "integer", "when": "date", "note": ""}
    assert (sample.rows, sample.table_rows, sample.is_whole) == (6, 8, True)
    assert sample.notes == (
        "2 of 8 sampled lines have too many or too few fields: they go to quarantine",
    )
    assert sample.columns["note"].present_values.unique().to_pylist() == ['a "b" c']


def test_csv_files_with_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("b,a\n1,2\n")
    with pytest.raises(LakeError, match=r"b\.csv has the columns b, a, and files before it have"):
        sample_table(str(tmp_path))


def test_rows_of_a_csv_file_are_from_all_over_it_and_their_number_is_estimated(
    tmp_path: Path,
) -> None:
    rows = 1_500_000
    with (tmp_path / "a.csv").open("w") as file:
        file.write("number,text\n")
        file.writelines(f"{number},{'x' * 20}\n" for number in range(rows))
    sample = sample_table(str(tmp_path), max_rows=10_000)
    assert (sample.rows, sample.is_counted) == (10_000, False)
    assert sample.table_rows == pytest.approx(rows, rel=0.02)
    low, high = sample.columns["number"].limits
    assert low < 0.01 * rows
    assert high > 0.99 * rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sep=;\nid;x\n1;2\n", r"begins with 'sep=;', a line for Excel"),
        (b"Report of 2024\n\nid,x\n1,2\n3,4\n5,6\n", r"has 2 lines above its header .*line 3"),
        (b"Report;2024\nid;x;y;z\n1;2;3;4\n3;4;5;6\n5;6;7;8\n", r"has 1 lines above its header"),
        (b"# made by hand\n#\nid,x\n1,2\n3,4\n5,6\n", r"has 2 lines above its header .*line 3"),
        ("id,x\n1,2\n".encode("utf-16"), r": the file is UTF-16, as Excel saves"),
        ("id,x\n1,2\n".encode("utf-16-le") * 9, r": the file has zero bytes: it is UTF-16"),
        (b"x,y\n1,1,2\n2,3,4\n", r"the header has 2 names, and no line has as many fields; R's"),
    ],
)
def test_lines_that_spark_would_take_for_the_header(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(LakeError, match=message):
        read_csv(find_table(str(tmp_path), None), max_rows=9)


def test_windows_characters_need_java_s_encodings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("id,x\n1,10\u20ac\n2,it\u2019s\n".encode("cp1252"))
    sampled = read_csv(find_table(str(tmp_path), None), max_rows=9)
    assert sampled.rows["x"].to_pylist() == ["10\u20ac", "it\u2019s"]
    assert sampled.reader_options["encoding"] == "windows-1252"
    assert sampled.spark_conf == {"spark.sql.legacy.javaCharsets": True}

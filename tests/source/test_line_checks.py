"""Lines that Spark's readers would cut off: found whatever the dialect, and no other line is."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import LakeError
from headrace.recipe.sections import Table
from headrace.source.line_checks import count_lines, find_open_quotes, find_several_values
from headrace.source.list_table import list_table
from headrace.source.needed_columns import NeededColumns
from headrace.source.tables import open_table

pytestmark = pytest.mark.spark

NEEDED = NeededColumns.from_names(["id", "text", "label"])
BROKEN = 'id,text,label\n1,"first\nsecond",1\n2,"a, b\nc, d",1\n3,ok,0\n'


def write_file(folder: Path, name: str, text: str | bytes) -> str:
    folder.mkdir(exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return str(folder)


def read_rows(spark: Any, folder: str, format_: str, **options: Any) -> list[tuple[Any, ...]]:
    table = Table(path=folder, format=format_, options=options)
    frame = open_table(spark, "t", table, NEEDED, list_table(table, {})).frame
    malformed = next(name for name in frame.columns if "malformed" in name)
    rows = frame.select("id", "text", "label", malformed).collect()
    return sorted((tuple(row) for row in rows), key=str)


def test_a_line_break_in_quotes_is_refused_with_its_file_and_what_to_set(
    spark: Any, tmp_path: Path
) -> None:
    """Spark alone reads ("c", " d", "1") as a row, which nobody wrote."""
    folder = write_file(tmp_path / "t", "a.csv", "id,text,label\n0,fine,1\n")
    assert len(read_rows(spark, folder, "csv")) == 1
    write_file(tmp_path / "t", "b.csv", BROKEN)
    told = r"table 't' .*b\.csv: a quote is not closed on its line \('1,\"first'; 2 such lines"
    with pytest.raises(LakeError, match=rf"{told} in all\).*multiLine to true .*false .*quote to"):
        read_rows(spark, folder, "csv")


def test_what_options_say_of_such_lines_is_done(spark: Any, tmp_path: Path) -> None:
    folder = write_file(tmp_path / "t", "a.csv", BROKEN)
    assert read_rows(spark, folder, "csv", multiLine=True) == [
        ("1", "first\nsecond", "1", None), ("2", "a, b\nc, d", "1", None), ("3", "ok", "0", None),
    ]  # fmt: skip
    rows = read_rows(spark, folder, "csv", multiLine=False)
    assert [row for row in rows if row[3] is None] == [
        ("3", "ok", "0", None),
        ("c", ' d"', "1", None),
    ]
    assert len(rows) == 5
    assert read_rows(spark, folder, "csv", quote="")[0][:2] == ("1", '"first')


def test_a_broken_line_of_the_right_length_goes_to_quarantine_and_its_like_stay(
    spark: Any, tmp_path: Path
) -> None:
    """`4,x,"end` has three fields: nothing but the quote tells of it."""
    folder = tmp_path / "parts"
    for day, text in (("1", '4,x,"end\n5,x,end\n6,,\n7,y,""\n'), ("2", "4,x,end\n")):
        folder.mkdir(exist_ok=True)
        write_file(folder / f"day={day}", "a.csv", f"id,text,label\n{text}")
    rows = read_rows(spark, str(folder), "csv", multiLine=False)
    marked = [row for row in rows if row[3] is not None]
    assert [row[:3] for row in marked] == [("4", "x", "end")]
    assert marked[0][3] == "a quote is not closed on its line: 4,x,end"
    whole = [row[:3] for row in rows if row[3] is None]
    assert sorted(whole, key=str) == sorted(
        [("4", "x", "end"), ("5", "x", "end"), ("6", None, None), ("7", "y", None)], key=str
    )


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ('1,5" pipe,1', {}),
        ('1,"he said "hi" there",1', {}),
        ('1,"a ""b"" c",1', {}),
        ('1,"a"b,1', {}),
        ('1,"",1', {}),
        ("1,it's,1", {"quote": "'"}),
        ('1,"a \\" b",1', {"escape": "\\"}),
        ('1\t"a, b"\t1', {"sep": "\\t"}),
        ('1||"a | b"||1', {"sep": "||"}),
        ('# "open\n1,a,1', {"comment": "#"}),
        ('1,"a",1,"too", many', {"maxColumns": "5"}),
        ('1,"a",1', {"maxColumns": "3", "maxCharsPerColumn": "5"}),
    ],
)  # fmt: skip
def test_open_quotes_are_told_from_whole_lines_in_every_dialect(
    spark: Any, tmp_path: Path, line: str, options: dict[str, str]
) -> None:
    quote, separator = options.get("quote", '"'), options.get("sep", ",").replace("\\t", "\t")
    is_open = f"2{separator}{quote}a"
    folder = write_file(tmp_path / "t", "a.csv", f"id\n{line}\n{is_open}\n")
    settings = {"header": "true", "escape": quote} | options
    found = find_open_quotes(spark, folder, settings, 3)
    assert found is not None
    assert [row[0] for row in found.collect()] == [is_open]


def test_lines_are_looked_at_in_the_encoding_of_the_file(spark: Any, tmp_path: Path) -> None:
    text = 'id,text,label\n1,"é",1\n'
    folder = write_file(tmp_path / "t", "a.csv", text.encode("utf-16-le"))
    options = {"encoding": "UTF-16LE", "lineSep": "\n"}
    assert read_rows(spark, folder, "csv", **options) == [("1", "é", "1", None)]
    write_file(tmp_path / "t", "b.csv", 'id,text,label\n2,"é\n'.encode("utf-16-le"))
    with pytest.raises(LakeError, match=r"b\.csv: a quote is not closed on its line \('2,\"é'"):
        read_rows(spark, folder, "csv", **options)


def is_open(line: str) -> bool:
    """Return whether Python's own reader wants another line."""
    with_more = f"{line}\nmore\n"
    return len(list(csv.reader(io.StringIO(with_more)))) == 1


def test_random_lines_are_judged_as_by_pythons_reader(spark: Any, tmp_path: Path) -> None:
    """Written by Python's writer, with line breaks in some fields, and split at every line break.

    Python takes a quote in the middle of an unquoted field as text, as Spark does.
    """
    rng = random.Random(7)
    pieces = ["a", ",", '"', "\n", " ", "x y", "'", "é", ""]
    rows = [
        ["".join(rng.choices(pieces, k=rng.randint(0, 6))) for _ in range(3)] for _ in range(800)
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    lines = [line for line in text.getvalue().split("\n") if line.strip()]
    # What stands between two line breaks begins within quotes; it is judged as a line all the same.
    expected = sum(is_open(line) for line in lines)
    folder = write_file(tmp_path / "t", "a.csv", "\n".join(lines) + "\n")
    found = find_open_quotes(spark, folder, {"escape": '"'}, 3)
    assert found is not None
    counted = count_lines(found)
    assert counted is not None and expected > 100
    judged = {row[0] for row in found.collect()}
    wrong = [line for line in set(lines) if (line in judged) != is_open(line)]
    assert not wrong
    assert counted.count == expected


WHOLE = [
    '{"id": "1", "text": "}{"}',
    '{"id": "1", "text": {"a": [1, {"b": 2}]}} ',
    '{"id": "1"',  # malformed, and counted as such
]
CUT = [
    '{"id": "1"}{"id": "2"}',
    '{"id": "1"} {"id": "2"}',
    '{"id": "1"},{"id": "2"}',
    '{"id": "1"},',
    '{"id": "1"} rest',
    '{"id": "1"}}',
    '{"id": "1"}]',
    '{"id": "1", "text": {"a": 1}}{"id": "2"}',
    '{"id": "1"}\t"',
]


def test_what_follows_an_object_on_its_line_is_found(spark: Any, tmp_path: Path) -> None:
    folder = write_file(tmp_path / "t", "a.json", "\n".join([*WHOLE, "", *CUT]))
    found = find_several_values(spark, folder, {}).collect()
    assert [row[0] for row in found] == CUT


def test_a_line_of_json_is_refused_wherever_it_is(spark: Any, tmp_path: Path) -> None:
    good = [json.dumps({"id": str(i), "text": "t", "label": "1"}) for i in range(1200)]
    folder = write_file(tmp_path / "t", "a.json", "\n".join([*good, "", *WHOLE]))
    assert len(read_rows(spark, folder, "json")) == 1203
    write_file(tmp_path / "t", "b.json", "\n".join([*good, *CUT]))
    with pytest.raises(LakeError, match=r"b\.json: on 9 lines of the table something comes after"):
        read_rows(spark, folder, "json")


def test_comments_after_an_object_are_no_second_one(spark: Any, tmp_path: Path) -> None:
    text = '{"id": "1", "text": "a", "label": "1"} // said {here}\n/* {x} */ {"id": "2"}\n'
    folder = write_file(tmp_path / "t", "a.json", text)
    assert count_lines(find_several_values(spark, folder, {"allowComments": True})) is None
    found = count_lines(find_several_values(spark, folder, {}))
    assert found is not None and found.count == 1

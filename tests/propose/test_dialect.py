"""Check how the dialect of CSV files is told by their first lines."""

import pytest

from headrace.errors import LakeError
from headrace.propose.dialect import detect_dialect, detect_encoding


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        ("a,b\n1,2\n", {"escape": '"'}, "as most are"),
        ("a;b\n1,5;2,5\n3,5;4,5\n", {"sep": ";", "escape": '"'}, "commas are in the numbers"),
        ("a\tb\nx, y\t1\n", {"sep": "\t", "escape": '"'}, "tabs"),
        ("a|b\n1|2\n", {"sep": "|", "escape": '"'}, "bars"),
        ("time\n10:00\n11:00\n", {"escape": '"'}, "a single column"),
        ("1,x\n2,y\n3,z\n", {"header": False, "escape": '"'}, "numbers from the first line on"),
        ("2023,2024\nx,y\n", {"escape": '"'}, "a header of numbers above texts"),
        ("a,b\nx,y\nz,w\n", {"escape": '"'}, "texts alone: the first are names"),
        ('a,b\n"say \\"hi\\"",1\n', {"escape": "\\"}, "Spark's own way with quotes"),
        ('a,b\n"x\ny",1\n', {"escape": '"', "multiLine": True}, "a line break in a field"),
    ],
)
def test_options_that_spark_needs(text: str, options: dict, why: str) -> None:
    assert detect_dialect(text, "utf-8").build_spark_options() == options, why


def test_fields_are_read_as_they_are_written() -> None:
    text = 'a;b\n"say ""hi"";\nok";1\n\n;\n'
    dialect = detect_dialect(text, "utf-8")
    assert dialect.parse_rows(text) == [["a", "b"], ['say "hi";\nok', "1"], ["", ""]]


def test_bytes_that_are_no_utf8_are_latin_letters() -> None:
    assert detect_encoding("é,日本".encode()) == "utf-8"
    assert detect_encoding("日本".encode()[:-1]) == "utf-8"  # the last character is truncated
    assert detect_encoding("é,è,ü and more".encode("latin-1")) == "latin-1"
    assert detect_encoding("10\u20ac, don\u2019t".encode("cp1252")) == "cp1252"
    windows = detect_dialect("a,b\n1,2\n", "cp1252").build_spark_options()
    assert windows["encoding"] == "windows-1252"
    for wide in ("utf-16", "utf-32"):
        with pytest.raises(LakeError, match=rf"the file is {wide.upper()}, as Excel saves"):
            detect_encoding("id,x\n".encode(wide))
    assert detect_dialect("é,b\nx,1\n", "latin-1").build_spark_options()["encoding"] == "ISO-8859-1"

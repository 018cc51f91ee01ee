"""Plain files of CSV are read as texts; all others are left to Spark."""

from pathlib import Path

import pytest

from headrace.source.local.csv_files import CsvSettings, read_csv_file
from headrace.source.local.needs_spark import NeedsSparkError


def read(tmp_path: Path, content: str | bytes, settings: CsvSettings | None = None) -> object:
    path = tmp_path / "part.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv_file(str(path), settings or CsvSettings()).to_pydict()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_texts_and_nulls(tmp_path: Path, end: str, last: bool) -> None:
    lines = ["a,b", "1,x", ",", " 2 ,NA", "\u00e9,\\"]
    content = end.join(lines) + (end if last else "")
    assert read(tmp_path, content) == {
        "a": ["1", None, " 2 ", "\u00e9"],
        "b": ["x", None, "NA", "\\"],
    }
    assert read(tmp_path, content, CsvSettings(null="NA")) == {
        "a": ["1", None, " 2 ", "\u00e9"], "b": ["x", None, None, "\\"],
    }  # fmt: skip


def test_no_lines(tmp_path: Path) -> None:
    assert read(tmp_path, "a;b\n", CsvSettings(";")) == {"a": [], "b": []}
    assert read(tmp_path, "a;b", CsvSettings(";")) == {"a": [], "b": []}


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n"1",2\n', "a,b\n1,2\n\n3,4\n", "a,b\n1,2\n  \n3,4\n", "a,b\n1\n", "a,b\n1,2,3\n",
        "a,b\n1,2\r3,4\n", "a,b\n1,\0\n", "\ufeffa,b\n1,2\n", "a,b\n1,\ufffd\n", b"a,b\n1,\xff\n",
        "a,a\n1,2\n", "a,A\n1,2\n", "a, b\n1,2\n", "a,\n1,2\n", "a\n1\n", "", b"\x1f\x8b\x08",
        "a,b\n1,2\n\n",
    ],
)  # fmt: skip
def test_what_is_left_to_spark(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(NeedsSparkError):
        read(tmp_path, content)


def test_options() -> None:
    assert CsvSettings.from_options({}) == CsvSettings()
    options = {"Sep": "\t", "nullValue": "NA", "header": True, "escape": '"'}
    assert CsvSettings.from_options(options) == CsvSettings("\t", "NA")
    for odd in (
        {"header": False}, {"quote": ""}, {"multiLine": True}, {"sep": "ab"}, {"nullValue": " "},
        {"encoding": "latin1"}, {"sep": "x"},
    ):  # fmt: skip
        with pytest.raises(NeedsSparkError):
            CsvSettings.from_options(odd)

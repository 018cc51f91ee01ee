"""Check the rows that are read of JSON files, of lines and of lists, as texts."""

import json
from pathlib import Path

import pytest

from headrace.propose.json_rows import read_json
from headrace.propose.sample import sample_table
from headrace.propose.table_files import find_table


def test_values_are_the_texts_that_spark_reads(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"n": 1, "t": "x", "f": true, "l": [1, null]}\n{"n": 2.50}\n{"t": "\\ud800"}\n'
    )
    sampled = read_json(find_table(str(tmp_path), None), max_rows=10)
    assert sampled.rows.to_pydict() == {
        "n": ["1", "2.5", None],
        "t": ["x", None, "?"],  # half of a character
        "f": ["true", None, None],
        "l": [["1", None], None, None],
    }
    assert (sampled.table_rows, sampled.is_counted, sampled.is_whole) == (3, True, True)
    assert (sampled.reader_options, sampled.notes) == ({}, ())


def test_lines_that_are_no_objects_are_counted_in_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\nnull\n{"n"\n\n')
    sampled = read_json(find_table(str(tmp_path), None), max_rows=10)
    assert sampled.rows.to_pydict() == {"n": ["1"]}
    assert sampled.table_rows == 3
    assert sampled.notes == ("2 of 3 sampled lines are not JSON objects: they go to quarantine",)


def test_objects_and_lists_in_lists_are_no_features(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"o": {"a": 1}, "l": [[1]], "m": [1], "n": 1}\n{"m": 2}\n')
    sampled = read_json(find_table(str(tmp_path), None), max_rows=10)
    assert sampled.rows.column_names == ["n"]
    assert set(sampled.unusable) == {"o", "l", "m"}  # m is a list in one row, a number in another


@pytest.mark.parametrize("listed", [False, True])
def test_json_values_are_texts_that_are_declared(listed: bool, tmp_path: Path) -> None:
    records = [
        {"n": 1, "x": 1.5, "yes": True, "at": "2024-01-01T00:00:00Z", "t": [1, 2], "o": {"a": 1}},
        {"n": 2, "x": None, "yes": False, "at": "2024-01-02T00:00:00Z", "t": [], "rare": "é"},
    ]
    lines = json.dumps(records, indent=1) if listed else "\n".join(map(json.dumps, records))
    (tmp_path / "a.json").write_text(lines)
    sample = sample_table(str(tmp_path))
    assert sample.reader_options == ({"multiLine": True} if listed else {})
    assert {name: column.declared_type for name, column in sample.columns.items()} == {
        "n": "integer", "x": "real", "yes": "boolean", "at": "timestamp", "t": "list[integer]",
        "rare": "",
    }  # fmt: skip
    assert set(sample.unusable) == {"o"}

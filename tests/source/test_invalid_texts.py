"""Texts that are no UTF-8: their rows are quarantined with column and file, and nothing else."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import InvalidTextError
from headrace.lake import DatasetVersion
from headrace.source.invalid_texts import (
    has_invalid_text,
    list_text_columns,
    refuse_invalid_texts,
    replace_invalid_bytes,
)
from tests import tiny
from tests.prepare.tiny_builds import build_anew, read_rows, write_visits

GOOD, BAD = "é".encode(), b"caf\xe9"


def texts(*values: bytes | None) -> pa.Array:
    """Texts of any bytes, as a file can hold them."""
    binary = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(binary), binary.buffers())


def test_what_a_task_looks_at() -> None:
    good, bad = texts(GOOD, None), texts(GOOD, BAD)
    lists = [pa.ListArray.from_arrays(pa.array([0, 1, 2]), array) for array in (good, bad)]
    coded = [pa.DictionaryArray.from_arrays(pa.array([0, 1]), array) for array in (good, bad)]
    for fine, broken in ((good, bad), lists, coded):
        assert not has_invalid_text(pa.chunked_array([fine]))
        assert has_invalid_text(pa.chunked_array([fine, broken]))
    numbers = pa.array([1, 2])
    table = pa.table({"a": good, "b": bad, "n": numbers, "list": lists[1]})
    looked_at = list_text_columns(table, ["a", "b", "n", "list", "gone"])
    assert [*looked_at] == ["a", "b", "list"]
    with pytest.raises(InvalidTextError, match=r'\["b", "list"\]'):
        refuse_invalid_texts(table, looked_at)
    refuse_invalid_texts(table, {"a": "a"})
    assert replace_invalid_bytes(bad).to_pylist() == ["é", "caf\ufffd"]
    assert replace_invalid_bytes(coded[1]).to_pylist() == ["é", "caf\ufffd"]
    view = pa.array([GOOD, BAD], pa.binary_view()).view(pa.string_view())
    assert replace_invalid_bytes(view).to_pylist() == ["é", "caf\ufffd"]
    assert replace_invalid_bytes(good) is good
    assert replace_invalid_bytes(numbers) is numbers


def test_the_look_at_all_bytes_says_the_same_as_one_at_every_text() -> None:
    rng = random.Random(3)
    values = [b"", b"a", b"plain text", GOOD, BAD, None, b"\xc3", b"\xa9"]
    for _ in range(300):
        weights = [5, 5, 5, *(rng.choice([0, 0, 1]) for _ in range(3)), *([rng.choice([0, 1])] * 2)]
        array = texts(*rng.choices(values, weights, k=rng.randint(0, 12)))
        if rng.random() < 0.3:
            offsets = array.cast(pa.large_binary()).buffers()
            array = pa.Array.from_buffers(pa.large_string(), len(array), offsets)
        part = array.slice(rng.randint(0, len(array)), rng.randint(0, len(array)))
        wrong = any(not is_utf8(v) for v in part.cast(pa.large_binary()).to_pylist())
        assert has_invalid_text(pa.chunked_array([part], part.type)) is wrong, part


def is_utf8(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def with_bad_texts(workdir: Path, column: str, rows: list[int]) -> None:
    table = tiny.visits()
    values = [(v or "").encode() for v in table[column].to_pylist()]
    for row in rows:
        values[row] = BAD
    index = table.column_names.index(column)
    write_visits(workdir, table.set_column(index, column, texts(*values)))


def quarantined(dataset: DatasetVersion) -> list[dict[str, object]]:
    folder = Path(dataset.root) / str(dataset.build.quarantine)
    return [row for file in folder.glob("*.parquet") for row in pq.read_table(file).to_pylist()]


@pytest.mark.spark
@pytest.mark.parametrize("read_with", ["auto", "spark"])
def test_their_rows_are_quarantined(tmp_path: Path, tiny_lake: Path, read_with: str) -> None:
    override = f"source.tables.visits.read_with={read_with}"
    before = build_anew(tmp_path, override)
    with_bad_texts(tmp_path, "note", [5, 77])
    dataset = build_anew(tmp_path, override)
    ledger = dataset.build.ledger
    assert ledger.quarantined["note is UTF-8"] == 2
    assert sum(ledger.quarantined.values()) - sum(before.build.ledger.quarantined.values()) == 2
    rows = quarantined(dataset)
    found = [row for row in rows if row["quarantine_rules"] == ["note is UTF-8"]]
    assert [row["note"] for row in found] == ["caf\ufffd"] * 2
    (reason,) = found[0]["quarantine_reasons"]
    assert "note: no UTF-8 text: 'caf\ufffd' (bytes 636166E9) in file:" in reason
    assert reason.endswith("/visits/part-0.parquet")
    assert len(read_rows(dataset)) == len(read_rows(before)) - 2


@pytest.mark.spark
def test_a_column_that_nobody_uses_a_label_and_a_reason(tmp_path: Path, tiny_lake: Path) -> None:
    table = tiny.visits()
    unused = texts(*[BAD] * table.num_rows)
    write_visits(tmp_path, table.append_column("unused", unused))
    dataset = build_anew(tmp_path, "clean.rules=[{kind: range, column: amount, min: 1}]")
    assert all(row["unused"] == "caf\ufffd" for row in quarantined(dataset))  # readers fail else
    assert "unused is UTF-8" not in dataset.build.ledger.quarantined
    with_bad_texts(tmp_path, "shop", [5])
    dataset = build_anew(
        tmp_path,
        "label={expression: shop, kind: classes}",
        "features={amount: {kind: standardize}}",
        "derive={}",
        "source.joins=[]",
    )
    assert dataset.build.ledger.quarantined["the label is UTF-8"] == 1
    with_bad_texts(tmp_path, "note", [5])
    quoted = build_anew(
        tmp_path, "clean.rules=[{kind: in, column: note, values: ['', é, 日本], name: known}]"
    )
    assert (
        quoted.build.ledger.quarantined["known"]
        + quoted.build.ledger.quarantined.get("note is UTF-8", 0)
        == 1
    )
    (row,) = [row for row in quarantined(quoted) if "known" in row["quarantine_rules"]]
    assert any("caf\ufffd" in reason for reason in row["quarantine_reasons"])

"""Files of rejected rows: their place, their names, and their last two columns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.source.problems import PROBLEM_SEPARATOR, REASON_SEPARATOR
from headrace.source.quarantine.writer import (
    QuarantineFile,
    add_reasons,
    get_quarantine_path,
    locate_quarantine,
    name_file,
)


def test_a_quarantine_lies_beside_the_other_files_of_its_build() -> None:
    assert (
        locate_quarantine("s3://lake/dataset", "B1") == "s3://lake/dataset/_headrace/B1/quarantine"
    )
    assert get_quarantine_path("B1") == "_headrace/B1/quarantine"


def test_names_of_files() -> None:
    assert name_file("00007") == "part-00007.parquet"
    assert name_file("00007-3", 12) == "part-00007-3-0012.parquet"


def test_every_row_has_its_rules_and_reasons() -> None:
    one = f"1{REASON_SEPARATOR}x: '9' is above 5"
    two = f"0{REASON_SEPARATOR}y is missing{PROBLEM_SEPARATOR}{one}"
    rows = add_reasons(pa.table({"x": [9, 9, 1]}), [one, two, None], ["not_null(y)", "range(x)"])
    assert rows.to_pydict() == {
        "x": [9, 9, 1],
        "quarantine_rules": [["range(x)"], ["not_null(y)", "range(x)"], []],
        "quarantine_reasons": [["x: '9' is above 5"], ["y is missing", "x: '9' is above 5"], []],
    }
    assert rows.schema.field("quarantine_rules").type == pa.list_(pa.string())


def test_a_file_is_begun_with_its_first_rows(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with QuarantineFile(str(folder), "none.parquet") as file:
        pass
    assert file.rows == 0
    assert not folder.exists()
    with QuarantineFile(str(folder), "some.parquet") as file:
        file.write_rows(pa.table({"x": [1, 2]}))
        file.write_rows(pa.table({"x": [3]}))
    assert (file.name, file.rows) == ("some.parquet", 3)
    assert pq.read_table(folder / "some.parquet")["x"].to_pylist() == [1, 2, 3]


def test_a_second_attempt_writes_the_same_file(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"^the task died$"),
        QuarantineFile(str(tmp_path), "x.parquet") as file,
    ):
        file.write_rows(pa.table({"x": [1, 2]}))
        raise RuntimeError("the task died")
    with QuarantineFile(str(tmp_path), "x.parquet") as file:
        file.write_rows(pa.table({"x": [7]}))
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert pq.read_table(tmp_path / "x.parquet")["x"].to_pylist() == [7]

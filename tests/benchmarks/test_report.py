"""What benchmarks report: ratios by round, tables, and JSON that is whole or absent."""

import json
from pathlib import Path

import pytest

from benchmarks.report import compute_median_ratio, describe_environment, format_table, write_json


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # ratios 2, 3 and 10; the medians' ratio would be 6 / 2
    assert compute_median_ratio([2, 6, 100], [1, 2, 10]) == 3
    with pytest.raises(ValueError, match="zip"):
        compute_median_ratio([1, 2], [1])


def test_tables_align_the_first_column_left_and_the_others_right() -> None:
    assert format_table(["reader", "rows/s"], [["numpy", "1,200"], ["tensorflow", 90]]) == (
        "reader      rows/s\n----------  ------\nnumpy        1,200\ntensorflow      90"
    )


def test_json_is_written_with_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "figures.json"
    write_json(str(path), {"ratios": {"a_over_b": 1.5}})
    assert json.loads(path.read_text()) == {"ratios": {"a_over_b": 1.5}}
    assert list(path.parent.iterdir()) == [path]


def test_the_environment_has_the_machine_the_versions_and_the_commit() -> None:
    environment = describe_environment()
    assert set(environment) == {"machine", "versions", "commit"}
    assert environment["machine"]["cores"] >= 1
    assert environment["versions"]["pyarrow"]
    json.dumps(environment)

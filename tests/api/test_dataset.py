"""A dataset in a notebook: its rows are the files', its statistics those of `inspect`."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.api import Dataset, Report
from headrace.api.html import format_table
from headrace.api.open_dataset import open_dataset
from headrace.errors import DatasetError, OptionError
from tests.commands.stage_outcomes import run_command


def read_files(dataset: Dataset, split: str) -> pa.Table:
    """Read the rows by pyarrow alone, as somebody without Headrace does."""
    files = sorted(Path(dataset.path).rglob("*.parquet"))
    own = [f for f in files if f"split={split}" in str(f) and "_headrace" not in str(f)]
    return pa.concat_tables([pq.ParquetFile(file).read() for file in own])


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_are_those_of_the_files(dataset: Dataset, split: Any) -> None:
    table = dataset.to_arrow(split)
    expected = read_files(dataset, split)
    assert table.num_rows == dataset.rows[split] == expected.num_rows > 0
    assert table.column_names == expected.column_names
    assert table.sort_by("row_id").equals(expected.sort_by("row_id"))
    assert set(table.column_names) <= set(dataset.columns)
    pd.testing.assert_frame_equal(dataset.to_pandas(split), table.to_pandas())


def test_columns_come_in_the_order_they_are_asked_for(dataset: Dataset) -> None:
    names = ["shop", "amount", "label"]
    table = dataset.to_arrow("test", columns=names)
    assert table.column_names == names
    assert list(dataset.to_pandas("test", columns=names)) == names
    assert set(names) < set(dataset.columns)
    assert dataset.to_arrow("test", columns=[]).num_columns == 0
    assert dataset.to_arrow("test", columns=["label", "label"]).column_names == ["label"] * 2


def test_raw_values_are_beside_the_test_rows_alone(dataset: Dataset) -> None:
    raw = [name for name in dataset.columns if name.startswith("raw_")]
    assert raw
    assert dataset.to_arrow("test", columns=raw).column_names == raw
    with pytest.raises(OptionError, match=r"its train rows do not have raw_\w+"):
        dataset.to_arrow("train", columns=raw)


@pytest.mark.parametrize(
    ("split", "columns", "said"),
    [
        ("tran", None, r"no split 'tran' \(did you mean 'train'\?\)"),
        ("TEST", None, r"no split 'TEST' \(did you mean 'test'\?\)"),
        ("everything", None, r"no split 'everything' \(the splits are: test, train, validation\)"),
        ("train", ["amuont"], r"no column 'amuont' \(did you mean 'amount'\?\)"),
        ("train", ["Shop", "label", "zzz"], r"'Shop' \(did you mean 'shop'\?\); .*'zzz' \(the col"),
        ("train", "amount2", r"no column 'amount2' \(did you mean 'amount'\?\)"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(
    dataset: Dataset, split: Any, columns: Any, said: str
) -> None:
    for read in (dataset.to_arrow, dataset.to_pandas):
        with pytest.raises(OptionError, match=said):
            read(split, columns=columns)
    if columns is None:
        with pytest.raises(OptionError, match=said):
            dataset.to_keras(split)


def test_one_name_is_not_taken_for_its_letters(dataset: Dataset) -> None:
    assert dataset.to_pandas("test", columns="shop").columns.tolist() == ["shop"]  # type: ignore[arg-type]


def test_statistics_are_those_of_inspect(dataset: Dataset) -> None:
    frame = dataset.describe()
    lines = run_command("inspect", dataset.path).out.partition("Columns before the transform")[2]
    found = re.findall(r"^  (\w+) +([\d,]+) values", lines, re.MULTILINE)
    shown = {name: int(values.replace(",", "")) for name, values in reversed(found)}
    assert {"amount", "shop", "label"} <= {*frame.index} <= {*shown}
    for name, row in frame.iterrows():
        assert row["values"] == shown[str(name)]
    assert frame.loc["label", "positive"] == pytest.approx(0.5, abs=0.1)
    order = frame.loc["amount", ["min", "1%", "50%", "99%", "max"]].tolist()
    assert order == sorted(order)
    assert order[0] < order[-1]
    assert frame.loc["shop", "missing"] > 0
    assert frame.loc["shop", "distinct"] > 1


def test_the_ledger_adds_up_and_is_shown(dataset: Dataset) -> None:
    ledger = dataset.ledger
    assert ledger.read == ledger.accounted_rows == 600
    assert ledger.published == dataset.rows
    assert "<th" in ledger._repr_html_()
    assert "600" in ledger._repr_html_()


def test_the_report_is_the_build_s_in_a_frame_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    report = dataset.report()
    (file,) = Path(dataset.path).glob("_headrace/*/report.html")
    assert report.html == file.read_text()
    assert report.save(tmp_path / "r.html").read_text() == report.html
    shown = report._repr_html_()
    assert shown.startswith("<iframe")
    assert 'sandbox="allow-scripts"' in shown
    assert "<h1" not in shown  # nothing of the page is outside of its frame


def test_what_is_shown_is_escaped() -> None:
    assert "<script" not in format_table([("<script>", "</td><script>")])
    assert Report('a"><script>', '"><script>')._repr_html_().count("<script") == 0


def test_a_dataset_shows_itself(dataset: Dataset) -> None:
    assert repr(dataset).startswith("Dataset(")
    assert "Dataset tiny, version 0" in dataset._repr_html_()
    assert (dataset.name, dataset.version) == ("tiny", 0)


def test_a_dataset_is_found_by_its_name(
    notebook_folder: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "visits").symlink_to(dataset.path)
    assert open_dataset("visits", workdir=tmp_path).rows == dataset.rows
    monkeypatch.setenv("HEADRACE_WORKDIR", str(tmp_path))
    assert open_dataset("visits", version=0).rows == dataset.rows
    with pytest.raises(DatasetError, match=r"no dataset 'vists', .*did you mean 'visits'\?"):
        open_dataset("vists")
    with pytest.raises(DatasetError, match=r"has no version 7, the newest is 0"):
        open_dataset(dataset.path, 7)
    with pytest.raises(DatasetError, match=r"there is no dataset at .*nowhere"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(OptionError, match=r"tiny.yaml is a recipe"):
        open_dataset(notebook_folder / "tiny.yaml")


def test_a_folder_of_that_name_that_is_no_dataset_is_not_taken_for_it(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w" / "datasets").mkdir(parents=True)
    (tmp_path / "w" / "datasets" / "visits").symlink_to(dataset.path)
    (tmp_path / "visits").mkdir()  # a table of the lake, say
    monkeypatch.chdir(tmp_path)
    assert open_dataset("visits", workdir="w").rows == dataset.rows


def test_statistics_are_plain_numbers(dataset: Dataset) -> None:
    amount = {name: row["amount"] for name, row in json.loads(dataset.describe().to_json()).items()}
    assert amount["values"] == round((1 - amount["missing"]) * sum(dataset.rows.values()))

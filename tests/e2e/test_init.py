"""`headrace init`, then `headrace run`: from a table without a recipe to a judged model."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headrace.examples.digits import ensure_digits_lake
from headrace.lake import DatasetVersion
from headrace.progress import ignore_progress
from tests.e2e.running import Done, headrace

pytestmark = pytest.mark.e2e

ROWS = 700


def subscribers(rows: int) -> pd.DataFrame:
    """A table with all that makes newcomers stumble, and a label that can be learnt."""
    rng = np.random.default_rng(11)
    number = np.arange(rows)
    minutes = rng.gamma(2, 60, rows).round(1)
    plan = np.array(["basic", "plus", "no"])[number % 3]
    churned = minutes + rng.normal(0, 40, rows) + 30 * (number % 3) < 120
    notes = np.array(["asked; for a refund", 'said "hello" twice', "nothing, really", ""])
    days = pd.date_range("2023-01-01", periods=rows, freq="13h")
    size = rng.normal(170, 10, rows).round(1).astype(str)
    return pd.DataFrame(
        {
            "": number,  # an index that was written along
            "customer id": [f"K-{7 * n:06}" for n in number],
            "signed up": [f"{day:%Y-%m-%d %H:%M}" for day in days],
            "no": plan,
            "Größe (cm)": np.where(number % 9 == 0, "NA", size),
            "minutes": minutes,
            "zip": [f"{n % 40:05}" for n in number],
            "label": [f"{n} {text}" for n, text in zip(number, notes[number % 4], strict=True)],
            "refund": np.where(churned, minutes, 0.0),
            "source": "web",
            "churned": np.where(churned, "yes", "no"),
        }
    )  # fmt: skip


def write_subscribers(folder: Path) -> Path:
    """As CSV with semicolons in two folders, a line that is cut and a number that is none."""
    table = subscribers(ROWS)
    table["minutes"] = table["minutes"].astype(object)  # as pandas 3 no longer does by itself
    table.loc[5, "minutes"] = "unknown"
    for region, part in (("eu", table[: ROWS // 2]), ("us", table[ROWS // 2 :])):
        path = folder / f"region={region}"
        path.mkdir(parents=True)
        part.to_csv(path / "part-0.csv", sep=";", index=False, quoting=csv.QUOTE_MINIMAL)
    with (folder / "region=us" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.write("700;K-9;2024-01-01\n")
    return folder


def started(workdir: Path, table: Path, *options: str) -> Done:
    return headrace(
        "init", str(table), "--out", str(workdir / "r.yaml"), "--workdir", str(workdir), "--json",
        *options,
    )  # fmt: skip


def ran(workdir: Path, *options: str, command: str = "run") -> Done:
    return headrace(command, str(workdir / "r.yaml"), "--workdir", str(workdir), "--json", *options)


@pytest.mark.long
def test_a_newcomer_comes_to_a_judged_model_with_no_edit_but_the_label(tmp_path: Path) -> None:
    table = write_subscribers(tmp_path / "lake" / "subscribers")
    done = started(tmp_path, table, "--label", "churned")
    assert done.code == 0, done.err
    said = done.result
    assert said["table"] == {
        "path": str(table), "format": "csv", "rows": ROWS + 1, "counted": True,
        "sampled_rows": ROWS,
        "files": 2, "opened_files": 2,
    }  # fmt: skip
    assert said["label"]["expression"] == "churned"
    assert list(said["unavailable"]) == ["refund"]
    assert said["split"]["time"]["column"] == "signed up"
    assert set(said["left_out"]) >= {"_c0", "customer id", "source"}
    assert said["next"] == [f"headrace run {tmp_path}/r.yaml --workdir {tmp_path}"]
    text = (tmp_path / "r.yaml").read_text()
    assert 'dedup: {key: ["customer id"]}' in text
    assert "path: ${workdir}/lake/subscribers" in text
    assert "1 of 701 sampled lines have too many or too few fields" in text

    done = ran(tmp_path, "--ranks", "1", "--set", "train.epochs=4")
    # On so few rows four epochs may or may not show that they are better than the constant.
    assert done.code == (0 if done.result["verdict"]["passed"] else 3), done.err
    ledger = done.result["ledger"]
    assert ledger["read"] == ROWS + 1
    assert ledger["quarantined"]["malformed"] == 1
    assert ledger["quarantined"]["minutes is real"] == 1
    assert sum(ledger["published"].values()) == ROWS - 1
    assert min(ledger["published"].values()) > 30
    assert done.result["metrics"]["test_rows"] == ledger["published"]["test"]
    assert done.result["metrics"]["test_roc_auc"] > 0.5
    kinds = [gate["gate"]["kind"] for gate in done.result["verdict"]["gates"]]
    assert kinds[:2] == ["finite", "baseline"]
    assert done.result["model_uri"] == "models:/subscribers/1"


def write_measurements(folder: Path) -> Path:
    """Write a CSV table without a key: measurements, times as seconds and as a month's name."""
    rng = np.random.default_rng(12)
    rows = 600
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 400, rows), unit="D")
    acid, sugar = rng.normal(7, 1, rows).round(2), rng.gamma(2, 3, rows).round(1)
    table = pd.DataFrame(
        {
            "acid": acid,
            "sugar": sugar,
            "bottled": [f"{day:%b %d %Y}" for day in days],
            "opened_at": (days - pd.Timestamp("1970-01-01")) // pd.Timedelta("1s") + 3_600,
            "species": np.where(acid + sugar / 3 + rng.normal(0, 0.5, rows) > 9, "red", "white"),
        }
    )
    folder.mkdir(parents=True)
    pd.concat([table, table[:20]]).to_csv(folder / "wine.csv", index=False)
    return folder


@pytest.mark.long
def test_a_table_without_a_key_is_learnt_and_scored_by_its_columns(tmp_path: Path) -> None:
    table = write_measurements(tmp_path / "lake" / "wine")
    done = started(tmp_path, table)
    assert done.result["candidates"][0] == "species"
    done = started(tmp_path, table, "--label", "species", "--force")
    assert done.code == 0, done.err
    text = (tmp_path / "r.yaml").read_text()
    assert 'bottled: "date(MMM d yyyy)"' in text
    assert 'opened_at: "timestamp(seconds)"' in text
    assert "dedup" not in text
    assert done.result["unavailable"] == {}
    done = ran(tmp_path, "--set", "train.ranks=1", "--set", "train.epochs=20")
    assert done.code == 0, done.err
    ledger = done.result["ledger"]
    assert ledger["read"] == sum(ledger["published"].values()) == 620  # no duplicate is dropped
    assert done.result["metrics"]["test_roc_auc"] > 0.8
    scored = headrace(
        "score", str(tmp_path / "r.yaml"), "--workdir", str(tmp_path), "--input", str(table),
        "--output", str(tmp_path / "scores"), "--model", done.result["model_uri"], "--json",
    )  # fmt: skip
    assert scored.code == 0, scored.err
    files = DeltaTable(str(tmp_path / "scores")).get_add_actions(flatten=True)["path"].to_pylist()
    predictions = pa.concat_tables(pq.read_table(tmp_path / "scores" / str(f)) for f in files)
    assert predictions.num_rows == 620
    assert {"acid", "sugar", "bottled", "opened_at"} <= {*predictions.column_names}


@pytest.mark.long
def test_images_in_a_column_of_bytes_are_learnt(tmp_path: Path) -> None:
    ensure_digits_lake(str(tmp_path / "lake"), ignore_progress)
    (file,) = (tmp_path / "lake" / "digits").glob("*.parquet")
    digits = pq.read_table(file)
    (tmp_path / "t").mkdir()
    pq.write_table(digits.rename_columns(["row", "image", "digit"]), tmp_path / "t" / "a.parquet")
    done = started(tmp_path, tmp_path / "t")
    assert done.result["candidates"] == ["digit"]
    done = started(tmp_path, tmp_path / "t", "--label", "digit", "--force")
    assert done.code == 0, done.err
    assert done.result["features"] == ["image"]
    done = ran(tmp_path, "--set", "train.ranks=1")
    assert done.code == 0, done.err
    assert done.result["metrics"]["test_accuracy"] > 0.9


TABLES = [
    ("airlines", "name", "binary", 16),
    ("airports", "tzone", "classes", 1_458),
    ("planes", "manufacturer", "classes", 3_322),
    ("weather", "temp", "regression", 26_115),
    ("flights", "arr_delay", "regression", 336_776),
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "label", "kind", "rows"), TABLES)
def test_it_runs_as_it_is_on_the_tables_of_the_flights_lake(
    name: str, label: str, kind: str, rows: int, flights_lake: Path, tmp_path: Path
) -> None:
    done = started(tmp_path, flights_lake / name, "--label", label)
    assert done.code == 0, done.err
    assert done.result["label"]["kind"] == kind
    done = ran(tmp_path)
    assert done.code == (0 if done.result["verdict"]["passed"] else 3), done.err
    ledger, metrics = done.result["ledger"], done.result["metrics"]
    assert ledger["read"] == rows
    assert min(ledger["published"].values()) > 0
    assert sum(ledger["quarantined"].values()) == 0  # rules that real rows pass
    reached = {"airports": "test_accuracy", "planes": "test_accuracy", "weather": "test_r2"}
    if name in reached:
        assert metrics[reached[name]] > 0.5


@pytest.mark.long
def test_the_label_may_be_chosen_in_the_recipe(flights_lake: Path, tmp_path: Path) -> None:
    done = started(tmp_path, flights_lake / "planes")
    assert done.code == 0, done.err
    refused = ran(tmp_path)
    assert refused.code == 2
    assert "label.expression: ${CHOOSE_THE_LABEL} names no key of the recipe" in refused.err
    lines = (tmp_path / "r.yaml").read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("label: "))
    choice = next(line for line in lines[place:] if line.startswith("# label: "))
    lines[place] = choice.removeprefix("# ")
    (tmp_path / "r.yaml").write_text("\n".join(lines))
    done = ran(tmp_path)
    assert done.code == (0 if done.result["verdict"]["passed"] else 3), done.err


def write_nanoseconds(folder: Path) -> str:
    table = subscribers(200).drop(columns="").assign(churned=lambda t: t["churned"] == "yes")
    table["signed up"] = pd.to_datetime(table["signed up"]).astype("datetime64[ns]")
    folder.mkdir()
    table.to_parquet(folder / "a.parquet")
    return "nanoseconds"


def write_json_list(folder: Path) -> str:
    rows = subscribers(200).drop(columns="").to_dict("records")
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([{**row, "tags": ["a", "b"]} for row in rows]))
    return "multiLine: true"


def write_latin_letters(folder: Path) -> str:
    """Without a header, with line breaks in texts and quoted nothing."""
    table = subscribers(200).drop(columns="")
    table["label"] += "\nso grüßt man"
    table.loc[::5, "source"] = None
    folder.mkdir()
    quoted = {"quoting": csv.QUOTE_ALL, "na_rep": ""}
    table.to_csv(folder / "a.csv", header=False, index=False, encoding="latin-1", **quoted)
    return "header: false, encoding: ISO-8859-1"


def write_folders_of_dates(folder: Path) -> str:
    for day in ("2024/01/01", "2024/01/02"):
        (folder / day).mkdir(parents=True)
        part = subscribers(200).drop(columns="")
        part["customer id"] += day
        part.to_parquet(folder / day / "a.parquet")
    return "recursiveFileLookup: true"


WRITERS = [write_nanoseconds, write_json_list, write_latin_letters, write_folders_of_dates]


@pytest.mark.long
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_whatever_files_there_are_prepare_reads_them_as_init_did(
    write: object, tmp_path: Path
) -> None:
    told = write(tmp_path / "table")
    label = "_c9" if "header: false" in told else "churned"
    done = started(tmp_path, tmp_path / "table", "--label", label)
    assert done.code == 0, done.err
    assert told in (tmp_path / "r.yaml").read_text()
    done = ran(tmp_path, command="prepare")
    assert done.code == 0, done.err
    rows = 400 if write is write_folders_of_dates else 200
    dataset = DatasetVersion.open(done.result["dataset"]["path"])
    assert sum(dataset.build.ledger.published.values()) == rows

"""`headrace init`, then `headrace run`: from a table without a recipe to a judged model."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headrace.lake import DatasetVersion
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

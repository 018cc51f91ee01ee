"""A person is erased from a dataset and what was made of it, and nothing of them is left."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headrace.columns.person_key import PersonKey
from headrace.lake import DatasetVersion
from headrace.lake.erase import find_person
from tests.commands.stage_outcomes import run_command
from tests.prepare.daily import build, list_processed, read_rows, write_day, write_places

pytestmark = pytest.mark.spark

PERSON = "zoë.q@example.org"
OVERRIDES = (
    "dataset.keep=[event, place]",
    "dataset.raw_examples=500",
    "features={x: {kind: standardize}, place: {kind: hash, buckets: 8}}",
)


def write_visits(workdir: Path, day: int, people: list[Any], rows: int = 60) -> None:
    """One row in six is of the last of the people; some break the rule, one comes twice."""
    names = [people[i % len(people)] for i in range(rows)]
    events = [*range(1000 * day, 1000 * day + rows)]
    events[-1] = events[-7]
    table = pa.table(
        {
            "event": events,
            "at": [10 * day] * rows,
            "x": [(-1.0 if i % 12 == 5 else 1.0) * (i + 1) for i in range(rows)],
            "place": names,
            "y": [i % 3 == 0 for i in range(rows)],
        }
    )
    write_day(workdir, day, table)


@pytest.fixture(autouse=True)
def keep_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of a worker share their session with the commands that they call."""
    monkeypatch.setattr("headrace.spark_session.stop_own_session", lambda: None)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("untouched"))


def make_lake(tmp_path: Path) -> Path:
    """A lake of four days, and a dataset of two versions."""
    write_places(tmp_path)
    write_visits(tmp_path, 1, ["a", "b", "c", "d", "e", PERSON])
    write_visits(tmp_path, 2, ["a", "b", "c", "d"])
    write_visits(tmp_path, 3, ["a", "b", "c", "d", "e", PERSON])
    build(tmp_path, *OVERRIDES)
    write_visits(tmp_path, 4, ["a", "b", "c", PERSON])
    build(tmp_path, *OVERRIDES)
    return tmp_path


def erase(workdir: Path, *arguments: str, code: int = 0) -> Any:
    done = run_command(
        "erase", str(workdir / "dataset"), "--workdir", str(workdir), *arguments, "--json"
    )
    assert done.code == code, done.err
    return done.result


def holds(root: Path, text: str) -> list[str]:
    """The files below a folder with a text in their bytes, or in the values of a Parquet file."""
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            rows = pq.ParquetFile(path).read().to_pandas()
            content += rows.to_string(max_colwidth=None).encode()
        once = json.dumps(text)[1:-1]
        forms = (text, once, json.dumps(once)[1:-1])  # the last in the statistics of a Delta log
        if any(form.encode() in content for form in forms):
            found.append(str(path.relative_to(root)))
    return found


def test_nothing_of_the_person_is_left(lake: Path) -> None:
    root = lake / "dataset"
    before = DatasetVersion.open(str(root))
    assert len(holds(root, PERSON)) > 5
    others = read_rows(before)
    result = erase(lake, "--key", f"place={PERSON}")
    assert (result["version"], result["removed_versions"]) == (2, [0, 1])
    assert result["left"] == []
    assert holds(root, PERSON) == []
    after = DatasetVersion.open(str(root))
    expected = others[others["kept_place"] != PERSON].reset_index(drop=True)
    pd.testing.assert_frame_equal(read_rows(after), expected)
    ledger = after.build.ledger
    assert ledger.filtered["erased on request"] == 10 + 10 + 15
    ledger.check_balance()
    assert {p.name for p in after.build.partitions if p.build_id == after.build.build_id} == {
        "day=01", "day=03", "day=04"
    }  # fmt: skip
    assert DeltaTable(root).to_pandas().shape[0] == len(expected)
    kept = [path for path in root.rglob("*.parquet") if path.parent.name == "quarantine"]
    assert sum(pq.read_metadata(path).num_rows for path in kept) > 0  # those of others are there


@pytest.mark.long
def test_later_builds_leave_the_person_out(lake: Path) -> None:
    erase(lake, "--key", f"place={PERSON}")
    write_visits(lake, 5, ["a", PERSON])
    done = build(lake, *OVERRIDES)
    assert list_processed(done) == {"day=05"}
    for options in ({}, {"full": True}, {"refit": True}):
        write_visits(lake, 1, ["a", "b", "c", PERSON], rows=64 + len(options))
        done = build(lake, *OVERRIDES, **options)
        assert not (read_rows(done.dataset)["kept_place"] == PERSON).any()
        assert find_person(done.dataset.root, PersonKey({"place": PERSON})) == []


@pytest.mark.long
def test_what_cannot_be_taken_out_is_named(lake: Path) -> None:
    """The recipe has the person's name, and the build its record: the next build compares it."""
    where = f"source.tables.events.where=place <> '{PERSON}'"
    build(lake, *OVERRIDES, where)
    result = erase(lake, "--key", f"place={PERSON}", code=1)
    assert "is without the rows, but the person may still be in" in result["error"]["message"]
    assert "build.json" in result["error"]["message"]


@pytest.mark.long
def test_numbers_and_several_columns(lake: Path) -> None:
    """Of event 1005, which is of the person, no other row goes."""
    before = read_rows(DatasetVersion.open(str(lake / "dataset")))
    result = erase(lake, "--key", "event=4001", "--key", "place=b")
    assert result["left"] == []
    after = read_rows(DatasetVersion.open(str(lake / "dataset")))
    gone = before[~before["kept_event"].isin(after["kept_event"])]
    assert gone["kept_event"].tolist() == [4001]
    nobody = erase(lake, "--key", "event=4002", "--key", "place=nobody")
    assert nobody["version"] == result["version"] + 1
    assert read_rows(DatasetVersion.open(str(lake / "dataset"))).equals(after)


@pytest.mark.long
def test_a_vocabulary_with_the_person_is_fitted_again(tmp_path: Path) -> None:
    write_places(tmp_path)
    write_visits(tmp_path, 1, ["a", "b", PERSON])
    write_visits(tmp_path, 2, ["a", "b", "c"])
    first = build(tmp_path, "dataset.keep=[place]")
    assert PERSON in json.loads(json.dumps(first.dataset.transform_json, ensure_ascii=False)) or (
        json.dumps(PERSON)[1:-1] in first.dataset.transform_json
    )
    result = erase(tmp_path, "--key", f"place={PERSON}")
    assert "the transform has the key" in result["why"]
    assert holds(tmp_path / "dataset", PERSON) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [(["place"], "expected COLUMN=VALUE"), (["place=a", "place=b"], "given twice")],
)
def test_options_that_cannot_be(tmp_path: Path, keys: list[str], message: str) -> None:
    options = [word for key in keys for word in ("--key", key)]
    done = run_command("erase", str(tmp_path), *options)
    assert done.code == 2
    assert message in done.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "nowhere=1"], "has no column nowhere; known: at, day, event"),
        (["--key", "event=seven"], "'seven' is no value of column 'event'"),
        (["--key", "place=a", "--predictions", "{}/nothing"], "there are no predictions at"),
    ],
)
def test_keys_that_cannot_be(untouched: Path, arguments: list[str], message: str) -> None:
    done = run_command(
        "erase", str(untouched / "dataset"), "--workdir", str(untouched),
        *(argument.format(untouched) for argument in arguments), "--json",
    )  # fmt: skip
    assert done.code == 1
    assert message in done.err
    assert DatasetVersion.open(str(untouched / "dataset")).version == 1


@pytest.mark.long
def test_a_column_whose_type_changed_is_refused(lake: Path) -> None:
    erase(lake, "--key", "event=4001")
    folder = lake / "lake" / "events"
    for path in [*folder.rglob("*.parquet")]:
        table = pq.ParquetFile(path).read()
        pq.write_table(table.set_column(0, "event", table["event"].cast(pa.string())), path)
    with pytest.raises(Exception, match=r"erased by event \(integer\), which is string now"):
        build(lake, *OVERRIDES, "clean.dedup=null", full=True)

"""Rules: every violation recorded, every row in one bucket, rejected rows kept."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from tests import tiny
from tests.prepare.people import RULES, build, make_people, read_quarantine
from tests.prepare.tiny_builds import build_anew, has_published_nothing, read_rows

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]


def test_every_rule_and_every_action(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    ledger = dataset.build.ledger
    assert ledger.read == 40
    # The first rule that takes a row out has it: row 3 is out of range, before its state is judged.
    assert ledger.quarantined == {
        "not_null(age)": 2,
        "range(age)": 2,
        "in_order": 1,
        "unique(code)": 2,
    }
    assert ledger.filtered == {"label is null": 0, "in(state)": 1}
    assert sum(ledger.published.values()) == 40 - 7 - 1
    # All violations are counted, not only those that decided.
    counts = {rule.name: rule.rows for rule in dataset.profile.rules}
    assert counts == {
        "not_null(age)": 2,
        "range(age)": 2,
        "in(state)": 2,
        "regex(mail)": 1,
        "in_order": 1,
        "unique(code)": 2,
    }


def test_rejected_rows_keep_all_columns_rules_and_reasons(tmp_path: Path) -> None:
    rejected = read_quarantine(build(tmp_path))
    assert rejected["id"].tolist() == [1, 2, 3, 4, 7, 8, 9]
    original = make_people().to_pandas().set_index("id").loc[rejected["id"]].reset_index()
    pd.testing.assert_frame_equal(rejected[original.columns], original, check_dtype=False)
    rules = dict(zip(rejected["id"], rejected["quarantine_rules"], strict=True))
    assert list(rules[3]) == ["range(age)", "in(state)"]
    assert list(rules[8]) == ["unique(code)"]
    reasons = dict(zip(rejected["id"], rejected["quarantine_reasons"], strict=True))
    assert list(reasons[3]) == [
        "age: '200.0' is above 150",
        "state: '??' is none of NY, NJ",
    ]
    assert list(reasons[1]) == ["age is missing"]
    assert list(reasons[7]) == ["not begin <= end"]
    assert list(reasons[9]) == ["code='dup' has 2 rows"]


def test_repaired_rows_feed_back_in(tmp_path: Path) -> None:
    first = build(tmp_path)
    repaired = read_quarantine(first).drop(columns=["quarantine_rules", "quarantine_reasons"])
    repaired["age"] = 30.0
    repaired["state"] = "NY"
    repaired["end"] = 9
    repaired["code"] = [f"new{n}" for n in repaired["id"]]
    schema = make_people().schema
    table = pa.Table.from_pandas(repaired, schema=schema, preserve_index=False)
    pq.write_table(table, tmp_path / "lake" / "people" / "repaired.parquet")
    # The old rows are still there, and still rejected; of each key a good row is published now.
    second = build(tmp_path)
    assert second.build.ledger.read == 47
    assert sum(second.build.ledger.quarantined.values()) == 7
    before, after = (sum(d.build.ledger.published.values()) for d in (first, second))
    assert after == before + 7
    assert second.build.ledger.duplicates == 0


def test_a_rejected_duplicate_does_not_win_against_a_good_row(tmp_path: Path) -> None:
    good = make_people().slice(20, 1)
    newer = good.set_column(1, "age", pa.array([999.0])).set_column(5, "begin", pa.array([2]))
    table = pa.concat_tables([make_people(), newer.set_column(4, "code", pa.array(["other"]))])
    dedup = {"key": ["id"], "latest_by": "begin"}
    dataset = build(tmp_path, table, clean={"rules": RULES, "dedup": dedup})
    assert dataset.build.ledger.duplicates == 0
    assert dataset.build.ledger.quarantined["range(age)"] == 3


def test_null_makes_a_value_missing_for_the_features_alone(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    mails = next(c for c in dataset.profile.columns if c.name == "mail")
    assert sum(mails.missing.values()) == 2  # row 6 by its rule, row 10 by itself
    assert (read_rows(dataset)["mail"] == 0).sum() == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"on_violation": "fail"},
            r"rule 'range\(age\)': 2 of 40 rows \(5%\) violate it, none may. For example: "
            r"age: '-1.0' is below 0; age: '200.0' is above 150",
        ),
        ({"max_fraction": 0.04}, r"2 of 40 rows \(5%\) violate it, 4% may"),
        ({"on_violation": "drop", "max_fraction": 0.0}, "violate it, 0% may"),
    ],
)
def test_past_its_limit_a_rule_aborts_the_build(tmp_path: Path, change: dict, message: str) -> None:
    rules = [{**RULES[1], **change}, RULES[0]]
    with pytest.raises(LakeError, match=message):
        build(tmp_path, clean={"rules": rules})
    assert has_published_nothing(tmp_path)


def test_within_its_limit_a_rule_does_not(tmp_path: Path) -> None:
    rules = [{**RULES[1], "max_fraction": 0.05}]
    assert build(tmp_path, clean={"rules": rules}).build.ledger.quarantined == {"range(age)": 2}


def test_more_rules_than_a_mask_has_bits(tmp_path: Path) -> None:
    rules = [
        {"kind": "range", "column": "age", "max": 20.5 + n, "on_violation": None} for n in range(70)
    ]
    dataset = build(tmp_path, clean={"rules": rules})
    counts = {rule.name: rule.rows for rule in dataset.profile.rules}
    assert len(counts) == 70
    ages = make_people()["age"].to_pandas()
    assert counts["range(age) #70"] == (ages > 20.5 + 69).sum() == 1
    assert counts["range(age) #30"] == (ages > 20.5 + 29).sum()


def test_limits_may_be_dates(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=40).date
    table = make_people().append_column("day", pa.array(days))
    rules = [{"kind": "range", "column": "day", "min": "2020-01-11", "on_violation": "drop"}]
    dataset = build(tmp_path, table, clean={"rules": rules})
    assert dataset.build.ledger.filtered["range(day)"] == 10


def test_the_tiny_lake_has_no_quarantine(tmp_path: Path) -> None:
    tiny.write_tiny_lake(tmp_path / "lake")
    dataset = build_anew(tmp_path)
    assert dataset.build.quarantine is None
    assert dataset.build.ledger.quarantined == {}

"""Rules and strict casts: every violation recorded, every row in one bucket, rejected rows kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import LakeError
from pipelines.lake import DatasetVersion
from pipelines.prepare import prepare
from pipelines.progress import silent
from pipelines.recipe import recipe_from_tree
from tests import tiny
from tests.prepare.tiny_builds import nothing_published, rows_of, run

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]

# 40 rows; what is wrong with row n is said here, all else is fine.
WRONG: dict[int, dict[str, Any]] = {
    1: {"age": None},
    2: {"age": -1.0},
    3: {"age": 200.0, "state": "??"},  # two rules at once
    4: {"age": float("nan")},  # missing, as null is
    5: {"state": "XX"},
    6: {"mail": "nobody"},
    7: {"begin": 9, "end": 3},
    8: {"mail": "a8@x.org", "code": "dup"},
    9: {"mail": "a9@x.org", "code": "dup"},
    10: {"state": None, "mail": None, "code": None},  # null passes everything but not_null
    11: {"code": None},
}


def people() -> pa.Table:
    rows = []
    for n in range(40):
        row = {
            "id": n,
            "age": 20.0 + n,
            "state": "NY" if n % 2 else "NJ",
            "mail": f"a{n}@x.org",
            "code": f"c{n}",
            "begin": 1,
            "end": 2,
            "y": n % 3 == 0,
            "note": f"n{n}",  # no feature, no rule: kept in the quarantine all the same
        }
        rows.append(row | WRONG.get(n, {}))
    return pa.Table.from_pylist(rows)


RULES = [
    {"kind": "not_null", "columns": ["age"]},
    {"kind": "range", "column": "age", "min": 0, "max": 150},
    {"kind": "in", "column": "state", "values": ["NY", "NJ"], "on_violation": "drop"},
    {"kind": "regex", "column": "mail", "pattern": "^[^@]+@[^@]+$", "on_violation": "null"},
    {"kind": "expr", "expression": "begin <= end", "name": "in_order"},
    {"kind": "unique", "columns": ["code"]},
]


def recipe(workdir: Path, **changes: Any) -> Any:
    tree = {
        "name": "people",
        "source": {"tables": {"people": {"path": "${workdir}/lake/people"}}, "main": "people"},
        "clean": {"rules": RULES, "dedup": {"key": ["id"]}},
        "label": {"expression": "y"},
        "split": {"key": ["id"], "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "features": {
            "age": {"kind": "standardize"},
            "state": {"kind": "vocabulary"},
            "mail": {"kind": "vocabulary"},
        },
        "dataset": {"path": "${workdir}/dataset", "rows_per_file": 16, "rows_per_row_group": 8},
        "model": {"kind": "mlp"},
    }
    tree |= changes
    return recipe_from_tree(tree, source="people", workdir=str(workdir), environment={})


def build(workdir: Path, table: pa.Table | None = None, **changes: Any) -> DatasetVersion:
    folder = workdir / "lake" / "people"
    if table is not None or not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(people() if table is None else table, folder / "part-0.parquet")
    return prepare(recipe(workdir, **changes), workdir=str(workdir), report=silent).dataset


def quarantine_of(dataset: DatasetVersion) -> pd.DataFrame:
    frame = pd.read_parquet(f"{dataset.root}/{dataset.build.quarantine}", partitioning=None)
    return frame.sort_values("id").reset_index(drop=True)


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
    found = {rule.name: rule.rows for rule in dataset.profile.rules}
    assert found == {
        "not_null(age)": 2,
        "range(age)": 2,
        "in(state)": 2,
        "regex(mail)": 1,
        "in_order": 1,
        "unique(code)": 2,
    }


def test_rejected_rows_keep_all_columns_rules_and_reasons(tmp_path: Path) -> None:
    rejected = quarantine_of(build(tmp_path))
    assert rejected["id"].tolist() == [1, 2, 3, 4, 7, 8, 9]
    original = people().to_pandas().set_index("id").loc[rejected["id"]].reset_index()
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
    repaired = quarantine_of(first).drop(columns=["quarantine_rules", "quarantine_reasons"])
    repaired["age"] = 30.0
    repaired["state"] = "NY"
    repaired["end"] = 9
    repaired["code"] = [f"new{n}" for n in repaired["id"]]
    schema = people().schema
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
    good = people().slice(20, 1)
    newer = good.set_column(1, "age", pa.array([999.0])).set_column(5, "begin", pa.array([2]))
    table = pa.concat_tables([people(), newer.set_column(4, "code", pa.array(["other"]))])
    dedup = {"key": ["id"], "latest_by": "begin"}
    dataset = build(tmp_path, table, clean={"rules": RULES, "dedup": dedup})
    assert dataset.build.ledger.duplicates == 0
    assert dataset.build.ledger.quarantined["range(age)"] == 3


def test_null_makes_a_value_missing_for_the_features_alone(tmp_path: Path) -> None:
    dataset = build(tmp_path)
    mails = next(c for c in dataset.profile.columns if c.name == "mail")
    assert sum(mails.missing.values()) == 2  # row 6 by its rule, row 10 by itself
    assert (rows_of(dataset)["mail"] == 0).sum() == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"on_violation": "fail"},
            r"rule 'range\(age\)': 2 of 40 rows \(5.0000%\) violate it, none may. For example: "
            r"age: '-1.0' is below 0; age: '200.0' is above 150",
        ),
        ({"max_fraction": 0.04}, r"2 of 40 rows \(5.0000%\) violate it, 4.0000% may"),
        ({"on_violation": "drop", "max_fraction": 0.0}, "violate it, 0.0000% may"),
    ],
)
def test_past_its_limit_a_rule_aborts_the_build(tmp_path: Path, change: dict, message: str) -> None:
    rules = [{**RULES[1], **change}, RULES[0]]
    with pytest.raises(LakeError, match=message):
        build(tmp_path, clean={"rules": rules})
    assert nothing_published(tmp_path)


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
    ages = people()["age"].to_pandas()
    assert counts["range(age) #70"] == (ages > 20.5 + 69).sum() == 1
    assert counts["range(age) #30"] == (ages > 20.5 + 29).sum()


def test_limits_may_be_dates(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=40).date
    table = people().append_column("day", pa.array(days))
    rules = [{"kind": "range", "column": "day", "min": "2020-01-11", "on_violation": "drop"}]
    dataset = build(tmp_path, table, clean={"rules": rules})
    assert dataset.build.ledger.filtered["range(day)"] == 10


TEXTS = {
    "integer": (["1", " 2 ", "-3", None, "1.5", "x", "", "1e3", "99999999999999999999"], 5),
    "real": (["1", "2.5", "1e3", "NaN", None, "1,5", "2f", "x", ""], 4),
    "boolean": (["true", "false", None, "maybe"], 1),
    "timestamp": (["2020-01-01", "2020-01-01T10:00:00Z", None, "2020-13-01", "yesterday"], 2),
}


@pytest.mark.parametrize("declared", sorted(TEXTS))
def test_texts_are_cast_strictly(tmp_path: Path, declared: str) -> None:
    values, bad = TEXTS[declared]
    table = people().slice(12)
    column = [*values, *(["1" if declared != "timestamp" else "2020-01-01"] * 28)][:28]
    table = table.append_column("t", pa.array(column, pa.string()))
    kinds = {"timestamp": {"kind": "standardize", "column": "since"}}
    derive = {"since": {"kind": "seconds_since", "columns": ["t"], "origin": "2020-01-01"}}
    dataset = build(
        tmp_path,
        table,
        clean={},
        source={
            "tables": {"people": {"path": "${workdir}/lake/people", "columns": {"t": declared}}},
            "main": "people",
        },
        features={"age": {"kind": "standardize"}, "t": kinds.get(declared, {"kind": "min_max"})},
        derive=derive if declared == "timestamp" else {},
    )
    assert dataset.build.ledger.quarantined == {f"t is {declared}": bad}
    rejected = quarantine_of(dataset)
    assert set(rejected["t"]) == set(values[-bad:])  # as they were read
    reason = rejected.set_index("t").loc[values[-1], "quarantine_reasons"]
    assert list(reason) == [f"t: '{values[-1]}' is no {declared}"]


def test_real_numbers_are_whole_or_rejected(tmp_path: Path) -> None:
    table = people().append_column("t", pa.array([1.0] * 37 + [1.5, 1e30, float("nan")]))
    dataset = build(
        tmp_path,
        table,
        clean={},
        source={
            "tables": {"people": {"path": "${workdir}/lake/people", "columns": {"t": "integer"}}},
            "main": "people",
        },
        features={"t": {"kind": "vocabulary"}},
    )
    assert dataset.build.ledger.quarantined == {"t is integer": 3}


def test_extra_columns_are_listed_and_wider_types_accepted(tmp_path: Path) -> None:
    table = people()
    table = table.set_column(1, "age", table["age"].cast(pa.float32()))
    dataset = build(
        tmp_path,
        table.set_column(5, "begin", table["begin"].cast(pa.int8())),
        clean={},
        source={
            "tables": {
                "people": {
                    "path": "${workdir}/lake/people",
                    "columns": {"id": "integer", "begin": "real", "age": "real", "y": "boolean"},
                }
            },
            "main": "people",
        },
        features={"age": {"kind": "standardize"}, "begin": {"kind": "min_max"}},
    )
    assert dataset.build.sources["people"]["extra_columns"] == ["code", "end", "mail", "note",
                                                                "state"]  # fmt: skip
    assert dataset.build.ledger.quarantined == {}


def test_a_later_file_may_have_a_wider_type(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "people"
    folder.mkdir(parents=True)
    table = people()
    narrow = table.set_column(5, "begin", table["begin"].cast(pa.int32()))
    pq.write_table(narrow, folder / "part-0.parquet")
    later = table.set_column(5, "begin", pa.array([2**40] * 40))
    pq.write_table(later.set_column(0, "id", pa.array(range(40, 80))), folder / "part-1.parquet")
    dataset = build(tmp_path, clean={}, features={"begin": {"kind": "vocabulary"}})
    assert dataset.build.ledger.read == 80
    assert dataset.build.ledger.quarantined == {}


def test_a_sample_weight_must_be_a_weight(tmp_path: Path) -> None:
    label = {"expression": "y", "sample_weight": "age / 10"}
    dataset = build(tmp_path, clean={}, label=label)
    assert dataset.build.ledger.quarantined == {"label.sample_weight": 3}  # null, NaN, negative
    rows = rows_of(dataset)
    assert rows["sample_weight"].min() > 0


def test_class_weights_are_in_the_rows(tmp_path: Path) -> None:
    label = {"expression": "y", "class_weight": {"true": 3.0, "false": 0.5}}
    rows = rows_of(build(tmp_path, clean={}, label=label))
    assert (rows["sample_weight"] == rows["label"].map({1.0: 3.0, 0.0: 0.5})).all()


def test_a_class_that_training_never_saw_is_filtered(tmp_path: Path) -> None:
    table = people()
    only = rows_by_split(tmp_path)["validation"][0]
    names = ["rare" if n == only else "ab"[n % 2] for n in range(40)]
    table = table.append_column("c", pa.array(names))
    dataset = build(tmp_path, table, clean={}, label={"expression": "c", "kind": "classes"})
    assert dataset.build.ledger.filtered["label class is not in the train split"] == 1
    assert sorted(rows_of(dataset)["label"].unique()) == [0, 1]


def rows_by_split(workdir: Path) -> dict[str, list[int]]:
    """Ids a split, as the split's own function gives them."""
    from pyspark.sql import SparkSession

    from pipelines.prepare.tag import split_of

    spark = SparkSession.getActiveSession()
    frame = spark.range(40).select("id", split_of(recipe(workdir)).alias("split")).toPandas()
    names = frame["split"].map({0: "train", 1: "validation", 2: "test"})
    return frame.groupby(names)["id"].apply(list).to_dict()


def test_the_tiny_lake_has_no_quarantine(tmp_path: Path) -> None:
    tiny.write_tiny_lake(tmp_path / "lake")
    dataset = run(tmp_path)
    assert dataset.build.quarantine is None
    assert dataset.build.ledger.quarantined == {}


def test_a_one_to_one_join_wants_one_row_a_key_of_the_main_table_too(
    tmp_path: Path, tiny_lake: Path
) -> None:
    shops = [{"table": "shops", "key": ["shop"], "columns": {"size": "size"}}]
    shops[0]["cardinality"] = "one_to_one"
    with pytest.raises(LakeError) as caught:
        run(tmp_path, f"source.joins={shops}")
    message = str(caught.value)
    assert "table 'visits' has several rows for one key (shop)" in message
    assert "shop='a' has 150 rows; shop='b' has 144 rows; " in message
    assert nothing_published(tmp_path)
    rows = tiny.ROWS - tiny.DUPLICATES
    visits = pq.read_table(tiny_lake / "visits").slice(0, rows)
    pq.write_table(visits, tiny_lake / "visits" / "part-0.parquet")
    (tiny_lake / "extra").mkdir()
    extra = visits.select(["visit"]).append_column("size", visits["day"].cast(pa.float64()))
    pq.write_table(extra.slice(7), tiny_lake / "extra" / "part-0.parquet")
    join = {"table": "extra", "key": ["visit"], "columns": {"size": "size"}}
    overrides = [
        f"source.tables.extra={{path: {tiny_lake}/extra}}",
        f"source.joins={[join | {'cardinality': 'one_to_one'}]}",
    ]
    assert run(tmp_path, *overrides).build.ledger.read == rows
    again = pa.concat_tables([visits, visits.slice(0, 3)])  # deduplicated by the join's key
    pq.write_table(again, tiny_lake / "visits" / "part-0.parquet")
    assert run(tmp_path, *overrides).build.ledger.duplicates == 3


def test_the_latest_row_is_told_by_every_digit(tmp_path: Path) -> None:
    """uint64 and decimals beyond what a double can tell apart."""
    folder = tmp_path / "lake" / "events"
    folder.mkdir(parents=True)
    number = np.arange(60)
    base = 1_790_000_000_000_000_000
    table = pa.table(
        {
            "id": number // 2,
            "at": pa.array([base + n for n in number], pa.uint64()),
            "x": pa.array(number.astype(float)),
            "y": number // 2 % 3 == 0,
        }
    )
    pq.write_table(table, folder / "a.parquet")
    tree = {
        "name": "latest",
        "source": {"tables": {"events": {"path": str(folder)}}, "main": "events"},
        "clean": {"dedup": {"key": ["id"], "latest_by": "at"}},
        "label": {"expression": "x", "kind": "regression"},
        "split": {"key": ["id"], "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1}},
        "features": {"id": {"kind": "standardize"}},
        "dataset": {"path": str(tmp_path / "dataset")},
        "model": {"kind": "mlp"},
    }
    recipe = recipe_from_tree(tree, source="latest", environment={})
    dataset = prepare(recipe, workdir=str(tmp_path), report=silent).dataset
    assert dataset.build.ledger.duplicates == 30
    assert sorted(rows_of(dataset)["label"]) == list(range(1, 60, 2))

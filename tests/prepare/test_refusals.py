"""What the first job counted, and what must not be published."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.columns.values import read_column
from headrace.errors import LakeError
from headrace.prepare.refusals import refuse_bad_labels, refuse_no_train_rows, refuse_violations
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.source.rules import Check
from tests.tiny import tiny_recipe


def counts_of(violations: dict[int, int], examples: dict[int, list[str]]) -> TaskCounts:
    counts = TaskCounts()
    counts.violations.update(violations)
    counts.examples.update(examples)
    return counts


@pytest.mark.parametrize(
    ("check", "rows", "refused"),
    [
        (Check("r", "quarantine"), 99, False),  # no limit
        (Check("r", "quarantine", max_fraction=0.1), 10, False),  # at the limit
        (Check("r", "quarantine", max_fraction=0.1), 11, True),
        (Check("r", "drop", max_fraction=0.0), 1, True),
        (Check("r", "fail"), 0, False),
        (Check("r", "fail"), 1, True),
    ],
)
def test_a_rule_may_be_broken_up_to_its_limit(check: Check, rows: int, refused: bool) -> None:
    counts = counts_of({0: rows}, {})
    if refused:
        with pytest.raises(LakeError, match="the lake breaks its rules"):
            refuse_violations((check,), counts, 100)
    else:
        refuse_violations((check,), counts, 100)


def test_all_broken_rules_come_at_once_with_examples() -> None:
    checks = (Check("a", "fail"), Check("b", "quarantine"), Check("c", "drop", max_fraction=0.01))
    counts = counts_of({0: 2, 1: 50, 2: 5}, {0: ["x: '1'", "x: '2'"]})
    with pytest.raises(LakeError) as caught:
        refuse_violations(checks, counts, 200)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1] == (
        "  - rule 'a': 2 of 200 rows (1%) violate it, none may. For example: x: '1'; x: '2'"
    )
    assert lines[2].startswith("  - rule 'c': 5 of 200 rows (2.5%) violate it, 1% may")


def test_without_train_rows_it_is_said_where_they_went(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    refuse_no_train_rows({"train": 1}, recipe)
    with pytest.raises(LakeError, match=r"rows went to label is null: 7, test: 1,200\. Check") as e:
        refuse_no_train_rows({"train": 0, "test": 1200, "label is null": 7}, recipe)
    assert "split.key (day: all rows with one key share a split)" in str(e.value)
    with pytest.raises(LakeError, match="rows went to nowhere"):
        refuse_no_train_rows({}, recipe)
    time = "split={time: {column: at, validation_from: '2020-01-01', test_from: '2021-01-01'}}"
    with pytest.raises(LakeError, match=r"split.time \(at before 2020-01-01\)"):
        refuse_no_train_rows({}, tiny_recipe(tmp_path, time))


@pytest.mark.parametrize(
    ("buckets", "overrides", "advice"),
    [
        (
            {"malformed": 9, "test": 1},
            ["source.tables.visits.format=json"],
            r"Check source.tables.visits.format \(json\) and .options \(and multiLine: true",
        ),
        (
            {"malformed": 9},
            ["source.tables.visits.format=csv"],
            r"format \(csv\) and .options \(sep, header, quote, escape, encoding\)",
        ),
        (
            {"in(shop)": 9},
            [],
            r"Check the rule or the declared type that they break \(in\(shop\)\)",
        ),
        ({"label is null": 9}, [], r"Check label.expression \(late\), which is null for them"),
        ({"test": 9}, [], r"Check split.key \(day: .*\), and label.expression"),
    ],
)
def test_advice_fits_where_the_rows_went(
    tmp_path: Path, buckets: dict[str, int], overrides: list[str], advice: str
) -> None:
    with pytest.raises(LakeError, match=advice):
        refuse_no_train_rows(buckets, tiny_recipe(tmp_path, *overrides))


def numbers(*values: float) -> NumberSummary:
    return NumberSummary.from_numbers(np.array(values))


def texts(*values: str) -> TextCounts:
    return TextCounts.from_values(read_column(pa.array(values, pa.string()), "string"))


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("binary", numbers(0.0, 0.0), r"every label of the train split is false"),
        ("binary", numbers(0.0, 1.0), None),
        ("regression", numbers(2.5, 2.5), r"every label of the train split is 2\.5"),
        ("regression", numbers(2.5, 2.6), None),
        ("classes", texts("a", "a"), r"every label of the train split is 'a'"),
        ("classes", texts("a", "b"), None),
        ("multi_label", texts("a", "a"), r"fewer than two labels"),
        ("multi_label", texts("a", "b", "b"), None),
    ],
)
def test_labels_of_which_nothing_can_be_learnt(
    tmp_path: Path, kind: str, labels: NumberSummary | TextCounts, message: str | None
) -> None:
    recipe = tiny_recipe(tmp_path, f"label.kind={kind}")
    if message is None:
        refuse_bad_labels(labels, recipe, 2)
        return
    with pytest.raises(LakeError, match=message) as caught:
        refuse_bad_labels(labels, recipe, 2)
    assert "label.expression (late)" in str(caught.value)


def test_a_log_of_pairs_that_belong_together_has_no_others(tmp_path: Path) -> None:
    towers = (
        "{kind: two_tower, query: {features: [amount, size]}, item: {features: [shop, hour, note]}}"
    )
    recipe = tiny_recipe(tmp_path, f"model={towers}")
    refuse_bad_labels(numbers(1.0, 1.0), recipe, 2)
    with pytest.raises(LakeError, match="every label of the train split is false"):
        refuse_bad_labels(numbers(0.0, 0.0), recipe, 2)

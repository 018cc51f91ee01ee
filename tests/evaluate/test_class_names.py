"""Both sides of a condition have names that people know, whatever SQL it is written in."""

import pytest

from headrace.evaluate.class_names import name_condition, name_label_classes
from headrace.labels.spec import LabelSpec


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("late", ("not late", "late")),
        ("`late`", ("not late", "late")),
        ("survived = 1", ("not survived", "survived")),
        ("t.survived = true", ("not survived", "survived")),
        ("income = '>50K'", ("not >50K", ">50K")),
        ("arr_delay > 15", ("arr_delay ≤ 15", "arr_delay > 15")),
        ("arr_delay>=15", ("arr_delay < 15", "arr_delay ≥ 15")),
        ("(arr_delay  >\n15)", ("arr_delay ≤ 15", "arr_delay > 15")),
        ("a > 1 AND b < 2", ("not (a > 1 AND b < 2)", "a > 1 AND b < 2")),
        ("(a) or (b)", ("not ((a) or (b))", "(a) or (b)")),
        ("x = ''", ("not (x = '')", "x = ''")),
        ("case when a then 1 else 0 end > 0 and " + "x" * 99,
         ("condition not met", "condition met")),
        ("", ("condition not met", "condition met")),
    ],
)  # fmt: skip
def test_conditions(expression: str, names: tuple[str, str]) -> None:
    assert name_condition(expression) == names


def test_kinds_of_label() -> None:
    assert name_label_classes(LabelSpec(), "late") == ("not late", "late")
    assert name_label_classes(LabelSpec(kind="classes", classes=("a", "b")), "x") == ("a", "b")
    labels = LabelSpec(kind="multi_label", classes=("a", "b", "c"))
    assert name_label_classes(labels, "x") == ("without the label", "with the label")
    assert name_label_classes(LabelSpec(kind="regression"), "x") == ()

"""A fitted label, as `transform.json` has it."""

import pytest
from pydantic import ValidationError

from headrace.labels.kinds import KINDS
from headrace.labels.spec import LabelSpec


@pytest.mark.parametrize(
    ("label", "array", "has_threshold"),
    [
        (LabelSpec(), ("float32", ()), True),
        (LabelSpec(kind="classes", classes=("a", "b")), ("int32", ()), False),
        (LabelSpec(kind="multi_label", classes=("a", "b")), ("float32", (2,)), True),
        (LabelSpec(kind="regression", center=1.0, scale=2.0), ("float32", ()), False),
        (LabelSpec(kind="count"), ("float32", ()), False),
    ],
    ids=KINDS,
)
def test_a_label_says_how_it_is_stored(
    label: LabelSpec, array: tuple[str, tuple[int, ...]], has_threshold: bool
) -> None:
    assert label.definition is KINDS[label.kind]
    assert label.array == array
    assert label.has_threshold is has_threshold


def test_labels_of_older_transforms_have_defaults() -> None:
    label = LabelSpec.model_validate({"kind": "binary"})
    assert (label.weighted, label.baseline, label.center, label.scale) == (False, False, 0, 1)
    assert LabelSpec.model_validate_json(label.model_dump_json()) == label


@pytest.mark.parametrize("values", [{"kind": "ordinal"}, {"kind": "binary", "unit": "m"}])
def test_kinds_and_keys_that_do_not_exist_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        LabelSpec.model_validate(values)

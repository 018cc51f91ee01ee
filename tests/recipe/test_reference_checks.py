"""Gates against references that a recipe cannot have are refused when it is read."""

from typing import Any

import pytest

from headrace.errors import RecipeError
from headrace.recipe import build_recipe
from tests.tiny import tiny_tree

TREE = {"kind": "baseline", "against": "tree", "metric": "roc_auc"}
CONSTANT = {**TREE, "against": "constant"}
PICTURE = {"photo": {"kind": "image", "height": 8, "width": 8, "channels": 1}}


def read(evaluate: dict[str, Any], **changed: Any) -> Any:
    tree = {**tiny_tree(), "evaluate": evaluate, **changed}
    return build_recipe(tree, source="r.yaml", overrides=(), workdir="w", environment={})


@pytest.mark.parametrize(
    ("evaluate", "changed", "key", "text"),
    [
        ({"gates": [CONSTANT], "bootstrap": 0}, {}, "evaluate.gates.0", "evaluate.bootstrap is 0"),
        ({"gates": [TREE], "references": ["constant"]}, {}, "evaluate.gates.0.against",
         "evaluate.references has no tree"),
        ({"gates": [{**CONSTANT, "against": "label.baseline"}]}, {}, "evaluate.gates.0.against",
         "the recipe has no label.baseline"),
        ({"gates": [{**CONSTANT, "better_by": 0.1, "not_worse_by": 0.1}]}, {}, "evaluate.gates.0",
         "either better_by or not_worse_by"),
        ({"gates": [{**CONSTANT, "metric": "rmse"}]}, {}, "evaluate.gates.0.metric",
         "no metric 'rmse'"),
        ({"references": []}, {}, "evaluate.references", "judged against it"),
        ({"gates": [TREE]}, {"features": PICTURE, "model": {"kind": "cnn"}},
         "evaluate.gates.0.against", "images, texts or series: 'photo'"),
        ({"gates": [{**TREE, "metric": "f1_micro"}]},
         {"label": {"expression": "array('a')", "kind": "multi_label"}},
         "evaluate.gates.0.against", "no tree for a label of kind multi_label"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused(
    evaluate: dict[str, Any], changed: dict[str, Any], key: str, text: str
) -> None:
    with pytest.raises(RecipeError) as refused:
        read(evaluate, **changed)
    assert any(key in line and text in line for line in str(refused.value).splitlines())


def test_gates_that_are_left_out_are_not_those_of_an_empty_list() -> None:
    assert read({}).evaluate.gates is None
    assert read({"gates": []}).evaluate.gates == []
    assert read({"gates": [], "references": []}).evaluate.references == []
    assert len(read({"gates": [TREE, CONSTANT]}).evaluate.gates) == 2

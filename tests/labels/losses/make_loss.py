"""Make losses and labels as recipes and datasets have them."""

from typing import Any

from headrace.labels.losses.kinds import parse_loss
from headrace.labels.spec import LabelSpec

CLASSES = ("a", "b", "c", "d")
UNIT = {"center": 5.0, "scale": 10.0}
"""Of a standardized label."""


def make_label(label_kind: str, loss: str | dict[str, Any], **options: Any) -> LabelSpec:
    """Return a label with a loss, which is given by its kind or by all of its keys."""
    tree = {"kind": loss} if isinstance(loss, str) else loss
    if label_kind in ("classes", "multi_label"):
        options = {"classes": CLASSES, **options}
    return LabelSpec(kind=label_kind, **options).with_loss(parse_loss(tree))

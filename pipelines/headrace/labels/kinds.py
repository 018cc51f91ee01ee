"""List the kinds of label. A new kind is a module beside this one and a line here."""

from typing import TYPE_CHECKING, Literal

from headrace.labels.binary import Binary
from headrace.labels.classes import Classes
from headrace.labels.count import Count
from headrace.labels.kind import LabelKind
from headrace.labels.multi_label import MultiLabel
from headrace.labels.regression import Regression

KINDS: dict[str, LabelKind] = {
    kind.name: kind for kind in (Binary(), Classes(), MultiLabel(), Regression(), Count())
}
"""Kinds by name, in the order in which documents list them."""


if TYPE_CHECKING:
    KindName = str
    ValidationMetric = str
else:
    KindName = Literal[tuple(KINDS)]
    """A kind's name, as pydantic checks it."""
    ValidationMetric = Literal[
        tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.validation_metrics))
    ]
    """A metric that is computed after every epoch, of any kind."""


def is_lower_better(metric: str) -> bool:
    """Return whether lower values of a metric are better; `loss` is one of every kind."""
    directions = (kind.metrics.get(metric) for kind in KINDS.values())
    return metric == "loss" or "lower" in directions


def find_label_kind(name: str) -> LabelKind:
    """Return the kind of this name; recipes and specs are validated to name one that exists."""
    return KINDS[name]

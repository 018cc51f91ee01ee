"""List the losses. A new one is a module beside this one and a line here."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from headrace.errors import Problem
from headrace.labels.losses.custom import OwnLoss
from headrace.labels.losses.focal import Focal
from headrace.labels.losses.huber import Huber
from headrace.labels.losses.loss import WHERE, Loss
from headrace.labels.losses.quantile import AbsoluteError, Quantile
from headrace.labels.losses.standard import CrossEntropy, Poisson, SquaredError

LOSSES: tuple[type[Loss], ...] = (
    CrossEntropy, Focal, SquaredError, AbsoluteError, Huber, Quantile, Poisson, OwnLoss,
)  # fmt: skip
"""Losses, in the order in which documents list them."""

OWN_LOSSES = {
    "binary": "cross_entropy",
    "classes": "cross_entropy",
    "multi_label": "cross_entropy",
    "regression": "squared_error",
    "count": "poisson",
}
"""Kind of label -> the loss that it has where the recipe names none."""

if TYPE_CHECKING:
    AnyLoss = Loss
else:
    AnyLoss = Annotated[reduce(or_, LOSSES), Field(discriminator="kind")]
    """Any loss, told by its `kind`, as pydantic checks it."""


def resolve_loss(loss: Loss | None, label_kind: str) -> Loss | None:
    """Return the loss of a training; None for the one that the kind of label has by itself."""
    return None if loss is None or loss.kind == OWN_LOSSES[label_kind] else loss


def find_loss_problems(
    loss: Loss | None, label_kind: str, label_smoothing: float = 0.0
) -> list[Problem]:
    """Return why a model cannot be trained with this loss on such a label."""
    if loss is None:
        return []
    if label_kind not in loss.label_kinds:
        fits = [_get_kind(item) for item in LOSSES if label_kind in item.label_kinds]
        fix = f"use {', '.join(fits[:-1])} or {fits[-1]}"
        if isinstance(loss, Poisson) and label_kind == "regression":
            fix += ", or label.kind: count for labels that are 0 or more"
        text = f"{loss.kind} does not fit a label of kind {label_kind}"
        return [Problem(f"{WHERE}.kind", text, fix)]
    problems = loss.find_problems(label_kind)
    if label_smoothing and not loss.takes_smoothing:
        text = f"changes the labels, and loss {loss.kind} gets them as they are"
        problems.append(Problem("train.label_smoothing", text, "remove it"))
    return problems


def parse_loss(tree: Any) -> Loss | None:
    """Return the loss of plain values, of which `model_dump` made them; None for None."""
    adapter: TypeAdapter[Loss | None] = TypeAdapter(AnyLoss | None)
    return adapter.validate_python(tree)


def describe_loss(loss: Loss | None, folder: str = "") -> dict[str, Any]:
    """Return what a model records of its loss: `loss`, and `loss_source` of the user's own.

    Args:
        loss: of `resolve_loss`; the record is empty where it is None, as that of older models.
        folder: of the recipe's file; "" where it is on the module path already.

    Raises:
        RecipeError: the module of the user's own loss is not found.
    """
    if loss is None:
        return {}
    source = {"loss_source": loss.compute_digest(folder)} if isinstance(loss, OwnLoss) else {}
    return {"loss": loss.model_dump(mode="json"), **source}


def _get_kind(loss: type[Loss]) -> str:
    kind: str = loss.model_fields["kind"].annotation.__args__[0]  # type: ignore[union-attr]
    return kind

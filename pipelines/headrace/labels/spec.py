"""Say what a dataset's label column means once it is fitted; part of `transform.json`."""

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, PrivateAttr

from headrace.labels.kind import LabelKind, RowLosses
from headrace.labels.kinds import KindName, find_label_kind
from headrace.labels.losses.kinds import OWN_LOSSES, resolve_loss
from headrace.labels.losses.loss import Loss


class LabelSpec(BaseModel):
    """The meaning of the dataset's `label` column, and of a model's output for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KindName = "binary"
    """One of `kinds.KINDS`, which says what the column holds."""
    classes: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    weighted: bool = False
    """Whether rows carry `sample_weight` (float32, 0 or more), by which losses are multiplied."""
    baseline: bool = False
    """Whether rows carry `baseline` (float32, in the label's own unit, not standardized): what one
    would predict without a model."""

    # Of the training and not of the dataset: no file may name a loss, which may run code.
    _loss: Loss | None = PrivateAttr(None)
    # Of an evaluation.
    _cutoffs: tuple[int, ...] = PrivateAttr(())

    @property
    def definition(self) -> LabelKind:
        """Return the definition of the kind, which knows all that depends on it."""
        return find_label_kind(self.kind)

    @property
    def array(self) -> tuple[str, tuple[int, ...]]:
        """Return the dtype of labels in a dataset, and the shape of one row's label."""
        return self.definition.dtype, self.definition.get_label_shape(self)

    @property
    def has_threshold(self) -> bool:
        """Return whether a probability becomes a prediction by a threshold."""
        return self.definition.has_threshold

    # --- lists ------------------------------------------------------------------------------------
    def with_cutoffs(self, cutoffs: Sequence[int]) -> "LabelSpec":
        """Return the label of rows whose lists are measured at these places; see `ranking`."""
        label = self.model_copy()
        label._cutoffs = tuple(dict.fromkeys(cutoffs))
        return label

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Return the places at which lists are measured; none where there are no lists."""
        return self._cutoffs

    # --- the loss ---------------------------------------------------------------------------------
    def with_loss(self, loss: Loss | None) -> "LabelSpec":
        """Return the label of a model that is trained with this loss; None for its kind's own."""
        label = self.model_copy()
        label._loss = resolve_loss(loss, self.kind)
        return label

    @property
    def loss(self) -> Loss | None:
        """Return the loss that the model is trained with; None for what its kind has by itself."""
        return self._loss

    def describe_loss(self) -> str:
        """Return the loss in words: its kind, and its keys."""
        if self.loss is None:
            return OWN_LOSSES[self.kind]
        keys = self.loss.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
        return ", ".join([self.loss.kind, *(f"{key} {value}" for key, value in keys.items())])

    @property
    def main_metric(self) -> str:
        """Return the metric that orders slices and features where the recipe names none."""
        kind = self.definition
        return self.loss.choose_main_metric(kind) if self.loss else kind.main_metric

    @property
    def validation_metrics(self) -> tuple[str, ...]:
        """Return the metrics that are computed after every epoch and plotted."""
        kind = self.definition
        return self.loss.list_validation_metrics(kind) if self.loss else kind.validation_metrics

    @property
    def tagged_metrics(self) -> tuple[str, ...]:
        """Return the metrics that become tags of an evaluated model version."""
        own = (self.loss.metric, self.loss.d2) if self.loss else ()
        return (*self.definition.tagged_metrics, *(name for name in own if name))

    def make_row_losses(self, label_smoothing: float = 0.0) -> RowLosses:
        """Return the function from labels and logits to a loss per row, by loss or kind."""
        kind = self.definition
        if self.loss is None:
            return kind.make_row_losses(label_smoothing)
        return self.loss.make_row_losses(kind, self, label_smoothing)

    def compute_mean_loss(self, predicted: np.ndarray, truth: np.ndarray) -> float:
        """Return the loss from predictions, the mean over rows; see `LabelKind`."""
        return float(np.mean(self.compute_row_losses(predicted, truth)))

    def compute_row_losses(self, predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return the loss of each row from predictions; see `LabelKind.compute_own_losses`."""
        kind = self.definition
        if self.loss is None:
            return kind.compute_own_losses(predicted, truth)
        return self.loss.compute_row_losses(predicted, truth, kind, self)

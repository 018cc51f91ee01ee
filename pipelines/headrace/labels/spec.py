"""Say what a dataset's label column means once it is fitted; part of `transform.json`."""

from pydantic import BaseModel, ConfigDict

from headrace.labels.kind import LabelKind
from headrace.labels.kinds import KindName, find_label_kind


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

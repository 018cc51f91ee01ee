"""Call a loss of the user's own, by a function that the recipe names."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from headrace.errors import ModelError
from headrace.labels.kind import FittedLabel, Form, LabelKind, RowLosses
from headrace.labels.losses.loss import WHERE, Loss
from headrace.user_function import PATTERN, compute_source_digest, import_function

if TYPE_CHECKING:
    import tensorflow as tf

_ROWS_PER_CALL = 65_536


class OwnLoss(Loss):
    """A loss of your own: `function(labels, outputs, **options)` gives a loss per row.

    It gets float32 tensors as the registered model and the label have them, numbers in the label's
    own unit, and is called in a graph: write tf.where, not if.
    """

    kind: Literal["python"]
    function: Annotated[str, Field(pattern=PATTERN)]
    """`module:function`; the module lies beside the recipe, in the working directory or on
    PYTHONPATH of every rank. A training is resumed, and a model evaluated, with the same file
    only."""
    options: dict[str, Any] = {}

    label_kinds = ("binary", "classes", "multi_label", "regression", "count")
    metric = "loss"
    may_be_undefined = True

    def compute_digest(self, folder: str = "") -> str:
        """Return the SHA-256 of the file with the function; see `compute_source_digest`."""
        return compute_source_digest(self.function, f"{WHERE}.function", folder)

    def make_row_losses(
        self, kind: LabelKind, label: FittedLabel, label_smoothing: float = 0.0
    ) -> RowLosses:
        """Return the function, which is given the model's output instead of logits.

        Raises:
            RecipeError: there is no such function.
        """
        call, activate = self._prepare_call(), _make_activation(kind)

        def compute_row_losses(labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
            return call(*_convert_unit(labels, activate(logits), kind, label))

        return compute_row_losses

    def compute_row_losses(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss per row, float64; numbers are converted to their own unit."""
        return self._call_with_rows(*_convert_unit(truth, predicted, kind, label))

    def measure_rows(
        self, predicted: np.ndarray, truth: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the loss per row, float64.

        Raises:
            ModelError: it is not finite.
        """
        losses = self._call_with_rows(truth, predicted)
        bad = int((~np.isfinite(losses)).sum())
        if bad:
            raise ModelError(
                f"{self.function} gives a loss that is not finite for {bad:,} of {len(losses):,} "
                "rows, so that its mean says nothing; keep logarithms and divisors from 0"
            )
        return losses

    def predict_constant(
        self, truth: np.ndarray, weight: np.ndarray, kind: LabelKind, label: FittedLabel
    ) -> np.ndarray:
        """Return the constant of the label's kind: nothing is known of this loss."""
        return kind.predict_own_constant(truth, weight, label)

    def _call_with_rows(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Call the function with arrays, some thousand rows at a time."""
        import tensorflow as tf

        call = self._prepare_call()
        integer = np.issubdtype(truth.dtype, np.integer)
        labels = truth.astype(np.int32 if integer else np.float32)
        outputs = predicted.astype(np.float32)
        parts = [
            call(
                tf.constant(labels[i : i + _ROWS_PER_CALL]),
                tf.constant(outputs[i : i + _ROWS_PER_CALL]),
            ).numpy()
            for i in range(0, len(labels), _ROWS_PER_CALL)
        ]
        return np.concatenate(parts).astype(np.float64)

    def _prepare_call(self) -> Callable[[Any, Any], Any]:
        """Return the user's function, as a function of labels and outputs alone."""
        import tensorflow as tf

        function = import_function(self.function, f"{WHERE}.function")

        def call(labels: "tf.Tensor", outputs: "tf.Tensor") -> "tf.Tensor":
            return tf.cast(function(labels, outputs, **self.options), tf.float32)

        return call


def _make_activation(kind: LabelKind) -> Callable[[Any], Any]:
    """Return the function from logits to the model's output."""
    import tensorflow as tf

    activations: dict[str, Callable[[Any], Any]] = {
        "sigmoid": tf.sigmoid,
        "softmax": tf.nn.softmax,
        "exponential": tf.exp,
        "linear": tf.identity,
    }
    return activations[kind.activation]


def _convert_unit(
    labels: Any, outputs: Any, kind: LabelKind, label: FittedLabel
) -> tuple[Any, Any]:
    """Return labels and outputs, tensors or arrays, in the label's own unit."""
    if kind.form is not Form.NUMBER:
        return labels, outputs
    return labels * label.scale + label.center, outputs * label.scale + label.center

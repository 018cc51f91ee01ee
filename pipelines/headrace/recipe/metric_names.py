"""The metrics of an evaluation by the label's kind, and which way is better."""

from typing import Literal

Direction = Literal["higher", "lower"]

_OF_CLASSES = ("accuracy", "roc_auc_ovr", "top_2", "top_3", "top_5")
_OF_LABELS = ("exact_match", "roc_auc_macro", "roc_auc_micro", "pr_auc_macro", "pr_auc_micro")
_SHARED = tuple(
    f"{name}_{average}"
    for average in ("macro", "micro", "weighted")
    for name in ("precision", "recall", "f1")
)
_LOSSES = ("log_loss", "brier", "calibration_error")
_ERRORS = (
    "mse", "half_mse", "rmse", "mae", "mape", "median_absolute_error", "absolute_error_p90",
    "absolute_error_p95", "absolute_error_p99", "largest_error", "mae_over_baseline",
)  # fmt: skip


def _directions(higher: tuple[str, ...], lower: tuple[str, ...]) -> dict[str, Direction]:
    return {**dict.fromkeys(higher, "higher"), **dict.fromkeys(lower, "lower")}


DIRECTIONS: dict[str, dict[str, Direction]] = {
    "binary": _directions(
        ("roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", *_SHARED), _LOSSES
    ),
    "classes": _directions((*_OF_CLASSES, *_SHARED), _LOSSES),
    "multi_label": _directions((*_OF_LABELS, *_SHARED), ("hamming_loss", *_LOSSES)),
    "regression": _directions(("r2",), _ERRORS),
}
"""Label kind -> metrics that can be compared."""

MAIN: dict[str, str] = {
    "binary": "roc_auc",
    "classes": "accuracy",
    "multi_label": "f1_micro",
    "regression": "mae",
}
"""By which slices and features are ordered where the recipe names none."""

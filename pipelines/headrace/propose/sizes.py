"""Choose the sizes of network and training by the number of rows: a short start, not tuned."""

import math
from dataclasses import dataclass
from typing import Any

from headrace.labels.kinds import find_label_kind
from headrace.propose.label import ProposedKind

# Rows of all epochs together, about: the more rows there are, the fewer epochs.
_TOTAL_TRAINED_ROWS = 4_000_000
_MAX_EPOCHS, _MIN_EPOCHS = 100, 3
# Steps per epoch, about, and rows per step. A power of two from 16 on can be divided into as many
# canonical shards as 2, 4, 8 or 16 ranks need.
_STEPS_PER_EPOCH, _MIN_BATCH_SIZE, _MAX_BATCH_SIZE = 50, 16, 2048
_MAX_IMAGE_EPOCHS = 30
_MIN_PATIENCE, _MAX_PATIENCE = 2, 15


@dataclass(frozen=True)
class _Size:
    """What is proposed for a number of train rows up to `rows`."""

    rows: float
    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float


# Small tables take few steps per epoch, so each of them is larger; chosen on the tables of
# docs/init-results.md.
_SIZES = (
    _Size(2_000, (32,), 0.1, 0.005),
    _Size(20_000, (64, 32), 0.1, 0.003),
    _Size(math.inf, (128, 64), 0.1, 0.002),
)


def build_model_section(rows: int, *, has_image: bool = False) -> dict[str, Any]:
    """Return the recipe's section `model`.

    Args:
        rows: train rows.
        has_image: whether one of the features is an image.
    """
    if has_image:
        return {"kind": "cnn", "filters": [32, 64], "hidden": [64], "dropout": 0.3}
    size = _choose_size(rows)
    return {
        "kind": "mlp",
        "hidden": list(size.hidden),
        "dropout": size.dropout,
        "embedding_width": 8,
    }


def _choose_size(rows: int) -> _Size:
    return next(size for size in _SIZES if rows <= size.rows)


def build_train_section(rows: int, *, has_image: bool = False) -> dict[str, Any]:
    """Return the recipe's section `train`; see `build_model_section`."""
    batch = _MIN_BATCH_SIZE
    while batch < _MAX_BATCH_SIZE and batch * 2 * _STEPS_PER_EPOCH <= rows:
        batch *= 2
    epochs = max(_MIN_EPOCHS, min(_MAX_EPOCHS, _TOTAL_TRAINED_ROWS // max(1, rows)))
    # A quarter of the epochs without a better one; images need fewer than small tables do.
    epochs = min(epochs, _MAX_IMAGE_EPOCHS) if has_image else epochs
    patience = max(_MIN_PATIENCE, min(_MAX_PATIENCE, epochs // 4))
    rate = 0.001 if has_image else _choose_size(rows).learning_rate
    return {
        "epochs": epochs,
        "global_batch_size": batch,
        "ranks": "auto",
        "seed": 1,
        "optimizer": {"kind": "adam", "learning_rate": rate},
        "early_stopping": {"metric": "loss", "patience": patience},
    }


def propose_gate(kind: ProposedKind) -> dict[str, Any]:
    """Return an example of a gate for a kind of label."""
    return {"kind": "metric", **find_label_kind(kind).example_gate}

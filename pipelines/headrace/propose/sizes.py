"""Sizes of network and training by the number of rows: a start that ends soon, nothing tuned."""

from typing import Any

from headrace.propose.label import LabelKind

# Rows that are trained on in all, about: epochs are fewer the more rows there are.
_ROWS_TRAINED = 3_000_000
_MOST_EPOCHS, _LEAST_EPOCHS = 30, 3
# Steps of an epoch, about, and rows of a step. Powers of two of 16 or more can be cut into as many
# canonical shards as 2, 4, 8 or 16 ranks divide.
_STEPS, _LEAST_BATCH, _MOST_BATCH = 50, 16, 2048
_LAYERS = ((2_000, [16], 0.2), (20_000, [32, 16], 0.2))
_LARGE = ([128, 64], 0.2)


def model_section(rows: int) -> dict[str, Any]:
    """The network for so many train rows."""
    for most, hidden, dropout in _LAYERS:
        if rows <= most:
            return {"kind": "mlp", "hidden": hidden, "dropout": dropout, "embedding_width": 8}
    return {"kind": "mlp", "hidden": _LARGE[0], "dropout": _LARGE[1], "embedding_width": 8}


def train_section(rows: int) -> dict[str, Any]:
    """The training on so many rows."""
    batch = _LEAST_BATCH
    while batch < _MOST_BATCH and batch * 2 * _STEPS <= rows:
        batch *= 2
    epochs = max(_LEAST_EPOCHS, min(_MOST_EPOCHS, _ROWS_TRAINED // max(1, rows)))
    return {
        "epochs": epochs,
        "global_batch_size": batch,
        "ranks": 2,
        "seed": 1,
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "early_stopping": {"metric": "loss", "patience": max(2, min(5, epochs // 3))},
    }


def gate(kind: LabelKind) -> dict[str, Any]:
    """An example of a gate."""
    metrics = {
        "binary": {"metric": "roc_auc", "at_least": 0.7},
        "classes": {"metric": "accuracy", "at_least": 0.7},
        "regression": {"metric": "r2", "at_least": 0.3},
    }
    return {"kind": "metric", **metrics[kind]}

"""Choose the sizes of network and training by the number of rows: a short start, not tuned."""

from typing import Any

from headrace.labels.kinds import find_label_kind
from headrace.propose.label import ProposedKind

# Rows of all epochs together, about: the more rows there are, the fewer epochs.
_TOTAL_TRAINED_ROWS = 3_000_000
_MAX_EPOCHS, _MIN_EPOCHS = 30, 3
# Steps per epoch, about, and rows per step. A power of two from 16 on can be divided into as many
# canonical shards as 2, 4, 8 or 16 ranks need.
_STEPS_PER_EPOCH, _MIN_BATCH_SIZE, _MAX_BATCH_SIZE = 50, 16, 2048
_NETWORKS = ((2_000, [16], 0.2), (20_000, [32, 16], 0.2))
_LARGE_NETWORK = ([128, 64], 0.2)


def build_model_section(rows: int) -> dict[str, Any]:
    """Return the recipe's section `model` for this number of train rows."""
    for most, hidden, dropout in _NETWORKS:
        if rows <= most:
            return {"kind": "mlp", "hidden": hidden, "dropout": dropout, "embedding_width": 8}
    return {
        "kind": "mlp",
        "hidden": _LARGE_NETWORK[0],
        "dropout": _LARGE_NETWORK[1],
        "embedding_width": 8,
    }


def build_train_section(rows: int) -> dict[str, Any]:
    """Return the recipe's section `train` for this number of train rows."""
    batch = _MIN_BATCH_SIZE
    while batch < _MAX_BATCH_SIZE and batch * 2 * _STEPS_PER_EPOCH <= rows:
        batch *= 2
    epochs = max(_MIN_EPOCHS, min(_MAX_EPOCHS, _TOTAL_TRAINED_ROWS // max(1, rows)))
    return {
        "epochs": epochs,
        "global_batch_size": batch,
        "ranks": 2,
        "seed": 1,
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "early_stopping": {"metric": "loss", "patience": max(2, min(5, epochs // 3))},
    }


def propose_gate(kind: ProposedKind) -> dict[str, Any]:
    """Return an example of a gate for a kind of label."""
    return {"kind": "metric", **find_label_kind(kind).example_gate}

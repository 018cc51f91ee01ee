"""Synchronize the ranks of a new generation: all adopt the state of the most advanced rank.

A step is a collective, and yet one rank may have completed it when another one failed in it.
Nothing that one of the ranks still has is lost: losing a rank costs the step in progress.
"""

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.recipe import sections as s
from headrace.train.row_optimizer import AnyOptimizer
from headrace.train.state import TrainState
from headrace.train.variables import list_whole_variables


def find_most_advanced_rank(
    state: TrainState | None, steps_per_epoch: int, accumulate: int, collectives: Collectives
) -> int | None:
    """Return the rank that made the most progress; None where all are new.

    Args:
        state: of this rank, after an update; None where the rank is new.
        steps_per_epoch: global batches of an epoch.
        accumulate: steps of an update.
        collectives: the ranks of this generation.
    """
    if collectives.generation == 0:
        return None
    updates = -1 if state is None else state.count_updates(steps_per_epoch, accumulate)
    # An epoch that was validated is more advanced than one of which all steps were taken.
    validated = 0 if state is None else state.epochs_run
    progress = collectives.allgather(np.array([[updates, validated]], np.int64)).tolist()
    most_advanced = max(range(collectives.size), key=lambda rank: progress[rank])
    return most_advanced if progress[most_advanced][0] >= 0 else None


def broadcast_state(
    state: TrainState | None,
    root: int,
    model: keras.Model,
    optimizer: AnyOptimizer,
    early_stopping: s.EarlyStopping | None,
    collectives: Collectives,
) -> TrainState:
    """Broadcast one rank's state, weights and optimizer to all ranks.

    Args:
        state: of this rank; only that of `root` counts.
        root: the rank that the others follow.
        model, optimizer: of this rank; their variables are assigned.
        early_stopping: the recipe's section.
        collectives: the ranks of this generation.

    Returns:
        The state of `root`.
    """
    shared = None
    if collectives.rank == root and state is not None:
        shared = {"state": state.to_json(), "best_weights": state.best_weights}
    shared = collectives.broadcast_object(shared, root)
    collectives.broadcast_variables(list_whole_variables(model, optimizer).all, root)
    root_state = TrainState.from_json(shared["state"], early_stopping)
    root_state.best_weights = shared["best_weights"]
    return root_state

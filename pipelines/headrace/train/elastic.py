"""What ranks do that meet again, some of them new: go on from the one that is farthest.

A step is taken by all ranks or by none, and yet one may have taken it when another one failed in
it. Nothing that is in one of the ranks is lost: a lost rank costs the step that was under way.
"""

import keras
import numpy as np

from headrace.distributed.rank.collectives import Collectives
from headrace.recipe import sections as s
from headrace.train.state import TrainState


def farthest_rank(
    state: TrainState | None, steps: int, accumulate: int, collectives: Collectives
) -> int | None:
    """The rank that is farthest; None where all are new.

    Args:
        state: of this rank, after an update; None where it is new.
        steps: of an epoch.
        accumulate: steps of an update.
        collectives: the ranks that there are now.
    """
    if collectives.generation == 0:
        return None
    mine = -1 if state is None else state.updates(steps, accumulate)
    # An epoch that was judged is farther than one of which all steps were taken.
    judged = 0 if state is None else state.epochs_run
    known = collectives.gather(np.array([[mine, judged]], np.int64)).tolist()
    farthest = max(range(collectives.size), key=lambda rank: known[rank])
    return farthest if known[farthest][0] >= 0 else None


def take_over(
    state: TrainState | None,
    rank: int,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    early_stopping: s.EarlyStopping | None,
    collectives: Collectives,
) -> TrainState:
    """Have all ranks where one of them is.

    Args:
        state: of this rank; looked at on that one only.
        rank: that one.
        model, optimizer: of this rank, which are given that one's values.
        early_stopping: the recipe's.
        collectives: the ranks that there are now.

    Returns:
        that rank's state.
    """
    shared = None
    if collectives.rank == rank and state is not None:
        shared = {"state": state.to_json(), "kept": state.kept}
    shared = collectives.broadcast_object(shared, rank)
    collectives.broadcast_variables([*model.weights, *optimizer.variables], rank)
    found = TrainState.from_json(shared["state"], early_stopping)
    found.kept = shared["kept"]
    return found

"""Run the training of one rank, generation by generation: the function that launchers call.

What a generation does is the business of `rank_training.py`.
"""

from contextlib import ExitStack
from typing import Any

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.peer_loss import find_peer_loss, is_peer_loss
from headrace.progress import Report
from headrace.train.loop import RanksChangeError
from headrace.train.rank_training import RankTraining


def train_rank(payload: dict[str, Any], collectives: Collectives, report: Report) -> dict[str, Any]:
    """Train on this rank, in as many generations of ranks as it takes.

    Args:
        payload: see `run.train`.
        collectives: the ranks.
        report: called with progress.

    Returns:
        On rank 0 what `run.train` reads, on the other ranks nothing.
    """
    with ExitStack() as stack:
        training = RankTraining(payload, collectives, report, stack)
        is_together = True
        while True:
            try:
                if not is_together:
                    collectives.join_next_generation()
                training.train_epochs()
                return training.finish_training()
            except Exception as error:
                is_peer_lost = isinstance(error, RanksChangeError) or is_peer_loss(error)
                if not (collectives.is_elastic and is_peer_lost):
                    raise
                if loss := find_peer_loss(error):  # the launcher sees only that it has left
                    print(f"a peer is lost: {loss}", flush=True)
                training.rewind_to_last_update()
                is_together = False

"""Build the collectives that a task names, and import nothing of the others."""

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.member_collectives import MemberCollectives
from headrace.distributed.rank.membership import Membership
from headrace.distributed.task import RankTask
from headrace.errors import RankError


def build_collectives(
    task: RankTask, membership: Membership, heartbeat: Heartbeat
) -> MemberCollectives:
    """Wait for the rank's first slot, and connect it to the other ranks.

    Args:
        task: names the kind, and how long a rank waits for one that is gone.
        membership, heartbeat: of this rank.

    Raises:
        RankError: there is no such kind.
    """
    if task.collectives == "horovod":
        from headrace.distributed.rank.horovod_collectives import HorovodCollectives

        return HorovodCollectives(membership, heartbeat)
    if task.collectives == "tensorflow":
        from headrace.distributed.rank.tensorflow_collectives import TensorFlowCollectives

        return TensorFlowCollectives(
            membership, heartbeat, task.collective_timeout, task.threads_per_rank
        )
    raise RankError(
        f"this rank is to use collectives {task.collectives!r}, and it knows horovod and "
        "tensorflow; is headrace of one version on all hosts?"
    )

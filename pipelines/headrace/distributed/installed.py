"""Tell whether what ranks communicate by is installed, without importing it."""

from headrace.extras import BUILD_HOROVOD, ExtraError, find_horovod_obstacle


def check_collectives(collectives: str, ranks: int) -> None:
    """Check that ranks can communicate; a single one has nobody to communicate with.

    Args:
        collectives: kind of the ranks' collectives, see `task.RankTask`.
        ranks: the largest number of them.

    Raises:
        ExtraError: Horovod is wanted, and is not installed or was built without TensorFlow; it says
            what to do.
    """
    if collectives == "horovod" and ranks > 1 and (obstacle := find_horovod_obstacle()):
        raise ExtraError(
            f"{ranks} ranks are to communicate by Horovod: {obstacle}; run: {BUILD_HOROVOD}; "
            "or set train.collectives: tensorflow, or train.ranks: 1"
        )

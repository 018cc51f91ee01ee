"""Open a dataset version on all ranks: rank 0 reads its record, and the others get it from there.

A version of a thousand nights names a million files. Read by every rank, it would be fetched from
the store as often as there are ranks, and the log with it.
"""

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.rank.peer_loss import is_peer_loss
from headrace.lake.version import DatasetVersion


def open_shared_dataset(root: str, version: int | None, collectives: Collectives) -> DatasetVersion:
    """Open a dataset version; all ranks of the first generation call this together.

    A rank that joins a later generation reads for itself, as does one that lost rank 0 meanwhile.

    Args:
        root: the dataset's folder or URL.
        version: the version, the newest by default.
        collectives: of the ranks.

    Raises:
        as `DatasetVersion.open`, on every rank.
    """
    if collectives.size == 1 or collectives.generation > 0:
        return DatasetVersion.open(root, version)
    dataset, packed = None, None
    try:
        if collectives.rank == 0:
            dataset = DatasetVersion.open(root, version)
            packed = dataset.pack()
    finally:  # the others do not wait for a rank that failed, and say themselves why
        try:
            packed = collectives.broadcast_object(packed)
        except Exception as error:
            if not (collectives.is_elastic and is_peer_loss(error)):
                raise
    if dataset is not None:
        return dataset
    return DatasetVersion.open(root, version) if packed is None else DatasetVersion.unpack(packed)

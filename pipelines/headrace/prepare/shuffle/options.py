"""What the tasks of the first job need to know."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.prepare.shuffle.partitioner import Layout
from headrace.source.late_materialization import Late
from headrace.source.partition_index import Places
from headrace.transform.fit import Unfitted

if TYPE_CHECKING:
    from pyspark import Broadcast

SPREAD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Gathering:
    """What the tasks of the first job need to know.

    Attributes:
        unfitted: what is to be learnt.
        checks: how many checks there are.
        layout: the targets where rows of one key meet, and the data files that they go to.
        seed: of the order of rows.
        places: source partitions of the rows.
        duplicates: where to say which rows lost against a row of another source partition.
        learn: whether statistics are made; not where the transform is there already.
        late: what the tasks read themselves.
        kept: raw columns that are published as they are.
    """

    unfitted: Unfitted
    checks: int
    layout: Layout
    seed: int
    places: Places
    duplicates: str
    learn: bool = True
    late: "Broadcast[Late] | None" = None
    kept: tuple[str, ...] = ()

    @property
    def carried(self) -> list[str]:
        """Raw columns that the rows have."""
        return list(dict.fromkeys([*self.unfitted.raw, *self.kept]))

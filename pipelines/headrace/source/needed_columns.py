"""Say which columns of a table are needed, and of which types they may be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.schema import ColumnType

_ANY = frozenset(ColumnType)


@dataclass(frozen=True)
class NeededColumns:
    """The columns of a table that a recipe uses.

    Attributes:
        types: column -> types that all that use it accept, in order.
        words: of SQL expressions, any of which may be a column.
    """

    types: Mapping[str, frozenset[ColumnType]]
    words: frozenset[str] = field(default_factory=frozenset)

    @staticmethod
    def from_names(names: Iterable[str]) -> "NeededColumns":
        """Return columns of any type."""
        return NeededColumns(dict.fromkeys(names, _ANY))

    @property
    def all_names(self) -> frozenset[str]:
        """Return all names that may be columns of the table."""
        return frozenset(self.types) | self.words

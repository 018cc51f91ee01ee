"""What a dataset version's columns look like: counts and distributions a split, as plain values.

Made while the rows are written, so that it is of the published rows exactly; kept in the build's
sidecar, for the report, for people who compare versions, and for drift.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RawColumnProfile(_Frozen):
    """A raw column in the published rows."""

    name: str
    kind: str
    missing: dict[str, int]
    """Rows a split where it is missing."""


class Distribution(_Frozen):
    """How the values of a dataset column are distributed, a split beside the other."""

    name: str
    kind: Literal["numbers", "ids"]
    edges: tuple[float, ...] = ()
    """Of numbers: limits of the bins; the first and the last bin take what lies beyond."""
    labels: tuple[str, ...] = ()
    """Of ids: missing, unknown, the most frequent values, and other values."""
    counts: dict[str, tuple[int, ...]]
    """Split -> values in each bin, or with each label."""
    unknown: dict[str, int] = {}
    """Of ids of a vocabulary: split -> values that are not in it."""
    quantiles: tuple[float, ...] = ()
    """Of numbers: 0, 1, 5, 25, 50, 75, 95, 99 and 100% of the train split, before scaling."""


class RuleCount(_Frozen):
    """A check and what it found."""

    name: str
    on_violation: str
    rows: int
    """Rows that violate it, whatever else they violate."""
    examples: tuple[str, ...]


class Profile(_Frozen):
    """A build's columns and checks."""

    columns: tuple[RawColumnProfile, ...]
    distributions: tuple[Distribution, ...]
    rules: tuple[RuleCount, ...]

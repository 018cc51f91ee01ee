"""Read what the text of a physical plan says: an operator a line, its children indented below."""

import re

_TREE = re.compile(r"^[\s:+\-]*")
_STAGE = re.compile(r"^\*?\s*(\(\d+\)\s*)?")
# Operators of Spark after which rows are no longer in the order of their files.
_SHUFFLE = re.compile(
    r"(SortMergeJoin|ShuffledHashJoin|CartesianProduct|Window|\w*Exchange\w*|Sort)\b"
)
_FILTER = re.compile(r"\w*Filter\b")
_BROADCAST = "BroadcastExchange"


def keeps_file_order(plan: str) -> bool:
    """Return whether a plan leaves rows in the order of their files.

    >>> keeps_file_order("Project [a#1]\\n+- FileScan parquet [a#1]")
    True
    >>> keeps_file_order("Project [a#1]\\n+- *(1) Sort [a#1 ASC]\\n   +- FileScan parquet")
    False
    """
    return not any(_SHUFFLE.match(name) for _, name in _list_operators(plan))


def filters_rows(plan: str) -> bool:
    """Return whether a plan looks at rows to leave some out, and not at names of folders alone.

    >>> filters_rows("*(1) Filter (x#1 > 2)\\n+- FileScan parquet [x#1]")
    True
    >>> filters_rows("FileScan parquet [x#1] PartitionFilters: [(day#2 = 1)]")
    False
    """
    return any(_FILTER.match(name) for _, name in _list_operators(plan))


def drop_broadcast_sides(plan: str) -> str:
    """Drop the operators that make the broadcast side of a join: the other side's rows, which are
    streamed, stay as they come.

    >>> print(drop_broadcast_sides("Join\\n:- Scan\\n+- BroadcastExchange x\\n   +- Sort"))
    Join
    :- Scan
    """
    kept, within = [], None
    for line in plan.splitlines():
        depth, name = _read_line(line)
        if within is not None and depth > within:
            continue
        within = depth if name.startswith(_BROADCAST) else None
        if within is None:
            kept.append(line)
    return "\n".join(kept)


def _list_operators(plan: str) -> list[tuple[int, str]]:
    return [_read_line(line) for line in plan.splitlines() if line.strip()]


def _read_line(line: str) -> tuple[int, str]:
    """Return how deep an operator is indented, and the line from its name on."""
    tree = _TREE.match(line)
    depth = tree.end() if tree else 0
    return depth, _STAGE.sub("", line[depth:], count=1)

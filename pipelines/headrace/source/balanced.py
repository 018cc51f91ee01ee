"""Combine many columns of Spark two by two, so that none lies deep within others.

Spark Connect hands an expression on as a message within messages, of which some fifty levels are
read: 62 checks in a row were more.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def combine_balanced(items: Sequence[_Item], combine: Callable[[_Item, _Item], _Item]) -> _Item:
    """Combine items in their order, each at the same depth.

    Args:
        items: one at least.
        combine: of two neighbours; associative.

    >>> combine_balanced(["a", "b", "c", "d", "e"], "({}{})".format)
    '(((ab)(cd))e)'
    """
    level = list(items)
    while len(level) > 1:
        pairs = [combine(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]

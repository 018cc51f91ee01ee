"""Join what is wrong with a row into one text, PROBLEMS, on Spark, and split it again in tasks.

The text has a part for every check that the row violates: the position of the check, and what was
wrong, for people. It is null where nothing is.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column

PROBLEM_SEPARATOR = "\x1e"
"""Between two problems of a row."""
REASON_SEPARATOR = "\x1f"
"""Between a check's position and what was wrong."""
_SYMBOLS = "\u241e\u241f"
# A reason may quote a value that has a separator in it; people are shown its symbol.


def join_problems(reasons: "Sequence[tuple[Column, Column]]", first: int = 0) -> "Column":
    """Return PROBLEMS of rows: the problems of the checks that they violate.

    Args:
        reasons: of each check, whether a row violates it, and why.
        first: position of the first of these checks.
    """
    import pyspark.sql.functions as F

    separators = PROBLEM_SEPARATOR + REASON_SEPARATOR
    problems = []
    for position, (violated, reason) in enumerate(reasons, first):
        shown = F.coalesce(F.translate(reason, separators, _SYMBOLS), F.lit("?"))
        problem = F.concat(F.lit(f"{position}{REASON_SEPARATOR}"), shown)
        problems.append(F.when(violated, problem))
    return F.concat_ws(PROBLEM_SEPARATOR, *problems)


def split_problems(text: str) -> list[tuple[int, str]]:
    """Split the PROBLEMS of a row into pairs: position of the check, and what was wrong."""
    pairs = (item.partition(REASON_SEPARATOR) for item in text.split(PROBLEM_SEPARATOR))
    return [(int(number), reason) for number, _, reason in pairs]


def split_rules_and_reasons(
    problems: Sequence[str | None], checks: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """Return the names of the checks that rows violate, and why: a list of texts each.

    Args:
        problems: PROBLEMS of each row.
        checks: names of all checks, by their position.
    """
    rows = [split_problems(text) if text else [] for text in problems]
    texts = pa.list_(pa.string())
    rules = pa.array([[checks[check] for check, _ in row] for row in rows], texts)
    return rules, pa.array([[reason for _, reason in row] for row in rows], texts)

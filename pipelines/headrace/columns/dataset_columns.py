"""Name the columns of a dataset that are no features, and say which names features cannot have."""

import re
from collections.abc import Iterable

ROW_ID = "row_id"
LABEL = "label"
SAMPLE_WEIGHT = "sample_weight"
BASELINE = "baseline"
RESERVED_NAMES = frozenset(
    {ROW_ID, LABEL, SAMPLE_WEIGHT, BASELINE, "split", "weight", "numeric", "categorical"}
)
"""Names that no feature has: columns, the splits' folders, and what a batch holds beside them."""


def name_passthrough_column(column: str) -> str:
    """Return the dataset's name of a raw column that `dataset.keep` passes through."""
    return f"kept_{column}"


def name_raw_columns(columns: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name the columns of a dataset that hold the raw values of features.

    A raw column may be called anything; in a Delta table names have no spaces or brackets, and
    capital letters do not tell them apart.

    Args:
        columns: raw columns.
        taken: other columns of the dataset.

    Returns:
        raw column -> its name in the dataset, each once.
    """
    used = {name.lower() for name in (*taken, *RESERVED_NAMES)}
    names: dict[str, str] = {}
    for column in columns:
        stem = "raw_" + re.sub(r"[^A-Za-z0-9_]", "_", column)
        name, number = stem, 1
        while name.lower() in used:
            number += 1
            name = f"{stem}_{number}"
        used.add(name.lower())
        names[column] = name
    return names

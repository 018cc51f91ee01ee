"""Name the columns of a dataset that are no features, and say which names features cannot have."""

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

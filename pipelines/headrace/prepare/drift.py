"""Compare the rows of a build with those that its transform was fitted on."""

import numpy as np

from headrace.columns.dataset_columns import LABEL
from headrace.columns.histogram import find_with_missing
from headrace.errors import LakeError
from headrace.lake.drift import (
    ColumnDrift,
    describe_drift,
    join_drift,
    measure_id_drift,
    measure_missing_drift,
    measure_number_drift,
    measure_unknown_drift,
)
from headrace.lake.profile import Distribution, Profile
from headrace.recipe import sections as s

_SHOWN = 5


def measure_drift(
    fitted: Profile,
    current: Profile,
    limits: s.Increments,
    rows: int,
    unseen: int = 0,
    *,
    fitted_rows: int,
) -> tuple[ColumnDrift, ...]:
    """Measure the drift of every column, the label included.

    Args:
        fitted: of the build that fitted the transform; its train split is the reference.
        current: of the new rows, all splits.
        limits: largest values that are no drift.
        rows: new rows that are published.
        unseen: new rows that are left out because the transform does not know their class.
        fitted_rows: train rows that fitted the transform.
    """
    references = {item.name: item for item in fitted.distributions}
    measured: list[ColumnDrift | None] = []
    for item in current.distributions:
        reference = references.get(item.name)
        if reference is None:
            continue
        r, f = np.array(reference.counts["train"]), _sum_splits(item)
        if item.kind == "numbers":
            measured.append(measure_number_drift(item.name, r, f, limits.max_psi))
        else:
            measured.append(measure_id_drift(item.name, r, f, limits.max_distance))
        if item.unknown:
            before = (reference.unknown.get("train", 0), int(r.sum()))
            now = (sum(item.unknown.values()), int(f.sum()))
            measured.append(measure_unknown_drift(item.name, before, now, limits.max_unknown))
        if item.name == LABEL and unseen:
            now = (unseen, rows + unseen)
            measured.append(
                measure_unknown_drift(item.name, (0, int(r.sum())), now, limits.max_unknown)
            )
    missing_before = {column.name: column.missing.get("train", 0) for column in fitted.columns}
    missing_now = {column.name: sum(column.missing.values()) for column in current.columns}
    counted = find_with_missing({item.name: item.labels for item in current.distributions})
    measured += measure_missing_drift(
        (missing_before, fitted_rows), (missing_now, rows), limits.max_distance, counted
    )
    return tuple(m for m in measured if m is not None)


def refuse_drift(drift: tuple[ColumnDrift, ...]) -> None:
    """Refuse rows that drifted.

    Raises:
        LakeError: with the columns that drifted.
    """
    lines = describe_drift(drift)
    if lines:
        raise LakeError(
            "the new rows differ from those that the transform was fitted on: "
            f"{join_drift(lines, _SHOWN)}. Nothing was published. Look at the source, raise "
            "the limits in `increments`, or fit again with --refit"
        )


def _sum_splits(item: Distribution) -> np.ndarray:
    """Return the counts of all splits together, of shape (bins,)."""
    return np.array(list(item.counts.values())).sum(axis=0)

"""Reasons to publish nothing, found when the first job has counted and fitted."""

import pyarrow.compute as pc

from headrace.errors import LakeError
from headrace.prepare.shuffle.task_counts import Counts
from headrace.recipe import Recipe
from headrace.source.rules import Check
from headrace.transform.statistics import NumberSummary, TextCounts

_MOST_LABELS = 5000


def refuse_violations(checks: tuple[Check, ...], counts: Counts, read: int) -> None:
    """Refuse a lake that breaks a rule more often than it may.

    Raises:
        LakeError: with every such rule, how many rows, and five examples each.
    """
    broken = []
    for index, check in enumerate(checks):
        rows = counts.violations[index]
        allowed = 0.0 if check.on_violation == "fail" else check.max_fraction
        if rows and allowed is not None and rows > allowed * read:
            limit = "none may" if check.on_violation == "fail" else f"{allowed:.4%} may"
            shown = "; ".join(counts.examples.get(index, []))
            broken.append(
                f"rule {check.name!r}: {rows:,} of {read:,} rows ({rows / read:.4%}) violate it, "
                f"{limit}. For example: {shown}"
            )
    if broken:
        lines = "\n".join(f"  - {line}" for line in broken)
        raise LakeError(f"the lake breaks its rules; nothing was published:\n{lines}")


def refuse_no_train_rows(buckets: dict[str, int], recipe: Recipe) -> None:
    """Raises `LakeError` where nothing is left to train on, with where the rows went."""
    if buckets.get("train"):
        return
    lost = ", ".join(f"{name}: {rows:,}" for name, rows in sorted(buckets.items()) if rows)
    split = recipe.split
    if split.time:
        where = f"split.time ({split.time.column} before {split.time.validation_from})"
    else:
        where = f"split.key ({', '.join(split.key or [])}: all rows with one key share a split)"
    raise LakeError(
        f"no row is left to train on, nothing was published; rows went to {lost or 'nowhere'}. "
        f"Check label.expression ({recipe.label.expression}) and {where}"
    )


def refuse_bad_labels(found: "NumberSummary | TextCounts", recipe: Recipe, rows: int) -> None:
    """Raises `LakeError` where all of the train split's `rows` have one label."""
    where = f"Check label.expression ({recipe.label.expression})"
    if recipe.label.kind == "multi_label":
        assert isinstance(found, TextCounts)
        if found.table.num_rows < 2:
            there = ", ".join(repr(word) for word, _ in found.most_frequent()) or "none"
            raise LakeError(
                "the train split has fewer than two labels, and a label of kind multi_label needs "
                f"two; there is {there}, and nothing was published. {where}"
            )
        if found.table.num_rows > _MOST_LABELS:
            raise LakeError(
                f"the train split has {found.table.num_rows:,} different labels, and a row of a "
                f"dataset has a number for each, {_MOST_LABELS:,} at most; keep those that come "
                f"often, for example with filter(…), and nothing was published. {where}"
            )
        if pc.min(found.table["count"]).as_py() == rows:
            raise LakeError(
                f"every row of the train split ({rows:,}) has every label; there is nothing to "
                f"learn and nothing was published. {where}"
            )
        return
    if isinstance(found, TextCounts):
        if found.table.num_rows < 2:
            (only,) = (word for word, _ in found.most_frequent())
            raise LakeError(
                f"every label of the train split is {only!r} ({found.rows:,} rows); there is "
                f"nothing to learn and nothing was published. {where}"
            )
        return
    low, high = found.limits()
    if low == high:
        shown = {True: ("false", "true")[int(low)]} if recipe.label.kind == "binary" else {}
        raise LakeError(
            f"every label of the train split is {shown.get(True, low)} "
            f"({found.rows:,} rows); there is nothing to learn and nothing was published. {where}"
        )

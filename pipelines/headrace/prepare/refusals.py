"""Refuse to publish for what the first job counted and fitted: violations, no rows, bad labels."""

import pyarrow.compute as pc

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.errors import LakeError
from headrace.labels.kind import LabelSummary
from headrace.labels.kinds import find_label_kind
from headrace.lake.data_file import SPLITS
from headrace.lake.time_boundaries import TimeBoundaries
from headrace.number_text import format_share
from headrace.prepare.assign import BASELINE_MISSING, CROSSING, LABEL_MISSING, TIME_MISSING
from headrace.prepare.shuffle.task_counts import TaskCounts
from headrace.recipe import Recipe
from headrace.recipe.times import format_micros
from headrace.source.rules import Check


def refuse_violations(checks: tuple[Check, ...], counts: TaskCounts, read: int) -> None:
    """Refuse a lake that breaks a rule more often than it may.

    Raises:
        LakeError: with every such rule, how many rows, and five examples each.
    """
    broken = []
    for index, check in enumerate(checks):
        rows = counts.violations[index]
        allowed = 0.0 if check.on_violation == "fail" else check.max_fraction
        if rows and allowed is not None and rows > allowed * read:
            limit = "none may" if check.on_violation == "fail" else f"{format_share(allowed)} may"
            examples = "; ".join(counts.examples.get(index, []))
            broken.append(
                f"rule {check.name!r}: {rows:,} of {read:,} rows ({format_share(rows / read)}) "
                f"violate it, {limit}. For example: {examples}"
            )
    if broken:
        lines = "\n".join(f"  - {line}" for line in broken)
        raise LakeError(f"the lake breaks its rules; nothing was published:\n{lines}")


def refuse_no_train_rows(
    buckets: dict[str, int], recipe: Recipe, boundaries: TimeBoundaries | None = None
) -> None:
    """Refuse rows of which none is left to train on.

    Args:
        buckets: name -> rows that went to it.
        recipe: of the build.
        boundaries: of a split by time that follow from the rows; None for others.

    Raises:
        LakeError: with the buckets that the rows went to.
    """
    if buckets.get("train"):
        return
    filled = {name: rows for name, rows in sorted(buckets.items()) if rows}
    listed = ", ".join(f"{name}: {rows:,}" for name, rows in filled.items()) or "nowhere"
    raise LakeError(
        "no row is left to train on, nothing was published; rows went to "
        f"{listed}. {_advise(filled, recipe, boundaries)}"
    )


def refuse_empty_splits(
    buckets: dict[str, int], recipe: Recipe, boundaries: TimeBoundaries | None
) -> None:
    """Refuse boundaries that follow from the rows and leave a split without any.

    Args:
        buckets: name -> rows that went to it.
        recipe: of the build.
        boundaries: the resolved ones; None where the split is by key or by dates.

    Raises:
        LakeError: validation or test is empty.
    """
    time = recipe.split.time
    empty = [split for split in SPLITS if not buckets.get(split)]
    if boundaries is None or time is None or not empty:
        return
    filled = {name: rows for name, rows in buckets.items() if rows}
    listed = ", ".join(f"{name}: {rows:,}" for name, rows in filled.items())
    fix = "give other shares" if time.has_shares else "give other distances, or shares"
    if buckets.get(CROSSING):
        fix += "; a split has to be longer than a window with its target (source.windows)"
    elif not time.has_shares:
        fix += "; if the newest time is far from all others, reject it by a rule"
    raise LakeError(
        f"split.time ({time.describe()}) leaves {' and '.join(empty)} without rows; nothing was "
        f"published. Column {time.column!r}: {boundaries.describe()}; rows went to {listed}. "
        f"To mend it, {fix}"
    )


def _advise(filled: dict[str, int], recipe: Recipe, boundaries: TimeBoundaries | None) -> str:
    """Say what to look at, by the bucket that most rows went to."""
    largest = max(filled, key=lambda name: filled[name], default="")
    if largest == "malformed":
        table = recipe.source.tables[recipe.source.main]
        more_lines = " (and multiLine: true, where a record has several lines)"
        return f"Check source.tables.{recipe.source.main}.format ({table.format}) and .options" + (
            more_lines if table.format == "json" else " (sep, header, quote, escape, encoding)"
        )
    if largest == LABEL_MISSING:
        return f"Check label.expression ({recipe.label.expression}), which is null for them"
    if largest and largest not in (*SPLITS, BASELINE_MISSING, TIME_MISSING, CROSSING):
        return f"Check the rule or the declared type that they break ({largest})"
    split = recipe.split
    if split.time:
        before = split.time.validation_from or split.time.describe()
        if boundaries is not None and boundaries.newest is not None:
            before = f"{format_micros(boundaries.validation_from)}, from {split.time.describe()}"
            before += f" and the newest row, {format_micros(boundaries.newest)}"
        where = f"split.time ({split.time.column} before {before})"
    else:
        where = f"split.key ({', '.join(split.key or [])}: all rows with one key share a split)"
    return f"Check {where}, and label.expression ({recipe.label.expression})"


def refuse_bad_labels(labels: "NumberSummary | TextCounts", recipe: Recipe, rows: int) -> None:
    """Refuse labels of which nothing can be learnt.

    Args:
        labels: statistics of the train split's labels.
        recipe: says what kind they are.
        rows: rows of the train split.

    Raises:
        LakeError: all rows have one label, or what else the kind of label refuses.
    """
    summary = _summarize_labels(labels, rows)
    problem = find_label_kind(recipe.label.kind).find_label_problem(summary)
    # A log of pairs that belong together has no others: negatives are those of the batch.
    has_pairs = recipe.model.kind == "two_tower" and summary.low > 0
    if problem and not has_pairs:
        raise LakeError(
            f"{problem}; nothing was published. Check label.expression ({recipe.label.expression})"
        )


def _summarize_labels(labels: "NumberSummary | TextCounts", rows: int) -> LabelSummary:
    """Return what a kind of label needs to know about the labels of the train split."""
    if isinstance(labels, TextCounts):
        return LabelSummary(
            rows=rows,
            values=labels.rows,
            distinct=labels.table.num_rows,
            examples=tuple(word for word, _ in labels.list_most_frequent(max_size=2)),
            least_count=pc.min(labels.table["count"]).as_py() or 0,
        )
    low, high = labels.find_limits()
    return LabelSummary(rows=rows, values=labels.rows, low=low, high=high)

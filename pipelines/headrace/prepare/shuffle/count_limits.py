"""Combine the limits of the features that are fitted on one column's text counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from headrace.columns.statistics import TextCounts
from headrace.features.kind import CountLimits
from headrace.features.kinds import find_feature_kind
from headrace.transform.fit import FitInputs
from headrace.transform.summaries import collect_summary_requests


@dataclass(frozen=True)
class CombinedLimits:
    """The text counts of a column that features need.

    Attributes:
        min_counts: of the rarest value, of each feature.
        max_size: how many values; None for all.
        needs_top: whether a feature needs the most frequent values, however many are as frequent.
    """

    min_counts: tuple[int, ...]
    max_size: int | None
    needs_top: bool = False

    @staticmethod
    def for_readers(readers: Sequence[CountLimits | None]) -> "CombinedLimits":
        """Return the limits of all features that use one summary, together.

        Args:
            readers: of each feature; None of one that needs the most frequent value alone.
        """
        limits = [item for item in readers if item is not None]
        sizes = [item.max_size for item in limits]
        largest = None if None in sizes else max((n for n in sizes if n), default=None)
        min_counts = tuple(sorted({item.min_count for item in limits}))
        return CombinedLimits(min_counts, largest, needs_top=None in readers)

    def trim_counts(self, counts: TextCounts) -> TextCounts:
        """Return the counts of the values that are needed."""
        table = counts.table
        if not table.num_rows:
            return counts
        least = self.min_counts[0] if self.min_counts else pc.max(table["count"])
        frequent = table.filter(pc.greater_equal(table["count"], least))
        order = [("count", "descending"), ("value", "ascending")]
        if not frequent.num_rows:  # the most frequent value may stand for missing ones
            return TextCounts(table.sort_by(order).slice(0, 1))
        return TextCounts(frequent.sort_by(order).slice(0, self.max_size))


def find_count_limits(fit_inputs: FitInputs) -> dict[str, CombinedLimits]:
    """Find what features need of every summary that the fit asks for, by its key."""
    readers: dict[str, list[CountLimits | None]] = {
        key: [] for key in fit_inputs.collect_summary_requests()
    }
    for name, section in fit_inputs.features.items():
        limits = find_feature_kind(section).find_count_limits(section)
        for key in collect_summary_requests({name: section}):
            readers[key].append(limits)
    return {key: CombinedLimits.for_readers(items) for key, items in readers.items()}

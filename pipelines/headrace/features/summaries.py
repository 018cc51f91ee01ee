"""Define which summaries of train rows features are fitted on: numbers or counts of a column.

A summary is computed once, however many features need it: equal requests have one key.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.columns.statistics import NumberSummary, TextCounts
from headrace.columns.values import Values
from headrace.features.words import WordSplitter

Limits = tuple[float | None, float | None]
"""Lowest and highest value; None for no limit."""


@dataclass(frozen=True)
class NumberSummaryRequest:
    """A request to summarise a column's numbers, after clipping to fixed limits and log1p."""

    column: str
    clip: Limits = (None, None)
    log1p: bool = False

    @property
    def key(self) -> str:
        """Return a text that is equal for equal requests only."""
        return json.dumps(["numbers", self.column, *self.clip, self.log1p])

    def summarize(self, columns: Mapping[str, Values]) -> NumberSummary:
        """Return the summary of some rows' values, or of all elements of a list column."""
        numbers, missing = prescale_numbers(columns[self.column].scalars, self.clip, self.log1p)
        return NumberSummary.from_numbers(numbers[~missing])


@dataclass(frozen=True)
class TextCountsRequest:
    """A request to count a column's values, a list's elements, or a text's words.

    Attributes:
        column: the column.
        words: how texts are split, where words are counted.
    """

    column: str
    words: WordSplitter | None = None

    @property
    def key(self) -> str:
        """Return a text that is equal for equal requests only."""
        w = self.words
        return json.dumps(["texts", self.column, *([w.lower, w.strip_punctuation] if w else [])])

    def summarize(self, columns: Mapping[str, Values]) -> TextCounts:
        """Return the counts of some rows' texts."""
        values = columns[self.column]
        if self.words is not None and not values.is_list:
            values = self.words.split_values(values)
        return TextCounts.from_values(values.scalars)


SummaryRequest = NumberSummaryRequest | TextCountsRequest


def prescale_numbers(values: Values, clip: Limits, log1p: bool) -> tuple[np.ndarray, np.ndarray]:
    """Clip numbers, then take log1p where asked for; values of -1 and less are then missing.

    Returns:
        the numbers, float64 (n,), and what is missing of them, bool (n,).
    """
    numbers, missing = values.to_float64(), values.missing
    low, high = clip
    if low is not None or high is not None:
        numbers = np.clip(numbers, low, high)
    if log1p:
        missing = missing | (numbers <= -1)
        numbers = np.log1p(np.where(missing, 0.0, numbers))
    return numbers, missing

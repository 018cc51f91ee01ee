"""Summarise columns so that summaries of many tasks add up: moments, quantiles, counts of texts.

No engine: NumPy and pyarrow. Numbers are summarised by bins of equally many sorted values, each
with count, mean, sum of squared deviations and limits. Moments merge exactly (Chan, Golub, LeVeque
1983), also where the mean is large and the spread small; a quantile is exact as long as every bin
holds equal values, and otherwise off by less than one rank in `BINS` of each task's values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.values import Values

# Bins a task sends for a column: ranks are good to 0.1%, and a column costs 40 kB.
BINS = 1024
BYTES_PER_BIN = 40
# Bins that a merge holds: 64 tasks' worth, 2.6 MB per column; beyond, neighbours are joined.
_MOST_BINS = 65_536
# Distinct texts held unmerged while merging; a bound on memory, about 100 bytes each.
_MOST_TEXTS = 4_000_000


@dataclass(frozen=True)
class NumberSummary:
    """Bins of sorted values, by mean; float64 arrays of shape (bins,), `count` int64."""

    count: np.ndarray
    mean: np.ndarray
    m2: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def from_numbers(numbers: np.ndarray) -> "NumberSummary":
        """Summarise float64 values of shape (n,), all finite."""
        values = np.sort(numbers)
        if len(values) > BINS:
            begins = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
            if len(begins) > BINS:
                begins = np.unique(np.arange(BINS) * len(values) // BINS)
        else:
            begins = np.arange(len(values))
        if not len(values):
            empty = np.zeros(0)
            return NumberSummary(np.zeros(0, np.int64), empty, empty, empty, empty)
        ends = np.concatenate([begins[1:], [len(values)]])
        counts = ends - begins
        low, high = values[begins], values[ends - 1]
        with np.errstate(over="ignore", invalid="ignore"):
            # Deviations from the bin's first value: sums of large values would lose the small ones.
            offset = np.add.reduceat(values - np.repeat(low, counts), begins) / counts
            mean = low + offset
            m2 = np.add.reduceat(np.square(values - np.repeat(mean, counts)), begins)
        return NumberSummary(counts, mean, np.where(low == high, 0.0, m2), low, high)

    @property
    def rows(self) -> int:
        """Return how many values were summarised."""
        return int(self.count.sum())

    def clip_values(self, low: float | None, high: float | None) -> "NumberSummary":
        """Return the summary of the clipped values; a bin across a limit goes by its mean."""
        if low is None and high is None:
            return self
        lowest = -math.inf if low is None else low
        highest = math.inf if high is None else high
        outside = (self.mean < lowest) | (self.mean > highest)
        return NumberSummary(
            self.count,
            np.clip(self.mean, lowest, highest),
            np.where(outside, 0.0, self.m2),
            np.clip(self.low, lowest, highest),
            np.clip(self.high, lowest, highest),
        )

    def compute_moments(self) -> tuple[float, float]:
        """Return mean and population standard deviation; 0 and 0 without values."""
        rows = self.rows
        if not rows:
            return 0.0, 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            offset = float(np.sum(self.count * (self.mean - self.mean[0])) / rows)
            mean = float(self.mean[0]) + offset
            m2 = float(np.sum(self.m2 + self.count * np.square(self.mean - mean)))
        return mean, math.sqrt(m2 / rows) if math.isfinite(m2) else math.inf

    def quantile(self, q: float) -> float:
        """Return a quantile, linear between neighbouring ranks as NumPy's; 0 without values.

        The smallest and the largest value are exact, whatever the bins.
        """
        rows = self.rows
        if not rows:
            return 0.0
        if q in (0, 1):
            return self.find_limits()[int(q)]
        last = np.cumsum(self.count) - 1  # the highest rank in each bin
        position = (rows - 1) * q
        below, above = (
            float(self.mean[np.searchsorted(last, rank)])
            for rank in (math.floor(position), math.ceil(position))
        )
        return below + (above - below) * (position - math.floor(position))

    def find_limits(self) -> tuple[float, float]:
        """Return the smallest and the largest value; 0 and 0 without values."""
        return (float(self.low.min()), float(self.high.max())) if self.rows else (0.0, 0.0)

    def to_bytes(self) -> bytes:
        """Return the summary as an Arrow blob."""
        columns = [self.count, self.mean, self.m2, self.low, self.high]
        names = ["count", "mean", "m2", "low", "high"]
        return write_ipc(pa.table([pa.array(c) for c in columns], names=names))

    @staticmethod
    def from_bytes(blob: "bytes | pa.Buffer") -> "NumberSummary":
        """Return the summary that `to_bytes` wrote."""
        return NumberSummary(*(column.to_numpy() for column in read_ipc(blob).columns))

    @staticmethod
    def merge(parts: "Sequence[NumberSummary]") -> "NumberSummary":
        """Merge summaries of disjoint rows; the result is the same whatever their order."""
        columns = [
            np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])
            for name in ("count", "mean", "m2", "low", "high")
        ]
        order = np.lexsort((columns[0], columns[2], columns[4], columns[3], columns[1]))
        whole = NumberSummary(*(column[order] for column in columns))
        return whole._join_bins(_MOST_BINS // 4) if len(whole.mean) > _MOST_BINS else whole

    def limit_bins(self, most: int) -> "NumberSummary":
        """Return the same summary in so many bins at most."""
        return self._join_bins(most) if len(self.mean) > most else self

    def _join_bins(self, most: int) -> "NumberSummary":
        """Join neighbouring bins until so many are left, or fewer."""
        rank = np.cumsum(self.count) - self.count
        group = rank * most // self.rows
        begins = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        sizes = np.diff(np.concatenate([begins, [len(group)]]))
        count = np.add.reduceat(self.count, begins)
        first = self.mean[begins]
        offset = np.add.reduceat(self.count * (self.mean - np.repeat(first, sizes)), begins)
        mean = first + offset / count
        between = self.count * np.square(self.mean - np.repeat(mean, sizes))
        return NumberSummary(
            count,
            mean,
            np.add.reduceat(self.m2 + between, begins),
            np.minimum.reduceat(self.low, begins),
            np.maximum.reduceat(self.high, begins),
        )


@dataclass(frozen=True)
class TextCounts:
    """Counts of texts: an Arrow table `value` string, `count` int64, each text once."""

    table: pa.Table

    @staticmethod
    def from_values(values: Values) -> "TextCounts":
        """Count the values that are not missing; numbers by their decimal text."""
        texts, codes = values.encode_texts()
        counts = np.zeros(0, np.int64)
        if len(texts):
            counts = np.bincount(codes[~values.missing], minlength=len(texts)).astype(np.int64)
        occurring = pa.array(counts > 0)
        table = pa.table({"value": texts, "count": pa.array(counts)}).filter(occurring)
        return TextCounts(table)

    @property
    def rows(self) -> int:
        """Return how many values were counted."""
        return int(pc.sum(self.table["count"]).as_py() or 0)

    def list_most_frequent(
        self, min_count: int = 1, max_size: int | None = None
    ) -> list[tuple[str, int]]:
        """Return texts and counts by descending count, then by ascending bytes."""
        frequent = self.table.filter(pc.greater_equal(self.table["count"], min_count))
        frequent = frequent.sort_by([("count", "descending"), ("value", "ascending")])
        frequent = frequent.slice(0, max_size)
        return list(zip(frequent["value"].to_pylist(), frequent["count"].to_pylist(), strict=True))

    def to_bytes(self) -> bytes:
        """Return the counts as an Arrow blob."""
        return write_ipc(self.table)

    @staticmethod
    def from_bytes(blob: "bytes | pa.Buffer") -> "TextCounts":
        """Return the counts that `to_bytes` wrote."""
        return TextCounts(read_ipc(blob))

    @staticmethod
    def merge(parts: "Sequence[TextCounts]") -> "TextCounts":
        """Add up counts of disjoint rows."""
        if not parts:
            schema = pa.schema([("value", pa.string()), ("count", pa.int64())])
            return TextCounts(schema.empty_table())
        table = pa.concat_tables([part.table for part in parts])
        summed = table.group_by("value").aggregate([("count", "sum")])
        return TextCounts(summed.rename_columns(_name_columns(summed)))


Statistics = dict[str, NumberSummary | TextCounts]
"""Key of a summary request -> its summary."""


class StatisticsMerger:
    """Merge one summary from many tasks as its parts arrive, in bounded memory."""

    def __init__(
        self, kind: "type[NumberSummary] | type[TextCounts]", most_texts: int = _MOST_TEXTS
    ) -> None:
        """
        Args:
            kind: of the summary.
            most_texts: that are held unmerged.
        """
        self._kind, self._most_texts = kind, most_texts
        self._parts: list[Any] = []
        self._pending_size = 0
        self.merged_texts = 0
        """Distinct texts when parts were merged last."""

    def add(self, blob: "bytes | pa.Buffer") -> None:
        """Add the statistics of one task."""
        part = self._kind.from_bytes(blob)
        self._parts.append(part)
        self._pending_size += (
            part.table.num_rows if isinstance(part, TextCounts) else len(part.mean)
        )
        if self._pending_size > self._most_texts:
            merged = self.merge_parts()
            self._parts = [merged]
            self.merged_texts = merged.table.num_rows if isinstance(merged, TextCounts) else 0
            # What cannot be merged any further must not be merged again at once.
            self._pending_size = 0

    def merge_parts(self) -> "NumberSummary | TextCounts":
        """Return the statistics of all tasks so far."""
        merged: NumberSummary | TextCounts = self._kind.merge(self._parts)
        return merged


def round_to_scale(center: float, scale: float) -> tuple[float, float]:
    """Round both to a 2**-30 of the scale, so that row order does not change a transform.

    How rows are distributed to tasks depends on the number of partitions, and float sums depend on
    it in the last bits. A 2**-30 standard deviation is a thousand times under float32's own
    rounding.
    """
    unit = 2.0 ** (math.floor(math.log2(scale)) - 30)
    return round(center / unit) * unit, round(scale / unit) * unit


def write_ipc(table: pa.Table, compression: str | None = "lz4") -> bytes:
    """Return an Arrow table as one blob, its buffers compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def read_ipc(blob: "bytes | pa.Buffer") -> pa.Table:
    """Return the table that `write_ipc` wrote."""
    with pa.ipc.open_stream(blob) as reader:
        return reader.read_all()


def _name_columns(table: pa.Table) -> list[str]:
    return ["value" if name == "value" else "count" for name in table.column_names]

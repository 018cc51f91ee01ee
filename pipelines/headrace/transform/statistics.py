"""Mergeable statistics of columns: what a task knows of its rows, and how tasks' knowledge adds up.

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

from headrace.transform.columns import Values
from headrace.transform.kernels import distinct

# Bins a task sends for a column: ranks are good to 0.1%, and a column costs 40 kB.
BINS = 1024
# Bins that are kept while merging: 64 tasks' worth, 2.6 MB a column; beyond, neighbours are joined.
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
    def of(numbers: np.ndarray) -> "NumberSummary":
        """Summary of float64 values of shape (n,), all finite."""
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
        return int(self.count.sum())

    def clipped(self, low: float | None, high: float | None) -> "NumberSummary":
        """Summary of the clipped values; a bin that a limit cuts goes by its mean."""
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

    def moments(self) -> tuple[float, float]:
        """Mean and population standard deviation; 0 and 0 without values."""
        rows = self.rows
        if not rows:
            return 0.0, 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            offset = float(np.sum(self.count * (self.mean - self.mean[0])) / rows)
            mean = float(self.mean[0]) + offset
            m2 = float(np.sum(self.m2 + self.count * np.square(self.mean - mean)))
        return mean, math.sqrt(m2 / rows) if math.isfinite(m2) else math.inf

    def quantile(self, q: float) -> float:
        """Linear between neighbouring ranks, as NumPy's default; 0 without values.

        The ends are exact, whatever the bins.
        """
        rows = self.rows
        if not rows:
            return 0.0
        if q in (0, 1):
            return self.limits()[int(q)]
        last = np.cumsum(self.count) - 1  # the highest rank in each bin
        position = (rows - 1) * q
        below, above = (
            float(self.mean[np.searchsorted(last, rank)])
            for rank in (math.floor(position), math.ceil(position))
        )
        return below + (above - below) * (position - math.floor(position))

    def limits(self) -> tuple[float, float]:
        """Smallest and largest value; 0 and 0 without values."""
        return (float(self.low.min()), float(self.high.max())) if self.rows else (0.0, 0.0)

    def to_bytes(self) -> bytes:
        columns = [self.count, self.mean, self.m2, self.low, self.high]
        names = ["count", "mean", "m2", "low", "high"]
        return write_ipc(pa.table([pa.array(c) for c in columns], names=names))

    @staticmethod
    def from_bytes(blob: "bytes | pa.Buffer") -> "NumberSummary":
        return NumberSummary(*(column.to_numpy() for column in read_ipc(blob).columns))

    @staticmethod
    def merge(parts: "Sequence[NumberSummary]") -> "NumberSummary":
        """Of disjoint parts, the same whatever their order."""
        joined = [
            np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])
            for name in ("count", "mean", "m2", "low", "high")
        ]
        order = np.lexsort((joined[0], joined[2], joined[4], joined[3], joined[1]))
        whole = NumberSummary(*(column[order] for column in joined))
        return whole._joined() if len(whole.mean) > _MOST_BINS else whole

    def _joined(self) -> "NumberSummary":
        """Neighbouring bins joined until a quarter of the most is left."""
        rank = np.cumsum(self.count) - self.count
        group = rank * (_MOST_BINS // 4) // self.rows
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
    """How often each text occurs: an Arrow table `value` string, `count` int64, each text once."""

    table: pa.Table

    @staticmethod
    def of(values: Values) -> "TextCounts":
        """Counts of the values that are there; numbers by their decimal text."""
        words, codes = distinct(values)
        counts = np.zeros(0, np.int64)
        if len(words):
            counts = np.bincount(codes[~values.missing], minlength=len(words)).astype(np.int64)
        seen = pa.array(counts > 0)
        table = pa.table({"value": words, "count": pa.array(counts)}).filter(seen)
        return TextCounts(table)

    @property
    def rows(self) -> int:
        return int(pc.sum(self.table["count"]).as_py() or 0)

    def most_frequent(
        self, min_count: int = 1, max_size: int | None = None
    ) -> list[tuple[str, int]]:
        """Texts and counts by falling count, then by rising bytes."""
        kept = self.table.filter(pc.greater_equal(self.table["count"], min_count))
        kept = kept.sort_by([("count", "descending"), ("value", "ascending")])
        kept = kept.slice(0, max_size)
        return list(zip(kept["value"].to_pylist(), kept["count"].to_pylist(), strict=True))

    def to_bytes(self) -> bytes:
        return write_ipc(self.table)

    @staticmethod
    def from_bytes(blob: "bytes | pa.Buffer") -> "TextCounts":
        return TextCounts(read_ipc(blob))

    @staticmethod
    def merge(parts: "Sequence[TextCounts]") -> "TextCounts":
        if not parts:
            schema = pa.schema([("value", pa.string()), ("count", pa.int64())])
            return TextCounts(schema.empty_table())
        table = pa.concat_tables([part.table for part in parts])
        summed = table.group_by("value").aggregate([("count", "sum")])
        return TextCounts(summed.rename_columns(_named(summed)))


class Merging:
    """Statistics of one variable from many tasks, merged as they come, in bounded memory."""

    def __init__(self, kind: "type[NumberSummary] | type[TextCounts]") -> None:
        self._kind = kind
        self._parts: list[Any] = []
        self._held = 0

    def add(self, blob: "bytes | pa.Buffer") -> None:
        part = self._kind.from_bytes(blob)
        self._parts.append(part)
        self._held += part.table.num_rows if isinstance(part, TextCounts) else len(part.mean)
        if self._held > _MOST_TEXTS:
            merged = self.result()
            self._parts = [merged]
            # What cannot be merged any further must not be merged again at once.
            self._held = 0

    def result(self) -> "NumberSummary | TextCounts":
        merged: NumberSummary | TextCounts = self._kind.merge(self._parts)
        return merged


def _named(table: pa.Table) -> list[str]:
    return ["value" if name == "value" else "count" for name in table.column_names]


def write_ipc(table: pa.Table, compression: str | None = "lz4") -> bytes:
    """An Arrow table as one blob, its buffers compressed."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def read_ipc(blob: "bytes | pa.Buffer") -> pa.Table:
    with pa.ipc.open_stream(blob) as reader:
        return reader.read_all()

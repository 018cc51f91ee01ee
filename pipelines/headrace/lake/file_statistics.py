"""Say in a Delta log what values a file's columns have, so that readers can skip files.

The values are those of the Parquet footer. A statistic that excludes a value that is there would
hide rows, so what is not certain is left out: long texts, and reals that may be NaN. Those that the
transform made are finite, and their columns have no nulls.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq

MAX_COLUMNS = 32
"""Columns that have statistics, as many as Delta's own writers give; columns that are kept as they
were read go first."""
_MAX_TEXT = 32  # characters


def build_statistics(footer: pq.FileMetaData, first: Sequence[str] = ()) -> str:
    """Return the statistics of a file as JSON, as the Delta protocol has them.

    Args:
        footer: of the file.
        first: columns that go before others.
    """
    leaves = [footer.schema.column(i) for i in range(footer.num_columns)]
    flat = [i for i, leaf in enumerate(leaves) if leaf.path == leaf.name]
    order = {name: position for position, name in enumerate(first)}
    flat.sort(key=lambda i: order.get(leaves[i].name, len(order)))
    found: dict[str, Any] = {"numRecords": footer.num_rows}
    minima, maxima, nulls = {}, {}, {}
    for position in flat[:MAX_COLUMNS]:
        statistics = [
            footer.row_group(group).column(position).statistics
            for group in range(footer.num_row_groups)
        ]
        name = leaves[position].name
        if not statistics or any(item is None for item in statistics):
            continue
        if all(item.has_null_count for item in statistics):
            nulls[name] = sum(item.null_count for item in statistics)
        bounded = [item for item in statistics if item.has_min_max]
        if len(bounded) < len(statistics):
            continue
        if leaves[position].physical_type in ("FLOAT", "DOUBLE") and (
            leaves[position].max_definition_level > 0
        ):
            continue  # Parquet leaves out NaN, which Spark takes for larger than any number
        try:
            low = _format_bound(min(item.min for item in bounded), is_upper=False)
            high = _format_bound(max(item.max for item in bounded), is_upper=True)
        except (OverflowError, ValueError):  # a time after the year 9999, or before the year 1
            continue
        if low is not None and high is not None:
            minima[name], maxima[name] = low, high
    return json.dumps(found | {"minValues": minima, "maxValues": maxima, "nullCount": nulls})


def _format_bound(value: Any, *, is_upper: bool) -> Any:
    """Return a bound as JSON has it, or None where it cannot be said without loss."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else None
    if isinstance(value, datetime):  # to the millisecond, outwards
        time = value if value.tzinfo else value.replace(tzinfo=UTC)
        cut = time.replace(microsecond=time.microsecond // 1000 * 1000)
        if is_upper and cut != time:
            cut += timedelta(milliseconds=1)
        text = cut.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "")
        return f"{text}Z" if value.tzinfo else text
    if isinstance(value, date):
        return value.isoformat()
    return None

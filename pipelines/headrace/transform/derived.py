"""Compute derived columns of Arrow batches; `graph_derived.py` does the same on tensors.

What each operation gives is said in the recipe's `derive` sections; calendar arithmetic is in
`calendar.py`. Missing in, missing out.
"""

import numpy as np

from headrace.columns.values import Values
from headrace.transform.calendar import find_weekday_of_date, read_clock, read_time_part
from headrace.transform.spec import DerivedColumn


def derive_values(item: DerivedColumn, inputs: list[Values]) -> Values:
    """Return a derived column.

    Args:
        item: what is derived.
        inputs: its columns, in order.
    """
    missing = np.logical_or.reduce([v.missing for v in inputs])
    if item.op in ("difference", "seconds_since"):
        with np.errstate(over="ignore", invalid="ignore"):
            if item.op == "difference":
                result = inputs[0].to_float64() - inputs[1].to_float64()
            else:
                # Two float64 steps, so that extreme times do not wrap around int64.
                result = (inputs[0].to_float64() - float(item.origin or 0)) / 1e6
        return Values("real", result, missing | ~np.isfinite(result))
    integers = [np.asarray(v.array, np.int64) for v in inputs]
    if item.op == "day_of_week":
        weekday, exists = find_weekday_of_date(*integers)
        return Values("integer", weekday, missing | ~exists)
    if item.op == "time_part":
        micros = np.where(missing, 0, integers[0])
        offsets = item.zone.find_offsets(micros) if item.zone else None
        return Values("integer", read_time_part(micros, str(item.part), offsets), missing)
    value, exists = read_clock(integers[0], item.op)
    return Values("integer", value, missing | ~exists)

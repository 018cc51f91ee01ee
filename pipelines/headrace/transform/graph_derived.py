"""Compute derived columns of TensorFlow tensors: the counterpart of `derived.py`."""

import tensorflow as tf

from headrace.features.tensors import Column
from headrace.transform.calendar import find_weekday_of_date, read_clock, read_time_part
from headrace.transform.spec import DerivedColumn
from headrace.transform.time_zone import HORIZON, SECONDS_PER_CYCLE, FittedZone


def derive_tensors(item: DerivedColumn, inputs: list[Column]) -> Column:
    """Return a derived column.

    Args:
        item: what is derived.
        inputs: its columns, in order.
    """
    missing = inputs[0].missing
    for column in inputs[1:]:
        missing = tf.logical_or(missing, column.missing)
    if item.op in ("difference", "seconds_since"):
        if item.op == "difference":
            result = inputs[0].to_float64() - inputs[1].to_float64()
        else:
            result = (inputs[0].to_float64() - float(item.origin or 0)) / 1e6
        missing = tf.logical_or(missing, tf.logical_not(tf.math.is_finite(result)))
        return Column("real", tf.where(missing, tf.zeros_like(result), result), missing)
    integers = [column.tensor for column in inputs]
    if item.op == "day_of_week":
        weekday, exists = find_weekday_of_date(*integers)
        return Column("integer", weekday, tf.logical_or(missing, tf.logical_not(exists)))
    if item.op == "time_part":
        micros = integers[0]
        offsets = _find_offsets(item.zone, micros) if item.zone else None
        return Column("integer", read_time_part(micros, str(item.part), offsets), missing)
    value, exists = read_clock(integers[0], item.op)
    return Column("integer", value, tf.logical_or(missing, tf.logical_not(exists)))


def _find_offsets(zone: FittedZone, micros: tf.Tensor) -> tf.Tensor:
    """Return seconds east of UTC at times: the counterpart of `FittedZone.find_offsets`."""
    seconds = micros // 1_000_000
    cycles = tf.maximum((seconds - HORIZON) // SECONDS_PER_CYCLE + 1, 0)
    positions = tf.searchsorted(
        tf.constant(zone.changes, tf.int64), seconds - cycles * SECONDS_PER_CYCLE, side="right"
    )
    return tf.gather(tf.constant(zone.offsets, tf.int64), positions)
